package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// stopWithin is how long a process may take to stop: longer than any of its
// own limits, so that what they say is what we read.
const stopWithin = 60 * time.Second

// child is a process that a test has started.
type child struct {
	name   string
	cmd    *exec.Cmd
	output *output
	done   chan struct{}
	err    error // set when done is closed
}

// spawn starts a program. The kernel kills it when the test dies.
func spawn(t *testing.T, name string, args, environment []string, dir string) *child {
	t.Helper()
	return spawnFrom(t, binaries, name, args, environment, dir)
}

// spawnFrom is spawn for programs of a folder.
func spawnFrom(t *testing.T, folder func() (string, error), name string, args, environment []string, dir string) *child {
	t.Helper()
	programs, err := folder()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{name: name, output: &output{}, done: make(chan struct{})}
	// Ended by end, not by the end of the test's context, which comes before.
	c.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), filepath.Join(programs, name), args...)
	c.cmd.Dir, c.cmd.Env = dir, environment
	c.cmd.Stdout, c.cmd.Stderr = c.output, c.output
	// In a group of its own, so that Ctrl-C at the tests reaches it through us.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.done)
	}()
	return c
}

// running reports whether the process runs.
func (c *child) running() bool {
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

func (c *child) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := c.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("%s: %v", c.name, err)
	}
}

// wait waits for the process's end, and returns its exit status, -1 for a
// signal's.
func (c *child) wait(t *testing.T) int {
	t.Helper()
	timer := time.NewTimer(stopWithin)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-timer.C:
		// Its goroutines say what it waits for.
		c.signal(t, syscall.SIGQUIT)
		<-c.done
		t.Errorf("%s did not stop in %s", c.name, stopWithin)
	}
	return c.cmd.ProcessState.ExitCode()
}

// output is what a process has written.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

// String returns all of it.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// tail is the end of it, for a failed test.
func (o *output) tail(lines int) string {
	all := strings.Split(strings.TrimSpace(o.String()), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
