package inprocess

import (
	"cmp"
	"io"
	"sync"
	"testing"
)

// levelVariable is the least level that the servers of tests log; unset is warn.
const levelVariable = "GATEHOUSE_TEST_LOG_LEVEL"

// logLevel returns the least level that the servers of this test run log.
func logLevel(t testing.TB) string {
	t.Helper()
	return cmp.Or(variable(t, levelVariable), "warn")
}

// newLog returns a writer to the output of a test. The go command prints this output only
// when the test fails, or with -v. The writer drops everything that it receives after the
// end of the test, when a write to the output would panic.
func newLog(t testing.TB) io.Writer {
	t.Helper()
	l := &log{output: t.Output()}
	t.Cleanup(l.close)
	return l
}

type log struct {
	mu     sync.Mutex
	output io.Writer // nil after the end of the test
}

// Write implements [io.Writer].
func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.output == nil {
		return len(p), nil
	}
	return l.output.Write(p)
}

func (l *log) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.output = nil
}
