package gateway_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
)

const (
	searchRPC = knowledgev1.KnowledgeService_Search_FullMethodName
	sendRPC   = chatv1.ConversationService_SendMessage_FullMethodName
	uploadRPC = knowledgev1.DocumentService_UploadDocument_FullMethodName
	signInRPC = authv1.SessionService_SignIn_FullMethodName
	// garbage is refused as malformed when it is decoded.
	garbage = `{"query":`
)

// framed returns a message in a frame of gRPC.
func framed(flags byte, message string) string {
	head := []byte{flags, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(head[1:], uint32(len(message)))
	return string(head) + message
}

func packed(t *testing.T, message string) string {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write([]byte(message)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// sent is a request in one protocol.
type sent struct {
	name, path, body string
	http2            bool
	headers          []string
}

// inEveryProtocol returns a JSON message in every protocol. Where the protocol has no
// JSON, the message is bytes of protobuf.
func inEveryProtocol(rpc, route, text string) []sent {
	return []sent{
		{"REST", route, text, false, []string{"Content-Type", "application/json"}},
		{"Connect JSON", rpc, text, false, []string{"Content-Type", "application/json"}},
		{"Connect JSON over HTTP/2", rpc, text, true, []string{"Content-Type", "application/json"}},
		{"Connect binary", rpc, text, false, []string{"Content-Type", "application/proto"}},
		{"gRPC-Web", rpc, framed(0, text), false, []string{"Content-Type", "application/grpc-web+proto"}},
		{"gRPC", rpc, framed(0, text), true, []string{"Content-Type", "application/grpc", "Te", "trailers"}},
	}
}

// outcome returns the response to a message, and the parts of it that may contain its
// status.
func (h *harness) outcome(s sent, headers ...string) (reply, string) {
	h.t.Helper()
	client := h.client
	if s.http2 {
		client = h.h2c()
	}
	swapped := *h
	swapped.client = client
	a := swapped.call("POST", s.path, s.body, append(s.headers, headers...)...)
	if strings.HasPrefix(a.Header.Get("Content-Type"), "application/grpc-web-text") {
		_, trailers := webFrames(h.t, a.body, true)
		return a, trailers
	}
	return a, a.body + "grpc-status: " + a.Header.Get("Grpc-Status") + a.Trailer.Get("Grpc-Status")
}

// refusedWith reports whether an outcome is a refusal with a reason of REST, a code of
// Connect or a number of gRPC.
func refusedWith(outcome, reason, code string, number int) bool {
	return strings.Contains(outcome, `"reason":"`+reason+`"`) || strings.Contains(outcome, `"code":"`+code+`"`) ||
		strings.Contains(outcome, fmt.Sprintf("grpc-status: %d", number))
}

// S82: a message without a credential to a method that needs one is dropped and never
// decoded, in every protocol. The service is not called.
func TestS82AnonymousMessagesAreDropped(t *testing.T) {
	t.Parallel()
	d := &double{}
	h := start(t, d, inMemory)
	for _, s := range inEveryProtocol(searchRPC, "/v1/knowledge:search", garbage) {
		a, outcome := h.outcome(s, "Authorization", "")
		if !refusedWith(outcome, "UNAUTHENTICATED", "unauthenticated", 16) {
			t.Errorf("%s: %d %s", s.name, a.StatusCode, outcome)
		}
		if s.name == "REST" && (a.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Bearer ")) {
			t.Errorf("%d %v", a.StatusCode, a.Header)
		}
	}
	if a := h.call("GET", searchRPC+"?connect=v1&encoding=json&message="+url.QueryEscape(garbage), "", "Authorization", ""); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("Connect GET: %d %s", a.StatusCode, a.body)
	}
	file, contentType := form(t, part{name: "bogus", body: "x"})
	if a := h.call("POST", uploadPath, file, "Content-Type", contentType, "Authorization", ""); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("an upload: %d %s", a.StatusCode, a.body)
	}
	if d.calls != 0 || d.authorized.Load() != 0 {
		t.Errorf("the service was called %d times and authorized %d times", d.calls, d.authorized.Load())
	}
}

// S82, S52: the body of an anonymous client is dropped only up to the limit.
func TestS82AnonymousBodiesOverTheLimitAreTooLarge(t *testing.T) {
	t.Parallel()
	h := start(t, &double{}, inMemory)
	for name, length := range map[string]int64{"with a length": 5 << 20, "in chunks": -1} {
		r := h.request("POST", "/v1/knowledge:search", "x", "Content-Type", "application/json", "Authorization", "")
		r.Body, r.ContentLength, r.GetBody = closing{&zeros{left: 5 << 20}}, length, nil
		if a := h.do(r); a.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
}

type closing struct{ *zeros }

func (closing) Close() error { return nil }

// S82: a credential may be forged. Before the gateway decodes a costly message, it asks the
// service whether the caller may make the call.
func TestS82CostlyMessagesAreDecodedOnlyForAuthorizedCallers(t *testing.T) {
	t.Parallel()
	d := &double{refuse: fault.From(identity.Unauthenticated())}
	h := start(t, d, inMemory)
	large := garbage + strings.Repeat("1", 70<<10)
	file, contentType := form(t, part{name: "bogus", body: "x"})
	costly := []sent{
		{"REST", "/v1/knowledge:search", large, false, []string{"Content-Type", "application/json"}},
		{"Connect JSON", searchRPC, large, false, []string{"Content-Type", "application/json"}},
		{"Connect JSON over HTTP/2", searchRPC, large, true, []string{"Content-Type", "application/json"}},
		{"gRPC", searchRPC, framed(0, large), true, []string{"Content-Type", "application/grpc", "Te", "trailers"}},
		{"gRPC-Web", searchRPC, framed(0, large), false, []string{"Content-Type", "application/grpc-web+proto"}},
		{"gRPC-Web text", searchRPC, base64.StdEncoding.EncodeToString([]byte(framed(0, large))), false, []string{"Content-Type", "application/grpc-web-text"}},
		{"Connect binary", searchRPC, large, false, []string{"Content-Type", "application/proto"}},
		{"a Connect stream", sendRPC, framed(0, large), false, []string{"Content-Type", "application/connect+json"}},
		{"a list of encodings", searchRPC, framed(1, packed(t, garbage)), true, []string{"Content-Type", "application/grpc", "Te", "trailers", "Grpc-Encoding", "identity, gzip"}},
		{"packed Connect JSON", searchRPC, packed(t, garbage), false, []string{"Content-Type", "application/json", "Content-Encoding", "gzip"}},
		{"packed gRPC-Web", searchRPC, framed(1, packed(t, garbage)), false, []string{"Content-Type", "application/grpc-web+proto", "Grpc-Encoding", "gzip"}},
		{"packed gRPC", searchRPC, framed(1, packed(t, garbage)), true, []string{"Content-Type", "application/grpc", "Te", "trailers", "Grpc-Encoding", "gzip"}},
		{"an upload", uploadPath, file, false, []string{"Content-Type", contentType}},
	}
	for n, s := range costly {
		a, outcome := h.outcome(s)
		if !refusedWith(outcome, "UNAUTHENTICATED", "unauthenticated", 16) {
			t.Errorf("%s: %d %s", s.name, a.StatusCode, outcome)
		}
		if int(d.authorized.Load()) != n+1 || d.calls != 0 {
			t.Errorf("%s: authorized %d times, called %d times", s.name, d.authorized.Load(), d.calls)
		}
	}
	r := h.request("POST", searchRPC, "x", "Content-Type", "application/json")
	r.Body, r.ContentLength, r.GetBody = closing{&zeros{left: 100 << 10}}, -1, nil
	if a := h.do(r); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("Connect JSON in chunks: %d %s", a.StatusCode, a.body)
	}
	d.refuse = nil
	for _, s := range costly {
		a, outcome := h.outcome(s)
		if !refusedWith(outcome, "INVALID_ARGUMENT", "invalid_argument", 13) && !refusedWith(outcome, "-", "internal", 12) {
			t.Errorf("%s of an authorized caller: %d %s", s.name, a.StatusCode, outcome)
		}
	}
	d.authorized.Store(0)
	for _, s := range inEveryProtocol(searchRPC, "/v1/knowledge:search", `{"query":"x"}`)[:3] {
		if a, outcome := h.outcome(s); a.StatusCode != http.StatusOK || d.authorized.Load() != 0 {
			t.Errorf("%s: %s, authorized %d times", s.name, outcome, d.authorized.Load())
		}
	}
}

// S82: a message to a method that needs no credential has at most 64 KiB, in every
// protocol, before and after decompression.
func TestS82PublicMessagesAreSmall(t *testing.T) {
	t.Parallel()
	d := &double{}
	h := start(t, d, inMemory)
	large := `{"email":"` + strings.Repeat("x", 66<<10) + `"}`
	all := append(inEveryProtocol(signInRPC, "/v1/auth/sign-in", large),
		sent{"packed Connect JSON", signInRPC, packed(t, large), false, []string{"Content-Type", "application/json", "Content-Encoding", "gzip"}},
		sent{"packed gRPC-Web", signInRPC, framed(1, packed(t, large)), false, []string{"Content-Type", "application/grpc-web+proto", "Grpc-Encoding", "gzip"}},
		sent{"packed gRPC", signInRPC, framed(1, packed(t, large)), true, []string{"Content-Type", "application/grpc", "Te", "trailers", "Grpc-Encoding", "gzip"}},
	)
	for _, s := range all {
		a, outcome := h.outcome(s, "Authorization", "")
		if !refusedWith(outcome, "PAYLOAD_TOO_LARGE", "resource_exhausted", 8) || s.name == "REST" && a.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %d %s", s.name, a.StatusCode, outcome)
		}
	}
	if d.calls != 0 {
		t.Errorf("the service was called %d times", d.calls)
	}
}

// S82: deep nesting is an error of the caller, wherever JSON is decoded. The error names
// the field.
func TestS82NestingIsBounded(t *testing.T) {
	t.Parallel()
	h := start(t, &double{}, inMemory)
	nested := func(levels int) string {
		return `{"challengeId":"a}]","credential":{"a\"b":` + strings.Repeat("[", levels) + strings.Repeat("]", levels) + `}}`
	}
	const rpc = authv1.SessionService_FinishPasskeySignIn_FullMethodName
	for _, s := range inEveryProtocol(rpc, "/v1/auth/passkeys:finish", nested(9000))[:3] {
		a, outcome := h.outcome(s)
		if a.StatusCode != http.StatusBadRequest || !strings.Contains(outcome, "credential: nests deeper than 64 levels") {
			t.Errorf("%s: %d %s", s.name, a.StatusCode, outcome)
		}
	}
	for _, s := range inEveryProtocol(rpc, "/v1/auth/passkeys:finish", nested(62))[:3] {
		if _, outcome := h.outcome(s); strings.Contains(outcome, "nests deeper") {
			t.Errorf("%s, 64 levels: %s", s.name, outcome)
		}
	}
}

// S82: decoding a value costs more than its bytes, so a text with many values is refused
// before it is decoded.
func TestS82ValuesAreBounded(t *testing.T) {
	t.Parallel()
	h := start(t, &double{}, inMemory)
	for _, c := range []struct {
		rpc, route string
		values     int
	}{
		{signInRPC, "/v1/auth/sign-in", 1000},
		{searchRPC, "/v1/knowledge:search", 10_000},
	} {
		text := `{"x":[` + strings.Repeat("{},", c.values/2) + `{}]}`
		for _, s := range inEveryProtocol(c.rpc, c.route, text)[:3] {
			a, outcome := h.outcome(s)
			if a.StatusCode != http.StatusBadRequest || !strings.Contains(outcome, fmt.Sprintf("more than %d values", c.values)) {
				t.Errorf("%s of %s: %d %s", s.name, c.route, a.StatusCode, outcome)
			}
		}
	}
}

// S82: a response lists the violations of a request only up to a limit.
func TestS82ViolationsAreLimited(t *testing.T) {
	t.Parallel()
	h := start(t, &double{}, inMemory)
	var fields, query []string
	for n := range 150 {
		fields = append(fields, fmt.Sprintf(`"field%03d":1`, n))
		query = append(query, fmt.Sprintf("f%d=1", n))
	}
	for name, a := range map[string]reply{
		"a body":  h.call("POST", "/v1/knowledge:search", "{"+strings.Join(fields, ",")+"}"),
		"a query": h.call("GET", "/v1/assistants?"+strings.Join(query, "&"), ""),
	} {
		p := a.problem(t)
		if a.StatusCode != http.StatusBadRequest || len(p.Violations) != fault.MaxViolations || !strings.Contains(p.Detail, "150 violations") {
			t.Errorf("%s: %d, %d violations, %s", name, a.StatusCode, len(p.Violations), p.Detail)
		}
		if name == "a body" && (p.Violations[0].Field != "field000" || p.Violations[19].Field != "field019") {
			t.Errorf("%v", p.Violations)
		}
	}
	if a := h.call("GET", "/v1/assistants?"+strings.Join(query, "&")+"&"+strings.Join(query, "&"), ""); a.StatusCode != http.StatusBadRequest || len(a.problem(t).Violations) != 0 {
		t.Errorf("300 parameters: %d %s", a.StatusCode, a.body)
	}
	long := h.call("POST", "/v1/knowledge:search", `{"`+strings.Repeat("x", 100<<10)+`":1}`)
	if len(long.body) > 2000 {
		t.Errorf("a name of the client's is repeated in %d bytes", len(long.body))
	}
}
