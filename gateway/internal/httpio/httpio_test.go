package httpio_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/gateway/internal/httpio"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

func TestPrintable(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                       "",
		"Mozilla/5.0 (X11)":      "Mozilla/5.0 (X11)",
		"a\r\nb\x00c\x7fd\té":    "abcd",
		strings.Repeat("é", 500): "",
		strings.Repeat("x", 500): strings.Repeat("x", httpio.MaxText),
	} {
		if got := httpio.Printable(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestBodyError_HasReason(t *testing.T) {
	t.Parallel()
	overloaded := fault.New(faultv1.Reason_REASON_OVERLOADED, "too many large requests at once")
	for _, c := range []struct {
		name   string
		err    error
		reason faultv1.Reason
		detail string
	}{
		{"over 64 KiB", fmt.Errorf("read: %w", &http.MaxBytesError{Limit: 64 << 10}), faultv1.Reason_REASON_PAYLOAD_TOO_LARGE, "64 KiB"},
		{"over 4 MiB", &http.MaxBytesError{Limit: 4 << 20}, faultv1.Reason_REASON_PAYLOAD_TOO_LARGE, "4 MiB"},
		{"a fault", fmt.Errorf("read: %w", overloaded), faultv1.Reason_REASON_OVERLOADED, "large requests"},
		{"too slow", fmt.Errorf("read: %w", os.ErrDeadlineExceeded), faultv1.Reason_REASON_DEADLINE_EXCEEDED, "in time"},
		{"incomplete", io.ErrUnexpectedEOF, faultv1.Reason_REASON_CANCELLED, "early"},
		{"anything else", errors.New("reset"), faultv1.Reason_REASON_CANCELLED, "early"},
	} {
		if f := fault.From(httpio.BodyError(c.err)); f.Reason() != c.reason || !strings.Contains(f.Detail(), c.detail) {
			t.Errorf("%s: %s, %q", c.name, f.Name(), f.Detail())
		}
	}
}
