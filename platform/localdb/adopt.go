package localdb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
)

// adopt returns the postmaster that already runs on our data, or nil when there
// is none. We hold the lock of the data directory, so it was left behind by a
// process that was killed, or is a shared one.
//
// It may be on its way down, or still recovering: then we wait for the one or
// the other to be done.
func adopt(ctx context.Context, at home, password string) (*server, error) {
	for {
		pid, err := postmasterPID(at)
		if err != nil || pid == 0 {
			return nil, err
		}
		mine, err := isPostmaster(ctx, pid, at.data)
		if err != nil {
			return nil, err
		}
		if !mine {
			return nil, removeStalePID(at)
		}
		probed := probe(ctx, at, password)
		if probed == nil {
			return &server{pid: pid}, nil
		}
		if !startingUp(probed) {
			return nil, fmt.Errorf("localdb: process %d runs on %s but does not answer as it should: %w", pid, at.data, probed)
		}
		if err := clock.Sleep(ctx, clock.System(), pollInterval); err != nil {
			return nil, fmt.Errorf("localdb: process %d runs on %s but does not answer: %w", pid, at.data, probed)
		}
	}
}

// postmasterPID reads the first line of postmaster.pid: 0 when there is no
// such file.
func postmasterPID(at home) (int, error) {
	text, err := os.ReadFile(filepath.Join(at.data, "postmaster.pid"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("localdb: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		// Torn by a crash of the machine: Postgres itself would refuse to start
		// on it, so say that it is stale.
		return 0, removeStalePID(at)
	}
	return pid, nil
}

// removeStalePID removes what a crash left. Postgres refuses to start while the
// pid in it belongs to any live process, and in a container the numbers come
// back after each restart.
func removeStalePID(at home) error {
	if err := os.Remove(filepath.Join(at.data, "postmaster.pid")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("localdb: %w", err)
	}
	return nil
}

// isPostmaster tells whether the process is a postmaster on the data directory.
// An error says that it might be, started by somebody else's hand: then nothing
// may be removed.
func isPostmaster(ctx context.Context, pid int, data string) (bool, error) {
	if !processAlive(pid) {
		return false, nil
	}
	args := commandLine(ctx, pid)
	if len(args) == 0 {
		return false, nil
	}
	name := filepath.Base(args[0])
	// A title such as "postgres: walwriter" is a child's, so the number was
	// given to another cluster's process.
	if name != "postgres" && name != "postmaster" {
		return false, nil
	}
	if i := slices.Index(args, "-D"); i >= 0 && i+1 < len(args) {
		return args[i+1] == data, nil
	}
	return false, fmt.Errorf("localdb: process %d is a Postgres that Gatehouse did not start, and may be using %s: stop it first", pid, data)
}

// commandLine returns a process's arguments, as far as they can be known.
func commandLine(ctx context.Context, pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err == nil {
		return strings.Split(strings.TrimRight(string(text), "\x00"), "\x00")
	}
	// No /proc, as on macOS. Words are split at spaces there, which is wrong for
	// a path with spaces in it: the process then counts as somebody else's.
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ps", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return nil
	}
	return strings.Fields(string(out))
}
