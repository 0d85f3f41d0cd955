package document

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// spooled is the bytes of a document in a file without a name. The operating system
// deletes the file when the process ends, even when it is killed. A spooled is not safe
// for concurrent use.
type spooled struct {
	file *os.File
	size int
}

// newSpool creates an empty file in a folder. It creates the folder when it is missing. An
// empty folder name means the system's temporary folder.
func newSpool(folder string) (*spooled, error) {
	if folder != "" {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, fmt.Errorf("document: spool: %w", err)
		}
	}
	file, err := os.CreateTemp(folder, "document-*")
	if err != nil {
		return nil, fmt.Errorf("document: spool: %w", err)
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("document: spool: %w", err), file.Close())
	}
	return &spooled{file: file}, nil
}

// Write implements [io.Writer].
func (s *spooled) Write(p []byte) (int, error) {
	n, err := s.file.Write(p)
	s.size += n
	if err != nil {
		return n, fmt.Errorf("document: spool: %w", err)
	}
	return n, nil
}

// source returns the written bytes for reading.
func (s *spooled) source() source { return source{s.file, s.size} }

// close deletes the file. Its error is ignored, because the bytes are no longer needed.
func (s *spooled) close() { _ = s.file.Close() }

// source is the bytes of a document, in memory or in a file. They can be read several
// times, because a transaction may be repeated.
type source struct {
	io.ReaderAt
	size int
}
