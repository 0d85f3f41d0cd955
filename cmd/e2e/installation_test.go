package e2e_test

import (
	"cmp"
	"encoding/base64"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	"github.com/gatehouse/gatehouse/cmd/internal/process"
	"github.com/gatehouse/gatehouse/platform/freeport"
	"github.com/gatehouse/gatehouse/platform/pgtest"
)

const (
	adminEmail    = "admin@gatehouse.local"
	adminPassword = "correct horse battery staple"
	// readyWithin is how long a start may take, on a machine that does much else.
	readyWithin = 60 * time.Second
	logTail     = 40
)

// installation is the product, running.
type installation struct {
	shape       shape
	base        string // of the public port
	gateway     string // its address
	ops         map[string]string
	model       *director
	database    *pgtest.Database // nil when the test has a cluster of its own
	environment []string
	dir         string
	children    map[string]*child
	past        []*child

	mu      sync.Mutex
	secrets []string
}

// start runs a shape on a database of its own, until the test ends.
func start(t *testing.T, s shape) *installation {
	t.Helper()
	database := pgtest.New(t, process.Migrations()...)
	i := startOn(t, s, database.AdminURL)
	i.database = database
	return i
}

// startOn runs a shape on a given database.
func startOn(t *testing.T, s shape, databaseURL string) *installation {
	t.Helper()
	i := &installation{shape: s, dir: t.TempDir(), model: newDirector(t), ops: map[string]string{}, children: map[string]*child{}}
	i.gateway = freeAddress(t)
	i.base = "http://" + i.gateway
	i.environment = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + i.dir, "TMPDIR=" + os.TempDir(),
		"GATEHOUSE_DATABASE_URL=" + databaseURL,
		"GATEHOUSE_SECRET_KEY=" + base64.StdEncoding.EncodeToString(pgtest.SecretKey()),
		"GATEHOUSE_DATA_DIR=" + i.dir,
		"GATEHOUSE_GATEWAY_ADDR=" + i.gateway,
		"GATEHOUSE_AUTH_ADDR=" + freeAddress(t), "GATEHOUSE_MANAGEMENT_ADDR=" + freeAddress(t), "GATEHOUSE_CHAT_ADDR=" + freeAddress(t),
		"GATEHOUSE_ADMIN_PASSWORD=" + adminPassword,
		"GATEHOUSE_RATE_LIMITS=" + inprocess.RateLimits(t),
		"GATEHOUSE_RUNS_PER_USER=100", "GATEHOUSE_RUNS_PER_ORGANIZATION=100", // one user opens all streams
		"GATEHOUSE_PASSWORD_WAIT=20s", // the cases run beside each other, and keep the machine busier than users do
		"GATEHOUSE_LOG_FORMAT=json",
		"OPENAI_BASE_URL=" + i.model.url + "/v1",
	}
	for _, p := range s.parts {
		i.ops[p.name] = freeAddress(t)
	}
	i.keepSecret(adminPassword)
	t.Cleanup(func() { i.end(t) })
	for _, command := range s.prepare {
		i.command(t, command[0], command[1:]...)
	}
	i.up(t, s.names(everyPart)...)
	return i
}

// command runs a program of the product to its end, which must be a good one,
// and returns what it wrote.
func (i *installation) command(t *testing.T, name string, args ...string) string {
	t.Helper()
	c := spawn(t, name, args, i.environment, i.dir)
	if status := c.wait(t); status != 0 {
		t.Fatalf("%s %s ended with %d:\n%s", name, strings.Join(args, " "), status, c.output.tail(logTail))
	}
	return c.output.String()
}

// up starts parts and waits until they are ready.
func (i *installation) up(t *testing.T, names ...string) {
	t.Helper()
	for _, p := range i.shape.parts {
		for _, name := range names {
			if p.name == name {
				// When a name is set twice, the last value applies.
				environment := slices.Concat([]string{"GATEHOUSE_OPS_ADDR=" + i.ops[name]}, i.environment, p.environment)
				i.children[name] = spawnFrom(t, i.shape.from(), cmp.Or(p.program, name), p.args, environment, i.dir)
			}
		}
	}
	for _, name := range i.shape.names(everyPart) {
		i.waitReady(t, name)
	}
}

// waitReady waits until a part says that it is ready.
func (i *installation) waitReady(t *testing.T, name string) {
	t.Helper()
	eventually(t, name+" is ready", readyWithin, func() bool {
		if !i.children[name].running() {
			t.Fatalf("%s ended:\n%s", name, i.children[name].output.tail(logTail))
		}
		status, _ := i.getOps(t, name, "/readyz")
		return status == http.StatusOK
	})
}

// getOps asks a part's operators' port; status 0 means that nobody answers.
func (i *installation) getOps(t *testing.T, name, path string) (status int, body string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Get("http://" + i.ops[name] + path) //nolint:noctx // bounded by the client
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, ""
	}
	return resp.StatusCode, string(raw)
}

// terminate asks parts to stop, all at once, and returns their exit statuses.
func (i *installation) terminate(t *testing.T, names ...string) map[string]int {
	t.Helper()
	return i.signal(t, syscall.SIGTERM, names...)
}

// kill ends parts at once, without a word to them.
func (i *installation) kill(t *testing.T, names ...string) {
	t.Helper()
	i.signal(t, syscall.SIGKILL, names...)
}

func (i *installation) signal(t *testing.T, sig syscall.Signal, names ...string) map[string]int {
	t.Helper()
	statuses := map[string]int{}
	for _, name := range names {
		i.children[name].signal(t, sig)
	}
	for _, name := range names {
		c := i.children[name]
		statuses[name] = c.wait(t)
		i.past = append(i.past, c)
		delete(i.children, name)
	}
	return statuses
}

// end stops what runs, the way an operator would, and reads the logs.
func (i *installation) end(t *testing.T) {
	t.Helper()
	var names []string
	for name := range i.children {
		names = append(names, name)
	}
	for name, status := range i.terminate(t, names...) {
		if status != 0 {
			t.Errorf("%s ended with %d when it was asked to stop", name, status)
		}
	}
	for _, c := range i.past {
		i.checkLog(t, c)
		if t.Failed() {
			t.Logf("the end of what %s (pid %d) wrote:\n%s", c.name, c.cmd.Process.Pid, c.output.tail(logTail))
		}
	}
}

// S74: checkLog finds what no log may hold: passwords and tokens above all.
func (i *installation) checkLog(t *testing.T, c *child) {
	t.Helper()
	text := c.output.String()
	for _, bad := range []string{"DATA RACE", "panic"} {
		if at := strings.Index(text, bad); at >= 0 {
			t.Errorf("%s wrote %q:\n%.4000s", c.name, bad, text[at:])
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, secret := range i.secrets {
		if strings.Contains(text, secret) {
			t.Errorf("%s wrote a secret that begins with %.6s to its log", c.name, secret)
		}
	}
}

// keepSecret has the logs searched for a password or a token at the end.
func (i *installation) keepSecret(secret string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.secrets = append(i.secrets, secret)
}

// freeAddress is one on which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	address, err := freeport.Address(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// eventually waits until something holds, and fails the test when it does not
// in time.
func eventually(t *testing.T, what string, within time.Duration, holds func() bool) {
	t.Helper()
	deadline, tick := time.NewTimer(within), time.NewTicker(20*time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not in %s: %s", within, what)
		}
	}
}
