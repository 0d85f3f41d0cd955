package localdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
)

// InUseError says that another process owns the cluster of a data directory.
type InUseError struct {
	// DataDir is the data directory that both want.
	DataDir string
	// PID is the owner's process id, or 0 when it has not written it yet.
	PID int
}

// Error names the owner, so that a person can find it.
func (e *InUseError) Error() string {
	return fmt.Sprintf("localdb: the database under %s is in use by process %d", e.DataDir, e.PID)
}

// lock is an flock on a file of the data directory. The kernel gives it up with
// the process, however that ends; the file itself is never removed, as removing
// it would let two processes hold "the" lock.
type lock struct{ file *os.File }

// acquireLock takes the lock, or waits for it (a shared cluster's lock is held
// for moments only).
func acquireLock(ctx context.Context, dataDir string, wait bool) (*lock, error) {
	path := filepath.Join(dataDir, "localdb.lock")
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("localdb: lock: %w", err)
	}
	for {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			break
		}
		if !wait {
			return nil, errors.Join(&InUseError{DataDir: dataDir, PID: readPID(path)}, file.Close())
		}
		if err := clock.Sleep(ctx, clock.System(), 10*time.Millisecond); err != nil {
			return nil, errors.Join(fmt.Errorf("localdb: waiting for the lock: %w", err), file.Close())
		}
	}
	if err == nil {
		err = writePID(file)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("localdb: lock: %w", err), file.Close())
	}
	return &lock{file: file}, nil
}

func writePID(file *os.File) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err := file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
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

// release may be called more than once.
func (l *lock) release() error {
	if err := l.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("localdb: lock: %w", err)
	}
	return nil
}
