package inprocess

import (
	"io"
	"testing"
)

func TestLog_WriteAfterTheEndOfItsTest_IsDropped(t *testing.T) {
	t.Parallel()
	var log io.Writer
	t.Run("a test with a server", func(t *testing.T) {
		log = newLog(t)
	})
	const line = "a line\n"
	if n, err := log.Write([]byte(line)); n != len(line) || err != nil {
		t.Errorf("Write = %d, %v, want %d and no error", n, err, len(line))
	}
}
