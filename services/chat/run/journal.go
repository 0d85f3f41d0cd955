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
	// maxRecord bounds what is believed of a record's length: an event's text is
	// a few words, a tool's result some kilobytes.
	maxRecord = 16 << 20
)

// journal keeps the events that readers of this process have seen and that the
// database does not hold yet, at most a batch of them. The kernel keeps what
// was written to a file when its writer is killed, so no sync is needed; what
// ends the whole machine ends the readers' connections too, but may cost them
// that batch.
//
// It is a folder named after the owner of the runs, with two files. Events go
// to one, until a batch begins: from then on they go to the other, which held
// what an earlier batch has stored. A lock tells whether the owner lives.
type journal struct {
	mu     sync.Mutex
	dir    string
	lock   *filelock.Lock
	files  [2]*os.File
	turned int
	buf    []byte
	failed error // why events are missing from it, until the next turn
}

// record is an event of a run in a journal.
type record struct {
	scope   postgres.Scope
	runID   string
	payload []byte
}

// openJournal begins the journal of an owner in a folder of its own below dir.
func openJournal(dir, owner string) (*journal, error) {
	// Under a name that recovery skips until the lock is held.
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

// open takes the lock, which fails when the owner lives, and opens the files.
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

// add writes an event to the journal before a reader sees it. It does nothing without a
// journal, or after a record that could not be written whole: later records would not
// be read.
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

// turn begins a batch, which will hold all that was added before, after one
// that was stored. It answers why events were not written down, if any.
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

// remove ends the journal: all that it held is stored.
func (j *journal) remove() error {
	if j == nil {
		return nil
	}
	// The lock goes last.
	return errors.Join(os.RemoveAll(j.dir), j.close())
}

// close leaves the journal to whoever comes next.
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

// abandoned opens the journals below dir whose owners have died, by owner.
func abandoned(dir string) (map[string]*journal, error) {
	folders, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // nobody has noted anything yet
	}
	found := map[string]*journal{}
	for _, folder := range folders {
		if !id.Valid(folder.Name()) {
			continue
		}
		j := &journal{dir: filepath.Join(dir, folder.Name())}
		if err := j.open(0); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				_ = os.RemoveAll(j.dir) // half removed
			}
			_ = j.close() // else its owner lives, or somebody else was quicker
			continue
		}
		found[folder.Name()] = j
	}
	return found, err
}

// records reads what a journal holds. A record that was cut, as the machine
// ended, ends its file.
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
			return nil, fmt.Errorf("a field of %d bytes", size)
		}
		fields[i] = make([]byte, size)
		if _, err := io.ReadFull(r, fields[i]); err != nil {
			return nil, err
		}
	}
	return fields, nil
}
