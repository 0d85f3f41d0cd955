package pgtest

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/localdb"
)

const (
	// idleMinutes is how long the cluster runs after its last use. A test process runs for
	// 10 minutes at most.
	idleMinutes = 15
	// abandonedAfter is the age at which the database of a killed test is dropped.
	abandonedAfter = time.Hour
)

// watchdog ends the cluster ($1) when the file ($2) has not been touched for some minutes
// ($3). It is a separate process because it must outlive all test processes, and a shell
// script because every machine has a shell.
const watchdog = `while sleep 20; do
	kill -0 "$1" 2>/dev/null || exit 0
	if [ -n "$(find "$2" -mmin +"$3" 2>/dev/null)" ]; then kill -INT "$1"; exit 0; fi
done`

// shared is the cluster of all test processes.
type shared struct {
	admin url.URL
	dir   string
}

// sharedCluster finds or starts the cluster once for each process. It is global state,
// but it never changes after the first use. Otherwise every package with a database would
// need a TestMain.
//
//nolint:gochecknoglobals // see the comment above
var sharedCluster = sync.OnceValues(startShared)

// sharedDir returns the directory of the cluster. It depends on the user and the checkout,
// so that stopping the cluster of one checkout does not affect the tests of another.
func sharedDir() string {
	_, source, _, _ := runtime.Caller(0)
	return filepath.Join(os.TempDir(), fmt.Sprintf("gatehouse-pgtest-%d-%08x", os.Geteuid(), crc32.ChecksumIEEE([]byte(source))))
}

func startShared() (*shared, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout) //nolint:forbidigo // the cluster serves every test of the process
	defer cancel()
	dir := sharedDir()
	if err := ownDir(dir); err != nil {
		return nil, err
	}
	cluster, err := localdb.Start(ctx, localdb.Options{DataDir: dir, Volatile: true, Shared: true})
	if err != nil {
		return nil, fmt.Errorf("pgtest: %w (if it was damaged by a crash, remove %s)", err, dir)
	}
	admin, err := url.Parse(cluster.URL())
	if err != nil {
		return nil, fmt.Errorf("pgtest: %w", err)
	}
	c := &shared{admin: *admin, dir: dir}
	if err := c.touch(); err != nil {
		return nil, err
	}
	if err := c.watch(cluster.PID()); err != nil {
		return nil, err
	}
	return c, c.sweep(ctx)
}

// ownDir refuses a directory that another user has created in the temporary directory,
// where every user may write.
func ownDir(dir string) error {
	// When the tests run as root, the user of Postgres must be able to enter it.
	if err := os.Mkdir(dir, 0o711); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("pgtest: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() || int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("pgtest: %s is not a directory of this user", dir)
	}
	return nil
}

func (c *shared) usedFile() string { return filepath.Join(c.dir, "used") }

// touch marks the cluster as used, for the watchdog.
func (c *shared) touch() error {
	if err := os.WriteFile(c.usedFile(), []byte(clock.System().Now().String()+"\n"), 0o600); err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	return nil
}

// watch starts the watchdog of a postmaster, unless another process has started it.
func (c *shared) watch(pid int) error {
	marker, err := os.OpenFile(filepath.Join(c.dir, "watched-"+strconv.Itoa(pid)), os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	if err := marker.Close(); err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	arguments := []string{"-c", watchdog, "pgtest-watchdog", strconv.Itoa(pid), c.usedFile(), strconv.Itoa(idleMinutes)}
	cmd := exec.Command("/bin/sh", arguments...) //nolint:noctx // it outlives this process
	cmd.Dir = "/"
	// With its own session, neither Ctrl-C nor the end of the terminal reaches it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	// It outlives this process, so this process does not wait for it.
	if err := cmd.Process.Release(); err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	return nil
}

// sweep drops the databases of killed tests.
func (c *shared) sweep(ctx context.Context) error {
	conn, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // the connection is not used any more
	rows, err := conn.Query(ctx, `SELECT datname FROM pg_database
		WHERE datname ~ '^test_[0-9]+_' AND split_part(datname, '_', 2)::bigint < $1`,
		clock.System().Now().Add(-abandonedAfter).Unix())
	if err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	for _, name := range names {
		if err := c.drop(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// Stop ends the shared cluster, if there is one, and removes its data.
func Stop(ctx context.Context) error {
	dir := sharedDir()
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := ownDir(dir); err != nil {
		return err
	}
	cluster, err := localdb.Start(ctx, localdb.Options{DataDir: dir, Volatile: true, Shared: true})
	if err != nil {
		return err
	}
	if err := cluster.Stop(ctx); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	return nil
}
