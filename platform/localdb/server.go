package localdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
)

const (
	// startTimeout bounds a start, including crash recovery.
	startTimeout = 60 * time.Second
	// pollInterval is how often readiness and exit are checked. It is short, because every
	// `make run` and every test waits for a start.
	pollInterval = 3 * time.Millisecond
)

// server is a running postmaster: a child of this process, or an adopted one.
//
// No goroutine waits for its end, because a shared cluster outlives the process that
// started it, so such a goroutine would never end. The method alive checks instead.
type server struct {
	pid int

	mu sync.Mutex
	// ended is set when a child was reaped. Its pid may then belong to another process.
	ended bool
}

// startServer starts Postgres, unless the Postgres of a killed owner still runs.
func startServer(ctx context.Context, at home, bin binaries, password string, log *slog.Logger) (*server, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	found, err := adopt(ctx, at, password)
	if err != nil {
		return nil, err
	}
	if found != nil {
		log.Info("adopted the running local database", "pid", found.pid)
		return found, nil
	}
	s, err := spawn(at, bin)
	if err != nil {
		return nil, err
	}
	if err := s.awaitReady(ctx, at, password); err != nil {
		output := tail(at.startLog())
		s.kill(ctx)
		return nil, fmt.Errorf("localdb: Postgres did not start (see %s): %w\n%s", at.logDir, err, output)
	}
	return s, nil
}

func spawn(at home, bin binaries) (*server, error) {
	output, err := os.Create(at.startLog())
	if err != nil {
		return nil, fmt.Errorf("localdb: %w", err)
	}
	// The child has its own descriptor, so this one is not needed after the start.
	defer output.Close() //nolint:errcheck // nothing was written through this descriptor

	// isPostmaster recognizes the process by -D and the absolute path.
	cmd := exec.Command(bin.path("postgres"), "-D", at.data, "-k", at.socketDir) //nolint:noctx // it outlives the start, and may outlive this process
	cmd.Dir, cmd.Env, cmd.SysProcAttr = at.dir, childEnvironment(), at.account.attributes()
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("localdb: %w", err)
	}
	s := &server{pid: cmd.Process.Pid}
	if err := cmd.Process.Release(); err != nil {
		return nil, fmt.Errorf("localdb: %w", err)
	}
	return s, nil
}

// awaitReady tries to connect until it succeeds, or the child or ctx ends.
func (s *server) awaitReady(ctx context.Context, at home, password string) error {
	for {
		err := probe(ctx, at, password)
		if err == nil {
			return nil
		}
		if !startingUp(err) {
			return err
		}
		if !s.alive() {
			return errors.New("it ended immediately")
		}
		if err := clock.Sleep(ctx, clock.System(), pollInterval); err != nil {
			return err
		}
	}
}

// alive reports whether the server runs. It reaps a child that has ended. The parent of
// an adopted server is init, so only its pid can be checked.
func (s *server) alive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(s.pid, &status, syscall.WNOHANG, nil)
	switch {
	case err == nil:
		s.ended = pid == s.pid
	case errors.Is(err, syscall.ECHILD):
		s.ended = !processAlive(s.pid)
	}
	return !s.ended
}

// stop shuts Postgres down in fast mode. When ctx ends before that is done, it uses
// immediate mode.
func (s *server) stop(ctx context.Context) error {
	if err := s.signal(syscall.SIGINT); err != nil {
		return err
	}
	if s.await(ctx) == nil {
		return nil
	}
	if err := s.signal(syscall.SIGQUIT); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if s.await(ctx) == nil {
		return nil
	}
	s.kill(ctx)
	return fmt.Errorf("localdb: process %d did not stop and was killed", s.pid)
}

// kill ends Postgres at once, also when ctx has ended. A failure means that Postgres has
// already ended.
func (s *server) kill(ctx context.Context) {
	_ = s.signal(syscall.SIGKILL)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_ = s.await(ctx)
}

// signal sends a signal. A process that has ended is not an error. The pid of a child that
// was not reaped cannot belong to another process, and signal does not use the pid of a
// reaped child.
func (s *server) signal(sig syscall.Signal) error {
	if !s.alive() {
		return nil
	}
	if err := syscall.Kill(s.pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("localdb: signal to process %d: %w", s.pid, err)
	}
	return nil
}

func (s *server) await(ctx context.Context) error {
	for s.alive() {
		if err := clock.Sleep(ctx, clock.System(), pollInterval); err != nil {
			return err
		}
	}
	return nil
}

func processAlive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// tail returns the end of a small log file, for an error message.
func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}
