package localdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/filelock"
)

// InUseError means that another process owns the cluster of a data directory.
type InUseError struct {
	// DataDir is the data directory.
	DataDir string
	// PID is the owner's process id, or 0 when it has not written it yet.
	PID int
}

// Error names the owner.
func (e *InUseError) Error() string {
	return fmt.Sprintf("localdb: the database under %s is in use by process %d", e.DataDir, e.PID)
}

// acquireLock acquires the lock of a data directory. With wait, it waits for the lock: the
// lock of a shared cluster is held only for a short time.
func acquireLock(ctx context.Context, dataDir string, wait bool) (*filelock.Lock, error) {
	path := filepath.Join(dataDir, "localdb.lock")
	for {
		held, err := filelock.Try(path)
		if err == nil {
			return signed(held)
		}
		if !errors.Is(err, filelock.ErrHeld) {
			return nil, fmt.Errorf("localdb: %w", err)
		}
		if !wait {
			return nil, &InUseError{DataDir: dataDir, PID: readPID(path)}
		}
		if err := clock.Sleep(ctx, clock.System(), 10*time.Millisecond); err != nil {
			return nil, fmt.Errorf("localdb: waiting for the lock: %w", err)
		}
	}
}

// signed writes the pid of this process to the lock's file.
func signed(held *filelock.Lock) (*filelock.Lock, error) {
	if err := held.Write(strconv.Itoa(os.Getpid()) + "\n"); err != nil {
		return nil, errors.Join(fmt.Errorf("localdb: %w", err), held.Release())
	}
	return held, nil
}

func readPID(path string) int {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return pid
}
