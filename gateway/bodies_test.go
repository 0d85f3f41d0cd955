package gateway_test

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/gatehouse/gatehouse/gateway"
	"github.com/gatehouse/gatehouse/platform/fault"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
)

// unfinished is a body of 4 MiB whose end does not arrive until finish is closed.
type unfinished struct {
	rest   io.Reader
	finish chan struct{}
}

func (u *unfinished) Read(p []byte) (int, error) {
	n, err := u.rest.Read(p)
	if err == nil {
		return n, nil
	}
	<-u.finish
	return 0, io.EOF
}

// S89: large requests that never end leave room for others. One client gets at most its
// part, which is available again when its requests have ended.
func TestS89AllBodiesTogetherAreBounded(t *testing.T) {
	t.Parallel()
	const size, many, room = 4<<20 - 1024, 12, 4
	h := start(t, &double{})
	text := `{"title":"x","content":"` + strings.Repeat("a", size-64) + `"}`
	path := "/v1/collections/0198c0de-0000-7000-8000-000000000001/documents"
	var answering sync.WaitGroup
	finish := make(chan struct{})
	refusals := make([]string, many) // the reason of each refusal, or ""
	for n := range many {
		body := &unfinished{rest: bytes.NewReader([]byte(text)), finish: finish}
		ended := make(chan struct{})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url+path, body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer somebody")
		answering.Go(func() {
			defer close(ended)
			refusals[n] = tryLarge(h.client, req)
		})
		// The next request begins when this one has all of its bytes here, or is refused.
		// Requests that arrive together could refuse each other.
		if n < room {
			h.eventually("the body to arrive", func() bool { return h.gateway.BodiesHeld() >= (n+1)*(len(text)-gateway.Uncounted) })
		} else {
			within(t, ended, "the refusal")
		}
	}
	if a := h.call("POST", path, `{"title":"x","content":"small"}`); a.StatusCode == http.StatusServiceUnavailable {
		t.Errorf("a small request beside them: %d %s", a.StatusCode, a.body)
	}
	close(finish)
	answering.Wait()
	refused, explained := 0, 0
	for _, why := range refusals {
		switch why {
		case "":
		case overloaded:
			refused, explained = refused+1, explained+1
		default: // the gateway closes a connection whose body it does not read
			refused++
		}
	}
	if refused != many-room || explained == 0 {
		t.Errorf("%d of %d large requests at once were refused, with room for %d: %q", refused, many, room, refusals)
	}
	if a := h.call("POST", path, text); a.StatusCode == http.StatusServiceUnavailable {
		t.Errorf("a large request after them: %d %s", a.StatusCode, a.body)
	}
}

const overloaded = "503 OVERLOADED"

// tryLarge sends a request. It returns the reason of the refusal, or "".
func tryLarge(client *http.Client, req *http.Request) string {
	resp, err := client.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err.Error()
	case resp.StatusCode != http.StatusServiceUnavailable:
		return ""
	case strings.Contains(string(text), "OVERLOADED") && resp.Header.Get("Retry-After") != "":
		return overloaded
	default:
		return resp.Status + string(text)
	}
}

// S89: when there is no room, the response says so and when to retry, in every protocol.
func TestS89OverloadIsReportedInEveryProtocol(t *testing.T) {
	t.Parallel()
	d := &double{}
	h := start(t, d)
	h.gateway.FillBodies("127.0.0.1")
	text := `{"query":"` + strings.Repeat("x", 100<<10) + `"}`
	web := sent{"gRPC-Web text", searchRPC, base64.StdEncoding.EncodeToString([]byte(framed(0, text))), false, []string{"Content-Type", "application/grpc-web-text"}}
	for _, s := range append(inEveryProtocol(searchRPC, "/v1/knowledge:search", text), web) {
		a, outcome := h.outcome(s)
		refused := refusedWith(outcome, "OVERLOADED", "unavailable", 14)
		details := a.Header.Get("Retry-After") + a.Header.Get("Grpc-Status-Details-Bin") + a.Trailer.Get("Grpc-Status-Details-Bin")
		if !refused || details == "" && !strings.Contains(outcome, "grpc-status-details-bin") && !strings.Contains(outcome, "google.rpc.RetryInfo") {
			t.Errorf("%s: %d %.600s %v", s.name, a.StatusCode, outcome, a.Header)
		}
	}
	_, err := knowledgev1.NewKnowledgeServiceClient(h.dial()).Search(t.Context(), &knowledgev1.SearchRequest{Query: text})
	if f := fault.From(err); f.Reason() != faultv1.Reason_REASON_OVERLOADED || f.RetryAfter() <= 0 {
		t.Errorf("gRPC's client sees %v, retry after %v", err, f.RetryAfter())
	}
	if d.calls != 0 {
		t.Errorf("the service was called %d times", d.calls)
	}
}

// S89: after a stream of events has begun, its message is no longer counted.
func TestS89StreamsDoNotCountTheirBodies(t *testing.T) {
	t.Parallel()
	d := &double{send: func(_ *chatv1.SendMessageRequest, stream watchStream) error {
		if err := accept(stream); err != nil {
			return err
		}
		if err := stream.Send(delta(1, "x")); err != nil {
			return err
		}
		<-stream.Context().Done()
		return nil
	}}
	h := start(t, d)
	large := &chatv1.SendMessageRequest{ConversationId: "c", Content: strings.Repeat("x", 1<<20)}
	text, err := protojson.Marshal(large)
	if err != nil {
		t.Fatal(err)
	}
	binary := string(frame(t, large))
	for _, s := range []sent{
		{"REST", "/v1/conversations/c/messages:stream", string(text), false, []string{"Content-Type", "application/json"}},
		{"Connect", sendRPC, framed(0, string(text)), true, []string{"Content-Type", "application/connect+json"}},
		{"gRPC-Web", sendRPC, binary, false, []string{"Content-Type", "application/grpc-web+proto"}},
		{"gRPC", sendRPC, binary, true, []string{"Content-Type", "application/grpc", "Te", "trailers"}},
	} {
		t.Run(s.name, func(t *testing.T) {
			client := h.client
			if s.http2 {
				client = h.h2c()
			}
			resp, err := client.Do(h.request("POST", s.path, s.body, s.headers...))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if held := h.gateway.BodiesHeld(); resp.StatusCode != http.StatusOK || held != 0 {
				t.Errorf("%d, and %d bytes are counted", resp.StatusCode, held)
			}
		})
	}
}
