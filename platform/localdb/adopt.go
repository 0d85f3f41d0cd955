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

// adopt returns the postmaster that already runs on the data, or nil when there is none.
// The caller holds the lock of the data directory, so the process that started this
// postmaster was killed, or the cluster is shared.
//
// While the postmaster stops or recovers, adopt waits for the end of that.
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
			return nil, fmt.Errorf("localdb: process %d runs on %s but does not respond as expected: %w", pid, at.data, probed)
		}
		if err := clock.Sleep(ctx, clock.System(), pollInterval); err != nil {
			return nil, fmt.Errorf("localdb: process %d runs on %s but does not respond: %w", pid, at.data, probed)
		}
	}
}

// postmasterPID returns the first line of postmaster.pid, or 0 when there is no such
// file.
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
		// A crash of the machine damaged the file. Postgres would refuse to start with
		// it, so it counts as stale.
		return 0, removeStalePID(at)
	}
	return pid, nil
}

// removeStalePID removes the file that a crash has left. Postgres refuses to start while
// the pid in the file belongs to any running process, and a container uses the same
// numbers again after each restart.
func removeStalePID(at home) error {
	if err := os.Remove(filepath.Join(at.data, "postmaster.pid")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("localdb: %w", err)
	}
	return nil
}

// isPostmaster reports whether the process is a postmaster on the data directory. It
// returns an error when the process may be one that Gatehouse did not start. Then the
// file must not be removed.
func isPostmaster(ctx context.Context, pid int, data string) (bool, error) {
	if !processAlive(pid) {
		return false, nil
	}
	args := commandLine(ctx, pid)
	if len(args) == 0 {
		return false, nil
	}
	name := filepath.Base(args[0])
	// A title such as "postgres: walwriter" belongs to a child of a postmaster, so
	// the pid is now used by a process of another cluster.
	if name != "postgres" && name != "postmaster" {
		return false, nil
	}
	if i := slices.Index(args, "-D"); i >= 0 && i+1 < len(args) {
		return args[i+1] == data, nil
	}
	return false, fmt.Errorf("localdb: process %d is a Postgres that Gatehouse did not start, and may be using %s: stop it first", pid, data)
}

// commandLine returns a process's arguments, or nil when they cannot be read.
func commandLine(ctx context.Context, pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err == nil {
		return strings.Split(strings.TrimRight(string(text), "\x00"), "\x00")
	}
	// There is no /proc, as on macOS. The arguments are split at spaces then, which is
	// wrong for a path with spaces: such a process counts as not started by Gatehouse.
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ps", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return nil
	}
	return strings.Fields(string(out))
}
