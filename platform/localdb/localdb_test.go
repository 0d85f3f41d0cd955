package localdb_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/gatehouse/gatehouse/platform/localdb"
)

// ownerArgument makes the test binary a process that starts a cluster, prints its pid and
// waits until it is killed.
const ownerArgument = "own-cluster"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == ownerArgument {
		os.Exit(own(os.Args[2])) //nolint:forbidigo // the main function of another process
	}
	goleak.VerifyTestMain(m)
}

func own(dataDir string) int {
	cluster, err := localdb.Start(context.Background(), localdb.Options{DataDir: dataDir, Volatile: true})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Fprintln(os.Stdout, cluster.PID())
	io.Copy(io.Discard, os.Stdin) //nolint:errcheck // stdin ends when the test does
	return 0
}

// dataDir returns a directory that the user of Postgres can enter, also when the tests
// run as root. The parent of t.TempDir is closed to other users.
func dataDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gatehouse-localdb-") //nolint:usetesting // see the comment above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

func start(t *testing.T, opts localdb.Options) *localdb.Cluster {
	t.Helper()
	cluster, err := localdb.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return cluster
}

func execute(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func query(t *testing.T, url, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var answer string
	if err := conn.QueryRow(t.Context(), sql).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return answer
}

func TestStart_AfterAStop_KeepsTheData(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	first := start(t, localdb.Options{DataDir: dir})
	execute(t, first.URL(), "CREATE TABLE kept AS SELECT 'yes' AS answer")
	for setting, want := range map[string]string{
		// S80: no TCP address, and no password in plain text.
		"fsync": "on", "data_checksums": "on", "listen_addresses": "", "password_encryption": "scram-sha-256",
		"TimeZone": "UTC", "server_encoding": "UTF8", "jit": "off",
	} {
		if got := query(t, first.URL(), "SHOW "+setting); got != want {
			t.Errorf("%s = %q, want %q", setting, got, want)
		}
	}
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := start(t, localdb.Options{DataDir: dir})
	if got := query(t, second.URL(), "SELECT answer FROM kept"); got != "yes" {
		t.Errorf("the row is %q after a restart", got)
	}
	if second.URL() != first.URL() {
		t.Error("the URL changed with the restart")
	}
}

func TestS80OnlyTheOwnerMayEnter(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	cluster := start(t, localdb.Options{DataDir: dir, Volatile: true})
	for _, path := range []string{"postgres", "postgres/run", "postgres/log", "postgres/data"} {
		if info, err := os.Stat(filepath.Join(dir, path)); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v %v, want mode 0700", path, info.Mode(), err)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "postgres/password")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("password: %v, want mode 0600", err)
	}
	config, err := pgx.ParseConfig(cluster.URL())
	if err != nil {
		t.Fatal(err)
	}
	config.Password = "guess"
	if _, err := pgx.ConnectConfig(t.Context(), config); err == nil {
		t.Error("a wrong password was accepted")
	}
}

func TestStart_SecondOwner_GetsThePIDOfTheFirst(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	start(t, localdb.Options{DataDir: dir, Volatile: true})
	_, err := localdb.Start(t.Context(), localdb.Options{DataDir: dir, Volatile: true})
	inUse, ok := errors.AsType[*localdb.InUseError](err)
	if !ok || inUse.PID != os.Getpid() {
		t.Fatalf("Start = %v, want an InUseError with pid %d", err, os.Getpid())
	}
}

// startOwner runs a process that owns the cluster of dir, and returns it with
// the postmaster's pid.
func startOwner(t *testing.T, dir string) (*exec.Cmd, string) {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	owner := exec.CommandContext(context.WithoutCancel(t.Context()), executable, ownerArgument, dir)
	owner.Stderr = os.Stderr
	// The pipe is open until the test ends, so that the owner runs until it is killed.
	if _, err := owner.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	output, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatalf("the owner did not start: %v", err)
	}
	return owner, strings.TrimSpace(line)
}

func TestStart_OwnerWasKilled_AdoptsItsCluster(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	owner, pid := startOwner(t, dir)

	_, err := localdb.Start(t.Context(), localdb.Options{DataDir: dir, Volatile: true})
	if inUse, ok := errors.AsType[*localdb.InUseError](err); !ok || inUse.PID != owner.Process.Pid {
		t.Errorf("Start while the owner runs = %v, want an InUseError with pid %d", err, owner.Process.Pid)
	}
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	owner.Wait() //nolint:errcheck // the error is that it was killed

	heir := start(t, localdb.Options{DataDir: dir, Volatile: true})
	if got := fmt.Sprint(heir.PID()); got != pid {
		t.Errorf("the cluster's process is %s, want the adopted %s", got, pid)
	}
	if err := heir.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(heir.PID(), 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the adopted process still runs after Stop: %v", err)
	}
}

func TestStart_StalePIDFile_IsRemoved(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"another process": fmt.Sprintf("%d\n", os.Getpid()),
		"no process":      "4194303\n",
		"torn":            "\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := dataDir(t)
			cluster := start(t, localdb.Options{DataDir: dir, Volatile: true})
			if err := cluster.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			stale := filepath.Join(dir, "postgres/data/postmaster.pid")
			if err := os.WriteFile(stale, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
			again := start(t, localdb.Options{DataDir: dir, Volatile: true})
			query(t, again.URL(), "SELECT 'alive'")
		})
	}
}

func TestStart_LongDataDirectory_UsesAShortSocketPath(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(dataDir(t), strings.Repeat("long/", 20))
	cluster := start(t, localdb.Options{DataDir: dir, Volatile: true})
	config, err := pgx.ParseConfig(cluster.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(config.Host); err != nil {
			t.Error(err)
		}
	})
	if strings.HasPrefix(config.Host, dir) {
		t.Errorf("the socket is in %s, which is too long", config.Host)
	}
	query(t, cluster.URL(), "SELECT 'alive'")
}

func TestStart_NoPostgres_NamesTheScript(t *testing.T) {
	t.Parallel()
	_, err := localdb.Start(t.Context(), localdb.Options{DataDir: dataDir(t), BinDir: t.TempDir()})
	if !errors.Is(err, localdb.ErrNoPostgres) || !strings.Contains(err.Error(), "deploy/setup/postgres.sh") {
		t.Errorf("Start = %v, want ErrNoPostgres with the script to run", err)
	}
	if _, err := localdb.Start(t.Context(), localdb.Options{}); err == nil {
		t.Error("Start accepts an empty data directory")
	}
}

func TestStart_OtherMajorVersion_IsRefused(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	cluster := start(t, localdb.Options{DataDir: dir, Volatile: true})
	if err := cluster.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "postgres/data/PG_VERSION"), []byte("9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := localdb.Start(t.Context(), localdb.Options{DataDir: dir, Volatile: true})
	if err == nil || !strings.Contains(err.Error(), "Postgres 9") {
		t.Errorf("Start = %v, want an error that names the version", err)
	}
}

func TestVisit_OnlyARunningCluster_HasAURL(t *testing.T) {
	t.Parallel()
	opts := localdb.Options{DataDir: dataDir(t), Volatile: true}
	if url, err := localdb.Visit(t.Context(), opts); err == nil {
		t.Errorf("Visit = %s, where there is no cluster", url)
	}
	cluster := start(t, opts)
	url, err := localdb.Visit(t.Context(), opts)
	if err != nil || url != cluster.URL() {
		t.Errorf("Visit = %q, %v; want the owner's URL", url, err)
	}
}

func BenchmarkWarmStart(b *testing.B) {
	dir := dataDir(b)
	cycle := func() {
		cluster, err := localdb.Start(b.Context(), localdb.Options{DataDir: dir})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := cluster.Stop(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	cycle()
	b.ResetTimer()
	for range b.N {
		cycle()
	}
}
