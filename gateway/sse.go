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
	// pingInterval is the longest silence of a stream: proxies close what says
	// nothing.
	pingInterval = 15 * time.Second
	// readerTimeout cuts a reader that takes nothing.
	readerTimeout = 30 * time.Second
	// eventsAhead is how many events wait between the service and a reader.
	eventsAhead = 16
	// runFinished is the header by which a service says that the run has ended
	// and the reader has seen all of it.
	runFinished = "x-gatehouse-run-finished"
)

// eventStream is what the generated clients return for a stream of events.
type eventStream = grpc.ServerStreamingClient[chatv1.RunEvent]

// sendMessage serves POST …/messages:stream.
func (g *Gateway) sendMessage(mux *runtime.ServeMux) runtime.HandlerFunc {
	client := chatv1.NewConversationServiceClient(g.chat.conn)
	return g.events(mux, func(ctx context.Context, r *http.Request, params map[string]string) (eventStream, error) {
		req := &chatv1.SendMessageRequest{}
		x := exchangeOf(ctx)
		if err := (protojson.UnmarshalOptions{}).Unmarshal(x.body, req); err != nil {
			return nil, explain(g.matched(r), x.body)
		}
		req.ConversationId = params["conversation_id"]
		return client.SendMessage(ctx, req)
	})
}

// watchRun serves GET /v1/runs/{run_id}/events.
func (g *Gateway) watchRun(mux *runtime.ServeMux) runtime.HandlerFunc {
	client := chatv1.NewRunServiceClient(g.chat.conn)
	return g.events(mux, func(ctx context.Context, r *http.Request, params map[string]string) (eventStream, error) {
		after, err := position(r)
		if err != nil {
			return nil, err
		}
		return client.WatchRun(ctx, &chatv1.WatchRunRequest{RunId: params["run_id"], AfterSeq: after})
	})
}

// position is where a reader wants to go on. The header wins: EventSource sends
// it when it reconnects to an URL that still holds the first position.
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

// events serves any stream of run events as text/event-stream.
//
// The service accepts the reader by a header of its own, or by its first event.
// Until then a failure is a problem with its own status. Afterwards there are
// no errors: a stream that breaks ends without its terminal event, and the
// client comes back with Last-Event-ID. When the client leaves, only the call
// to the service ends: a run outlives its readers.
func (g *Gateway) events(mux *runtime.ServeMux, open openEvents) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
		leave, refused := g.openStream(r)
		if refused != nil {
			g.fail(w, r, refused)
			return
		}
		defer leave()
		ctx, cancel := g.untilDrain(r.Context())
		defer cancel()
		x := exchangeOf(ctx)
		ctx, err := runtime.AnnotateContext(ctx, mux, r, x.method.fullName, runtime.WithHTTPPathPattern(x.route))
		if err != nil {
			g.fail(w, r, err)
			return
		}
		feed, header, err := startFeed(ctx, cancel, func() (eventStream, error) { return open(ctx, r, params) })
		serviceHeaders(w.Header(), header)
		if err != nil {
			g.fail(w, r, drainError(ctx, err))
			return
		}
		defer feed.close()
		// A stream stays open for long, and its request is needed no more.
		x.release()
		x.body, r.Body = nil, http.NoBody
		if feed.finished && feed.ended() {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		g.copyEvents(ctx, w, feed)
	}
}

// copyEvents writes events until the feed ends, the reader leaves, or the
// gateway stops.
func (g *Gateway) copyEvents(ctx context.Context, w http.ResponseWriter, feed *feed) {
	out := newEventWriter(w, g.readerTimeout)
	defer out.release()
	if out.open() != nil {
		return
	}
	ping := g.deps.Clock.NewTimer(pingInterval)
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

// startFeed opens a stream and waits until the service has accepted it. It
// returns the headers of the service in either case. They do not mean that the
// stream was accepted: a refusal has headers too, such as the caller's rate
// limit.
func startFeed(ctx context.Context, cancel context.CancelFunc, open func() (eventStream, error)) (*feed, metadata.MD, error) {
	stream, err := open()
	if err != nil {
		return nil, nil, err
	}
	header, err := stream.Header()
	if err != nil {
		return nil, nil, err //nolint:wrapcheck // a status, which fault.From understands
	}
	f := &feed{finished: len(header.Get(runFinished)) > 0, events: make(chan *chatv1.RunEvent, eventsAhead), cancel: cancel}
	if len(header.Get(rpcserver.MetadataStreamAccepted)) == 0 {
		first, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil, header, fault.New(faultv1.Reason_REASON_INTERNAL, "an internal error occurred")
		case err != nil:
			return nil, header, err //nolint:wrapcheck // as above
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
			return // its end or its break: to the reader they are the same
		}
		select {
		case f.events <- event:
		case <-ctx.Done():
			return
		}
	}
}

// ended waits for the feed's end, and tells whether it came before any event.
func (f *feed) ended() bool {
	_, more := <-f.events
	return !more
}

// close ends the call and waits until nothing of it is left.
func (f *feed) close() {
	f.cancel()
	for range f.events { // drained for its end
	}
}

// socketDeadline is when a write must have happened. Sockets run on the
// machine's time, whatever clock the gateway was given.
func socketDeadline(d time.Duration) time.Time { return clock.System().Now().Add(d) }
