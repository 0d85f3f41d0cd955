package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// pingInterval is the longest time in which a stream sends nothing. Proxies close
	// connections on which nothing is sent.
	pingInterval = 15 * time.Second
	// eventsAhead is how many events are queued between the service and a reader.
	eventsAhead = 16
	// runFinished is the header with which a service reports that the run has finished
	// and the reader has received all of its events.
	runFinished = "x-gatehouse-run-finished"
)

// eventStream is what the generated clients return for a stream of events.
type eventStream = grpc.ServerStreamingClient[chatv1.RunEvent]

// eventStreams serves the REST routes that send run events as text/event-stream.
type eventStreams struct {
	mux     *runtime.ServeMux
	table   *table
	conn    grpc.ClientConnInterface // to chat
	streams *streams
	clock   clock.Clock
}

// routes returns the handlers by verb and pattern.
func (s *eventStreams) routes() map[string]runtime.HandlerFunc {
	return map[string]runtime.HandlerFunc{
		"POST /v1/conversations/{conversation_id}/messages:stream": s.serve(s.sendMessage),
		"GET /v1/runs/{run_id}/events":                             s.serve(s.watchRun),
	}
}

// sendMessage opens the stream of POST …/messages:stream.
func (s *eventStreams) sendMessage(ctx context.Context, r *http.Request, params map[string]string) (eventStream, error) {
	req := &chatv1.SendMessageRequest{}
	x := exchangeOf(ctx)
	if err := (protojson.UnmarshalOptions{}).Unmarshal(x.body, req); err != nil {
		return nil, explain(s.table.matched(r), x.body)
	}
	req.ConversationId = params["conversation_id"]
	return chatv1.NewConversationServiceClient(s.conn).SendMessage(ctx, req)
}

// watchRun opens the stream of GET /v1/runs/{run_id}/events.
func (s *eventStreams) watchRun(ctx context.Context, r *http.Request, params map[string]string) (eventStream, error) {
	after, err := position(r)
	if err != nil {
		return nil, err
	}
	return chatv1.NewRunServiceClient(s.conn).WatchRun(ctx, &chatv1.WatchRunRequest{RunId: params["run_id"], AfterSeq: after})
}

// position returns the number of the event after which a reader resumes. The header
// has priority: EventSource sends it when it reconnects to a URL that still has the
// first position.
func position(r *http.Request) (int32, error) {
	name, text := "Last-Event-ID", r.Header.Get("Last-Event-ID")
	if text == "" {
		name, text = "afterSeq", r.URL.Query().Get("afterSeq")
	}
	if text == "" {
		text = r.URL.Query().Get("after_seq")
	}
	if text == "" {
		return 0, nil
	}
	seq, err := strconv.ParseInt(text, 10, 32)
	if err != nil || seq < 0 {
		return 0, fault.Invalid(name, "must be the id of an event: a whole number, not negative")
	}
	return int32(seq), nil
}

// openEvents opens the stream of a request at the service.
type openEvents func(ctx context.Context, r *http.Request, params map[string]string) (eventStream, error)

// serve returns the handler of a stream of run events.
//
// The service accepts the reader by a header of its own, or by its first event. Before
// that, a failure is a problem with its own status. Afterwards the gateway reports no
// errors: a stream that breaks ends without its terminal event, and the client resumes
// with Last-Event-ID. When the client disconnects, only the call to the service ends.
// The run continues without readers.
func (s *eventStreams) serve(open openEvents) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
		ctx, leave, err := s.streams.enter(r)
		if err != nil {
			fail(w, r, err)
			return
		}
		defer leave()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		x := exchangeOf(ctx)
		ctx, err = runtime.AnnotateContext(ctx, s.mux, r, x.method.fullName, runtime.WithHTTPPathPattern(x.route))
		if err != nil {
			fail(w, r, err)
			return
		}
		feed, header, err := startFeed(ctx, cancel, func() (eventStream, error) { return open(ctx, r, params) })
		serviceHeaders(w.Header(), header)
		if err != nil {
			fail(w, r, drainError(ctx, err))
			return
		}
		defer feed.close()
		// The stream may stay open for long and does not need its request again.
		x.release()
		x.body, r.Body = nil, http.NoBody
		if feed.finished && feed.ended() {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		s.copyEvents(ctx, w, feed)
	}
}

// copyEvents writes events until the feed ends, the reader disconnects, or the gateway
// stops.
func (s *eventStreams) copyEvents(ctx context.Context, w http.ResponseWriter, feed *feed) {
	out := newEventWriter(w, s.streams.readerTimeout)
	defer out.release()
	if out.open() != nil {
		return
	}
	ping := s.clock.NewTimer(pingInterval)
	defer ping.Stop()
	for {
		var err error
		select {
		case event, ok := <-feed.events:
			if !ok {
				return
			}
			err = out.events(event, feed.events)
		case <-ping.C():
			err = out.ping()
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
		ping.Reset(pingInterval)
	}
}

// feed receives the events of one call. Its goroutine ends with the call, and
// close waits for it.
type feed struct {
	// finished reports that the service has nothing more to send.
	finished bool
	events   chan *chatv1.RunEvent
	cancel   context.CancelFunc
}

// startFeed opens a stream and waits until the service has accepted it. It returns the
// headers of the service in either case. Headers alone do not mean that the stream was
// accepted: a refusal has headers too, such as the caller's rate limit.
func startFeed(ctx context.Context, cancel context.CancelFunc, open func() (eventStream, error)) (*feed, metadata.MD, error) {
	stream, err := open()
	if err != nil {
		return nil, nil, err
	}
	header, err := stream.Header()
	if err != nil {
		return nil, nil, err
	}
	f := &feed{finished: len(header.Get(runFinished)) > 0, events: make(chan *chatv1.RunEvent, eventsAhead), cancel: cancel}
	if len(header.Get(rpcserver.MetadataStreamAccepted)) == 0 {
		first, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil, header, fault.New(faultv1.Reason_REASON_INTERNAL, "an internal error occurred")
		case err != nil:
			return nil, header, err
		}
		f.events <- first // its buffer is empty
	}
	go f.receive(ctx, stream)
	return f, header, nil
}

func (f *feed) receive(ctx context.Context, stream eventStream) {
	defer close(f.events)
	for {
		event, err := stream.Recv()
		if err != nil {
			return // the stream ended or broke, which a reader sees alike
		}
		select {
		case f.events <- event:
		case <-ctx.Done():
			return
		}
	}
}

// ended waits for an event or for the end of the feed. It reports whether the feed
// ended.
func (f *feed) ended() bool {
	_, more := <-f.events
	return !more
}

// close ends the call and waits for its goroutine.
func (f *feed) close() {
	f.cancel()
	for range f.events { // until the goroutine closes it
	}
}
