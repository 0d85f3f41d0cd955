// Package filelock holds a file for one process at a time, with flock(2).
//
// The kernel gives a lock up with the process, however that ends. The file
// itself is never removed here, as removing it would let two processes hold
// "the" lock.
package filelock

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
)

// ErrHeld says that the file is held already.
var ErrHeld = errors.New("filelock: held already")

// Lock is a file that is held.
type Lock struct {
	file     *os.File
	released atomic.Bool
}

// Try takes the file, which is created with mode 0600 when absent, or fails at
// once: with [ErrHeld] when it is held, with [fs.ErrNotExist] when its directory
// is missing.
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

// Write replaces what the file says, such as who holds it.
func (l *Lock) Write(text string) error {
	if err := l.file.Truncate(0); err != nil {
		return fmt.Errorf("filelock: %w", err)
	}
	if _, err := l.file.WriteAt([]byte(text), 0); err != nil {
		return fmt.Errorf("filelock: %w", err)
	}
	return nil
}

// Release gives the file up. It may be called more than once.
//
// Closing alone would not do: a child that this process has forked, and that has
// not come to its exec yet, has the descriptor too, and would hold the lock until
// then.
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
