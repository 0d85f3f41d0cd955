package filelock_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse/gatehouse/platform/filelock"
)

func TestTry_FileIsLocked_ReturnsErrHeld(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	held, err := filelock.Try(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"a long text", "short"} {
		if err := held.Write(text); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := filelock.Try(path); !errors.Is(err, filelock.ErrHeld) {
		t.Errorf("a second holder: %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "short" {
		t.Errorf("the content is %q (%v)", text, err)
	}
	for range 2 {
		if err := held.Release(); err != nil {
			t.Error(err)
		}
	}
	again, err := filelock.Try(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Release(); err != nil {
		t.Error(err)
	}
}

func TestTry_DirectoryIsMissing_ReturnsErrNotExist(t *testing.T) {
	t.Parallel()
	_, err := filelock.Try(filepath.Join(t.TempDir(), "absent", "lock"))
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "absent") {
		t.Errorf("a missing directory: %v", err)
	}
}

// A child process has every descriptor of its parent between fork and exec.
func TestRelease_DuringAFork_UnlocksTheFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	done := make(chan struct{})
	var starters sync.WaitGroup
	for range 2 {
		starters.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := exec.CommandContext(t.Context(), "true").Run(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for n := range 2000 {
		held, err := filelock.Try(path)
		if err != nil {
			t.Errorf("after %d releases: %v", n, err)
			break
		}
		if err := held.Release(); err != nil {
			t.Error(err)
			break
		}
	}
	close(done)
	starters.Wait()
}
