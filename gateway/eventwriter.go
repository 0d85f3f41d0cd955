package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/gatehouse/gatehouse/gateway/internal/httpio"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
)

// maxBatch bounds how many events share one write.
const maxBatch = 64

// eventBuffers lends the buffers in which events are written.
var eventBuffers = sync.Pool{New: func() any { return new(bytes.Buffer) }} //nolint:gochecknoglobals // a pool has no state of its own

// eventWriter writes server-sent events. Each write has a deadline, so that a client
// that reads nothing is disconnected and cannot keep its call to the service open.
type eventWriter struct {
	w          http.ResponseWriter
	controller *http.ResponseController
	timeout    time.Duration
	buf        *bytes.Buffer
	json       []byte
}

func newEventWriter(w http.ResponseWriter, timeout time.Duration) *eventWriter {
	buf, _ := eventBuffers.Get().(*bytes.Buffer)
	buf.Reset()
	return &eventWriter{w: w, controller: http.NewResponseController(w), timeout: timeout, buf: buf}
}

// release returns the buffer, and removes the deadline from the connection, which may
// serve another request.
func (e *eventWriter) release() {
	_ = e.controller.SetWriteDeadline(time.Time{})
	eventBuffers.Put(e.buf)
}

// open sends the headers and the time to wait before a reconnect. It does not wait for
// an event: the reader learns that the stream is open, and proxies pass the headers on.
func (e *eventWriter) open() error {
	h := e.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache, no-transform")
	h.Set("X-Accel-Buffering", "no")
	e.w.WriteHeader(http.StatusOK)
	e.buf.WriteString("retry: 1000\n\n")
	return e.flush()
}

// ping sends a comment, which readers ignore.
func (e *eventWriter) ping() error {
	e.buf.WriteString(": ping\n\n")
	return e.flush()
}

// events writes an event and those that are queued, in one flush.
func (e *eventWriter) events(event *chatv1.RunEvent, waiting <-chan *chatv1.RunEvent) error {
	for n := 1; ; n++ {
		if err := e.event(event); err != nil {
			return err
		}
		if n == maxBatch {
			return e.flush()
		}
		select {
		case next, ok := <-waiting:
			if !ok {
				return e.flush()
			}
			event = next
		default:
			return e.flush()
		}
	}
}

func (e *eventWriter) event(event *chatv1.RunEvent) error {
	name, ok := eventName(event)
	if !ok {
		return nil // of a kind that this build does not know, so it has no name
	}
	encoded, err := protojson.MarshalOptions{EmitUnpopulated: true}.MarshalAppend(e.json[:0], event)
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	e.json = encoded
	e.buf.WriteString("id: ")
	e.buf.Write(strconv.AppendInt(e.buf.AvailableBuffer(), int64(event.GetSeq()), 10))
	e.buf.WriteString("\nevent: ")
	e.buf.WriteString(name)
	e.buf.WriteString("\ndata: ")
	// protojson varies its whitespace from build to build. All readers must receive the
	// same bytes.
	if err := json.Compact(e.buf, encoded); err != nil {
		return fmt.Errorf("compact event: %w", err)
	}
	e.buf.WriteString("\n\n")
	return nil
}

func (e *eventWriter) flush() error {
	// A connection without deadlines is bounded by the end of the request.
	_ = e.controller.SetWriteDeadline(httpio.SocketDeadline(e.timeout))
	_, err := e.w.Write(e.buf.Bytes())
	e.buf.Reset()
	if err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	if err := e.controller.Flush(); err != nil {
		return fmt.Errorf("flush events: %w", err)
	}
	return nil
}

// eventName returns the kind of an event: the name of the field that is set, with a dot
// for the first underscore, for example run.started. It returns false for an unknown
// kind.
func eventName(event *chatv1.RunEvent) (string, bool) {
	m := event.ProtoReflect()
	field := m.WhichOneof(eventOneof(m.Descriptor()))
	if field == nil {
		return "", false
	}
	return strings.Replace(string(field.Name()), "_", ".", 1), true
}

func eventOneof(m protoreflect.MessageDescriptor) protoreflect.OneofDescriptor {
	return m.Oneofs().ByName("event")
}
