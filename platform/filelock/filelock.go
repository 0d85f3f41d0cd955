// Package filelock locks a file for one process at a time, with flock(2).
//
// The kernel releases a lock when the process ends for any reason. The package never
// removes the file, because then two processes could hold locks of two files with the
// same name.
package filelock

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
)

// ErrHeld means that the file is already locked.
var ErrHeld = errors.New("filelock: already locked")

// Lock is a locked file.
type Lock struct {
	file     *os.File
	released atomic.Bool
}

// Try locks the file, or fails without waiting: with [ErrHeld] when the file is locked,
// with [fs.ErrNotExist] when its directory is missing. It creates a missing file with
// mode 0600.
func Try(path string) (*Lock, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("filelock: %w", err)
	}
	err = flock(file, syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errors.Join(ErrHeld, file.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("filelock: %w", err), file.Close())
	}
	return &Lock{file: file}, nil
}

// Write replaces the content of the file, for example with the pid of the holder.
func (l *Lock) Write(text string) error {
	if err := l.file.Truncate(0); err != nil {
		return fmt.Errorf("filelock: %w", err)
	}
	if _, err := l.file.WriteAt([]byte(text), 0); err != nil {
		return fmt.Errorf("filelock: %w", err)
	}
	return nil
}

// Release unlocks the file. It may be called more than once.
//
// Closing the file is not enough: a child that was forked and has not called exec yet
// also has the descriptor, and would hold the lock until then.
func (l *Lock) Release() error {
	if l.released.Swap(true) {
		return nil
	}
	if err := errors.Join(flock(l.file, syscall.LOCK_UN), l.file.Close()); err != nil {
		return fmt.Errorf("filelock: %w", err)
	}
	return nil
}

func flock(file *os.File, how int) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = syscall.Flock(int(fd), how) }); err != nil {
		return err
	}
	return failed
}
