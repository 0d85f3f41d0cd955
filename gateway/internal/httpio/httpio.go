// Package httpio bounds the time and the size of requests and responses. The
// gateway's protocols and its site share it.
package httpio

import (
	"errors"
	"net/http"
	"os"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// RequestTimeout ends a request that is not a stream. A client may ask for less
	// with Grpc-Timeout, but not for more.
	RequestTimeout = 30 * time.Second
	// BodyTimeout is how long a client may take to send a body.
	BodyTimeout = 30 * time.Second
	// MaxParameters bounds the parameters of a query or a form. One with more is
	// refused before it is decoded.
	MaxParameters = 200
	// MaxText bounds how many bytes are kept of a text that the client chose, such as
	// its user agent.
	MaxText = 200

	// responseTimeout is how long a client may take to read a response.
	responseTimeout = 2 * time.Minute
)

// ReadDeadline gives the client d to send its body. The caller calls the returned
// function when the body has been read. It removes the deadline: one that passes
// later would look like a client that closed its connection.
func ReadDeadline(w http.ResponseWriter, d time.Duration) (remove func()) {
	controller := http.NewResponseController(w)
	// A connection without deadlines is bounded by the end of the request.
	_ = controller.SetReadDeadline(SocketDeadline(d))
	return func() { _ = controller.SetReadDeadline(time.Time{}) }
}

// WriteDeadline gives the client two minutes to read a response that is not a
// stream. The returned function removes the deadline from the connection.
func WriteDeadline(w http.ResponseWriter) (remove func()) {
	controller := http.NewResponseController(w)
	_ = controller.SetWriteDeadline(SocketDeadline(responseTimeout)) // as above
	return func() { _ = controller.SetWriteDeadline(time.Time{}) }
}

// SocketDeadline returns the time at which d has passed. Sockets use the time of the
// machine, whatever clock the gateway was given.
func SocketDeadline(d time.Duration) time.Time { return clock.System().Now().Add(d) }

// BodyError returns the fault for a body that could not be read.
func BodyError(err error) error {
	var tooMuch *http.MaxBytesError
	var known *fault.Fault
	switch {
	case errors.As(err, &tooMuch):
		return TooLarge(tooMuch.Limit)
	case errors.As(err, &known):
		return known
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fault.Wrap(err, faultv1.Reason_REASON_DEADLINE_EXCEEDED, "the body did not arrive in time")
	default:
		return fault.Wrap(err, faultv1.Reason_REASON_CANCELLED, "the body ended early")
	}
}

// TooLarge returns the fault for a body of more than limit bytes.
func TooLarge(limit int64) error {
	if limit < 1<<20 {
		return fault.New(faultv1.Reason_REASON_PAYLOAD_TOO_LARGE, "the body is over %d KiB", limit>>10)
	}
	return fault.New(faultv1.Reason_REASON_PAYLOAD_TOO_LARGE, "the body is over %d MiB", limit>>20)
}

// Printable returns the printable ASCII characters of a text that the client chose,
// up to MaxText of them. The result is safe in gRPC metadata and logs.
func Printable(s string) string {
	out := make([]byte, 0, min(len(s), MaxText))
	for i := 0; i < len(s) && len(out) < MaxText; i++ {
		if s[i] >= ' ' && s[i] < 0x7f {
			out = append(out, s[i])
		}
	}
	return string(out)
}
