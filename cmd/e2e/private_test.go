package e2e_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// The commands that a developer starts, as they are started: with no setting
// but where to listen, and a Postgres of their own.

func TestServeKeepsItsOwnPostgres(t *testing.T) {
	t.Parallel()
	i := startCommand(t, "serve")
	password := i.printedPassword(t)
	c := i.newClient(t)
	c.signIn(adminEmail, password)
	collectionID := c.collection()
	if postgresPID(i.dir) == 0 {
		t.Error("there is no Postgres in the data directory")
	}

	second := spawn(t, "gatehouse", []string{"serve"}, i.environment, i.dir)
	if status := second.wait(t); status == 0 || !strings.Contains(second.output.String(), strconv.Itoa(i.children["gatehouse"].cmd.Process.Pid)) {
		t.Errorf("a second one on the same data ended with %d:\n%s", status, second.output.tail(logTail))
	}

	i.kill(t, "gatehouse")
	i.up(t, "gatehouse")
	if text := i.children["gatehouse"].output.String(); strings.Contains(text, "password") {
		t.Errorf("the second start tells a password:\n%s", text)
	}
	c = i.newClient(t)
	c.signIn(adminEmail, password)
	if !c.listed("collections")[collectionID] {
		t.Error("the collection does not exist")
	}
	i.killPostgres(t)
	if !c.listed("collections")[collectionID] {
		t.Error("the collection was lost with the Postgres that was killed")
	}
	i.interrupt(t)
}

func TestSplitStartsFourProcessesAndStopsThem(t *testing.T) {
	t.Parallel()
	i := startCommand(t, "split")
	c := i.newClient(t)
	c.signIn(adminEmail, i.printedPassword(t))
	checkComplete(t, c.ask(c.conversation(), "What is 6 * 7?", "").readAll())
	i.killPostgres(t)
	eventually(t, "the parts are back at the new Postgres", readyWithin, func() bool { return c.get("/v1/me").status == http.StatusOK })
	i.interrupt(t)
	if _, err := c.reconnected().attempt(request{method: "GET", path: "/v1/me"}); err == nil {
		t.Error("the gateway outlives the command")
	}
}

// startCommand starts a command of gatehouse with nothing prepared.
func startCommand(t *testing.T, command string) *installation {
	t.Helper()
	i := &installation{
		shape:   shape{parts: []part{{name: "gatehouse", args: []string{command}}}},
		gateway: freeAddress(t), ops: map[string]string{"gatehouse": freeAddress(t)}, children: map[string]*child{},
		dir: traversableFolder(t),
	}
	i.base = "http://" + i.gateway
	i.environment = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + i.dir, "TMPDIR=" + os.TempDir(), "GATEHOUSE_LOG_FORMAT=json",
		"GATEHOUSE_GATEWAY_ADDR=" + i.gateway,
		"GATEHOUSE_AUTH_ADDR=" + freeAddress(t), "GATEHOUSE_MANAGEMENT_ADDR=" + freeAddress(t), "GATEHOUSE_CHAT_ADDR=" + freeAddress(t),
	}
	t.Cleanup(func() {
		i.end(t)
		stopPostgres(t, i.dir)
	})
	i.up(t, "gatehouse")
	return i
}

// printedPassword is the password that the first start tells.
func (i *installation) printedPassword(t *testing.T) string {
	t.Helper()
	_, after, found := strings.Cut(i.children["gatehouse"].output.String(), "Sign in as "+adminEmail+" with the password ")
	password, _, _ := strings.Cut(after, " ")
	if !found || password == "" {
		t.Fatalf("no password is told:\n%s", i.children["gatehouse"].output.tail(logTail))
	}
	return password
}

// interrupt is Ctrl-C.
func (i *installation) interrupt(t *testing.T) {
	t.Helper()
	if status := i.signal(t, syscall.SIGINT, "gatehouse")["gatehouse"]; status != 0 {
		t.Errorf("after Ctrl-C: status %d", status)
	}
	if pid := postgresPID(i.dir); pid != 0 {
		t.Errorf("its Postgres is left behind as process %d", pid)
	}
}

// killPostgres kills the private Postgres and waits until a new one serves
// requests.
func (i *installation) killPostgres(t *testing.T) {
	t.Helper()
	before := postgresPID(i.dir)
	if before == 0 {
		t.Fatal("no Postgres runs on the data directory")
	}
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another Postgres runs", readyWithin, func() bool {
		now := postgresPID(i.dir)
		return now != 0 && now != before
	})
	eventually(t, "its users are served again", readyWithin, func() bool {
		a, err := i.newClient(t).attempt(request{method: http.MethodGet, path: "/v1/config"})
		status, _ := i.getOps(t, "gatehouse", "/readyz")
		return err == nil && a.status == http.StatusOK && (status == http.StatusOK || status == 0) // split has no port for operators of its own
	})
}

// traversableFolder is a folder that the user of a private Postgres can pass through,
// unlike t.TempDir when the tests run as root.
func traversableFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gatehouse-laptop-") //nolint:usetesting // see above
	if err == nil {
		err = os.Chmod(dir, 0o711)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// postgresPID is the server that runs on the data in a folder, or 0.
func postgresPID(dir string) int {
	text, err := os.ReadFile(filepath.Join(dir, ".gatehouse", "postgres", "data", "postmaster.pid"))
	if err != nil {
		return 0 // ended properly
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || syscall.Kill(pid, 0) != nil {
		return 0
	}
	return pid
}

// stopPostgres ends what a failed test has left behind.
func stopPostgres(t *testing.T, dir string) {
	t.Helper()
	if pid := postgresPID(dir); pid != 0 {
		_ = syscall.Kill(pid, syscall.SIGQUIT)
		eventually(t, "Postgres has ended", stopWithin, func() bool { return syscall.Kill(pid, 0) != nil })
	}
}
