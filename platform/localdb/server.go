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
	// startTimeout bounds a start, crash recovery included.
	startTimeout = 60 * time.Second
	// pollInterval is how often readiness and exit are looked at: small, because
	// a warm start is on the path of every `make run` and every test.
	pollInterval = 3 * time.Millisecond
)

// server is a running postmaster: our child, or one that we adopted.
//
// Nobody waits for it in a goroutine: a shared cluster outlives the process that
// started it, and what has no end would have no owner. alive looks instead.
type server struct {
	pid int

	mu sync.Mutex
	// ended is set once a child was reaped: its pid may then be another's.
	ended bool
}

// startServer starts Postgres, unless the one that a killed predecessor left
// behind still runs.
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
	// The child has its own descriptor; ours is not needed past the start.
	defer output.Close() //nolint:errcheck // nothing was written through this descriptor

	// -D and the absolute path are also what isPostmaster recognizes us by.
	cmd := exec.Command(bin.path("postgres"), "-D", at.data, "-k", at.socketDir) //nolint:noctx // it outlives the start, and may outlive us
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

// awaitReady tries to connect until it works, the child ends, or ctx does.
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
			return errors.New("it ended at once")
		}
		if err := clock.Sleep(ctx, clock.System(), pollInterval); err != nil {
			return err
		}
	}
}

// alive reaps a child that has ended. The parent of an adopted server is init,
// so there is only its pid to look at.
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

// stop shuts Postgres down in fast mode, and in immediate mode when ctx ends
// before that is done.
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

// kill ends Postgres at once, also when ctx has ended. A failure means that it
// has ended.
func (s *server) kill(ctx context.Context) {
	_ = s.signal(syscall.SIGKILL)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_ = s.await(ctx)
}

// signal treats a process that has ended as signaled. The pid of a child that
// was not reaped cannot have been given to another process; once it was reaped,
// it is not used any more.
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
