// Package e2e runs the product as its users meet it: real processes of the
// binaries that are shipped, on a real Postgres, spoken to over their ports.
//
// There is one table of scenarios, and two shapes of the product: everything
// in one process, and each part in its own (shape_test.go). Every scenario runs
// against both. Most share an installation, as its users would; those that end
// a process or the database have one of their own.
//
//	table_test.go         the table
//	shape_test.go         which processes make an installation
//	installation_test.go  one that runs: started, told to stop, killed, started again
//	process_test.go       a process and what it says
//	client_test.go        a user with an HTTP client
//	sse_test.go           streams, byte by byte
//	model_test.go         a model server that does what the scenario needs
//
// Processes are started by the tests and end with them, whatever happens: each
// installation kills its own, and the kernel does when the test itself dies.
package e2e_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/sources"
)

// parallelScenarios is how many scenarios run at once. They wait for processes most of
// their time, so more of them than cores keep the cores busy.
const parallelScenarios = "8"

// buildTimeout is for a machine that has built nothing yet.
const buildTimeout = 10 * time.Minute

func TestMain(m *testing.M) {
	sources.Depend()
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		// A number is always accepted.
		_ = flag.Set("test.parallel", parallelScenarios)
	}
	m.Run()
	if dir, err := folder(); err == nil {
		_ = os.RemoveAll(dir) // in the temporary directory
	}
}

// folder is where the programs are built.
var folder = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "gatehouse-e2e-") })

// binaries is the folder with all programs in it, built once for all scenarios, as the
// tests were built. With the race detector a race in a process is in its log, and fails the
// scenario.
var binaries = sync.OnceValues(func() (string, error) { return build("tested", buildFlags()) })

// shipped is the folder with all programs as they are shipped. The race detector takes
// memory and time of its own, which a measure of memory and a drill under load must not
// see.
var shipped = sync.OnceValues(func() (string, error) {
	return build("shipped", slices.DeleteFunc(buildFlags(), func(flag string) bool { return !strings.HasPrefix(flag, "-tags=") }))
})

// build builds all programs into a folder below that of the tests.
func build(name string, flags []string) (string, error) {
	dir, err := folder()
	if err != nil {
		return "", err
	}
	dir = filepath.Join(dir, name)
	ctx, cancel := context.WithTimeout(context.Background(), buildTimeout)
	defer cancel()
	args := append([]string{"build", "-o", dir + string(filepath.Separator)}, flags...)
	command := exec.CommandContext(ctx, "go", append(args, "../gatehouse", "../auth", "../management", "../chat", "../gateway")...)
	if out, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(command.Args, " "), err, out)
	}
	return dir, nil
}

// buildFlags are those that say what code this test was built with.
func buildFlags() []string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	var flags []string
	for _, setting := range info.Settings {
		switch setting.Key {
		case "-race", "-tags", "-gcflags":
			flags = append(flags, setting.Key+"="+setting.Value)
		}
	}
	return flags
}
