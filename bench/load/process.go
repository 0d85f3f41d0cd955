package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
)

// stopTimeout is longer than the product's own patience with its parts.
const stopTimeout = 45 * time.Second

// process is a child: started here, and stopped by its own pid.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // how it ended, once done is closed
}

// startProcess starts a child in a process group of its own, so that a
// terminal's Ctrl-C reaches us alone and the order of stopping is ours.
func startProcess(cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.err = cmd.Wait()
	}()
	return p, nil
}

// stop ends the child as an operator would, and by force when that takes too
// long.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop process %d: %w", p.cmd.Process.Pid, err)
	}
	patience := clock.System().NewTimer(stopTimeout)
	defer patience.Stop()
	select {
	case <-p.done:
		return p.err
	case <-patience.C():
	}
	err := p.cmd.Process.Kill()
	<-p.done
	return errors.Join(fmt.Errorf("process %d did not stop in %s and was killed", p.cmd.Process.Pid, stopTimeout), err)
}

// resident is a process's resident memory, in bytes.
type resident struct {
	// total is what the system counts, anonymous the part that no file backs:
	// heap, stacks and runtime, without the pages of the binary.
	total, anonymous int64
}

// memory reads the child's resident memory.
func (p *process) memory() (resident, error) {
	file, err := os.Open(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return resident{}, fmt.Errorf("memory: %w", err)
	}
	defer file.Close() //nolint:errcheck // only read
	var r resident
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		kilobytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			continue // a line of text
		}
		switch name {
		case "VmRSS":
			r.total = kilobytes << 10
		case "RssAnon":
			r.anonymous = kilobytes << 10
		}
	}
	if r.total == 0 {
		return r, errors.Join(errors.New("memory: no VmRSS"), lines.Err())
	}
	return r, nil
}
