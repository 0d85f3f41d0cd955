package run

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/gatehouse/gatehouse/platform/filelock"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

const (
	journalLock = "lock"
	// maxRecord bounds the length of a record that is read. The text of an event is a few
	// words, and a tool's result some kilobytes.
	maxRecord = 16 << 20
)

// journal contains the events that readers of this process have seen and that the
// database does not have yet: at most those of one batch. The kernel keeps the written
// part of a file when its writer is killed, so no sync is needed. When the whole machine
// stops, the readers' connections end too, and that batch may be lost.
//
// A journal is a folder named after the owner of the runs, with two files. Events are
// written to one file until a batch begins. Then they are written to the other file,
// whose events an earlier batch has stored. A file lock shows that the owner is alive.
//
// Any goroutine may add events: mu guards the files. Only the goroutine of the batcher
// calls turn, and closes or removes the journal at the end. The methods add, turn, remove
// and close do nothing on a nil journal.
type journal struct {
	mu     sync.Mutex
	dir    string
	lock   *filelock.Lock
	files  [2]*os.File
	turned int
	buf    []byte
	failed error // why events are missing from the file, until the next turn
}

// record is an event of a run in a journal.
type record struct {
	scope   postgres.Scope
	runID   string
	payload []byte
}

// openJournal creates the journal of an owner in a folder of its own below dir.
func openJournal(dir, owner string) (*journal, error) {
	// The folder has a name that recovery skips until the lock is held.
	making := filepath.Join(dir, "."+owner)
	if err := os.MkdirAll(making, 0o700); err != nil {
		return nil, fmt.Errorf("journal of runs: %w", err)
	}
	j := &journal{dir: making}
	err := j.open(os.O_CREATE | os.O_TRUNC)
	if err == nil {
		err = os.Rename(making, filepath.Join(dir, owner))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("journal of runs: %w", err), j.remove())
	}
	j.dir = filepath.Join(dir, owner)
	return j, nil
}

// open takes the lock and opens the files. It fails when the owner is alive.
func (j *journal) open(flags int) (err error) {
	if j.lock, err = filelock.Try(filepath.Join(j.dir, journalLock)); err != nil {
		return err
	}
	for n, name := range [...]string{"a", "b"} {
		if j.files[n], err = os.OpenFile(filepath.Join(j.dir, name), os.O_RDWR|os.O_APPEND|flags, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// add writes an event to the journal. It does nothing after a record that could not be
// written completely, because later records could not be read.
func (j *journal) add(r record) {
	if j == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed != nil {
		return
	}
	j.buf = j.buf[:0]
	for _, field := range [...]string{r.scope.OrganizationID, r.scope.UserID, r.runID} {
		j.buf = append(binary.AppendUvarint(j.buf, uint64(len(field))), field...)
	}
	j.buf = append(binary.AppendUvarint(j.buf, uint64(len(r.payload))), r.payload...)
	if _, err := j.files[j.turned].Write(j.buf); err != nil {
		j.failed = err
	}
}

// turn begins a batch that will store all events that were added before. The batch before
// it must be stored. It returns an error when events could not be written since the last
// turn.
func (j *journal) turn() error {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	failed := j.failed
	j.turned, j.failed = 1-j.turned, nil
	return errors.Join(failed, j.files[j.turned].Truncate(0))
}

// remove deletes the journal, whose events are all stored.
func (j *journal) remove() error {
	if j == nil {
		return nil
	}
	// The lock is released last.
	return errors.Join(os.RemoveAll(j.dir), j.close())
}

// close leaves the journal to the next process.
func (j *journal) close() error {
	if j == nil {
		return nil
	}
	var failures []error
	for _, file := range j.files {
		if file != nil {
			failures = append(failures, file.Close())
		}
	}
	if j.lock != nil {
		failures = append(failures, j.lock.Release())
	}
	return errors.Join(failures...)
}

// abandoned opens the journals below dir whose owners are not alive, by owner.
func abandoned(dir string) (map[string]*journal, error) {
	folders, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // no process has written a journal yet
	}
	found := map[string]*journal{}
	for _, folder := range folders {
		if !id.Valid(folder.Name()) {
			continue
		}
		j := &journal{dir: filepath.Join(dir, folder.Name())}
		if err := j.open(0); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				_ = os.RemoveAll(j.dir) // its removal was not completed
			}
			_ = j.close() // otherwise the owner is alive, or another process opened it first
			continue
		}
		found[folder.Name()] = j
	}
	return found, err
}

// records reads the records of a journal. A truncated record, after which the writer was
// killed, ends its file.
func (j *journal) records() ([]record, error) {
	var out []record
	for _, file := range j.files {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return nil, fmt.Errorf("journal of runs: %w", err)
		}
		r := bufio.NewReader(file)
		for {
			fields, err := readFields(r, 4)
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				break
			}
			if err != nil {
				return nil, fmt.Errorf("journal of runs: %w", err)
			}
			out = append(out, record{
				scope: postgres.Scope{OrganizationID: string(fields[0]), UserID: string(fields[1])},
				runID: string(fields[2]), payload: fields[3],
			})
		}
	}
	return out, nil
}

func readFields(r *bufio.Reader, n int) ([][]byte, error) {
	fields := make([][]byte, n)
	for i := range fields {
		size, err := binary.ReadUvarint(r)
		if err != nil {
			return nil, err
		}
		if size > maxRecord {
			return nil, fmt.Errorf("a field has %d bytes, more than %d", size, maxRecord)
		}
		fields[i] = make([]byte, size)
		if _, err := io.ReadFull(r, fields[i]); err != nil {
			return nil, err
		}
	}
	return fields, nil
}
