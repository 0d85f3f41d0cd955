package gateway_test

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
)

// S82: two headers that name an encoding are refused before anybody is asked: we would
// believe the first, and the service the last.
func TestS82OneEncodingForEachMessage(t *testing.T) {
	t.Parallel()
	d := &double{}
	h := start(t, d, inMemory)
	small, large := packed(t, "{}"), packed(t, strings.Repeat("x", 66<<10))
	for _, header := range []string{"Content-Encoding", "Grpc-Encoding", "Connect-Content-Encoding"} {
		for _, values := range [][2]string{{"identity", "gzip"}, {"gzip", "identity"}, {"", "gzip"}, {"gzip", "gzip"}} {
			for _, s := range append(inEveryProtocol(searchRPC, "/v1/knowledge:search", small), inEveryProtocol(signInRPC, "/v1/auth/sign-in", large)...) {
				a, outcome := h.outcome(s, header, values[0], header, values[1])
				if !says(outcome, "INVALID_ARGUMENT", "invalid_argument", 3) || !strings.Contains(outcome+a.Trailer.Get("Grpc-Message")+a.Header.Get("Grpc-Message"), "more than one") {
					t.Errorf("%s with %s %q: %d %s", s.name, header, values, a.StatusCode, outcome)
				}
			}
		}
	}
	if d.calls != 0 || d.asked.Load() != 0 {
		t.Errorf("the service was called %d times and asked %d times", d.calls, d.asked.Load())
	}
}

// S82: the message of a Connect GET is unpacked by nobody, and a large one is decoded
// for authorized callers alone.
func TestS82ConnectGETsAreNotUnpacked(t *testing.T) {
	t.Parallel()
	d := &double{refuse: fault.New(faultv1.Reason_REASON_PERMISSION_DENIED, "not yours")}
	h := start(t, d, inMemory)
	query := func(message string, more ...string) string {
		return searchRPC + "?connect=v1&encoding=json&" + strings.Join(more, "&") + "&message=" + url.QueryEscape(message)
	}
	zipped := base64.RawURLEncoding.EncodeToString([]byte(packed(t, strings.Repeat(" ", 1<<20)+"{}")))
	for _, compression := range []string{"gzip", "GZIP", "br", "identity&compression=gzip", "&compression=gzip"} {
		a := h.call("GET", query(zipped, "base64=1", "compression="+compression), "")
		if a.StatusCode != http.StatusBadRequest || !strings.Contains(a.body, "must not be compressed") {
			t.Errorf("%s: %d %s", compression, a.StatusCode, a.body)
		}
	}
	if d.asked.Load() != 0 {
		t.Errorf("asked %d times", d.asked.Load())
	}
	for _, compression := range []string{"", "identity"} {
		a := h.call("GET", query(`{"query":"`+strings.Repeat("x", 9<<10)+`"}`, "compression="+compression), "")
		if a.StatusCode != http.StatusForbidden {
			t.Errorf("a large message, compression %q: %d %.300s", compression, a.StatusCode, a.body)
		}
	}
	if d.calls != 0 || d.asked.Load() != 2 {
		t.Errorf("the service was called %d times and asked %d times", d.calls, d.asked.Load())
	}
}

// S82, S89: a call takes one message. A second one would be held, and unpacked, by a
// service that then refuses it.
func TestS82ASecondMessageIsRefused(t *testing.T) {
	t.Parallel()
	d := &double{}
	h := start(t, d, inMemory)
	for _, rpc := range []string{searchRPC, signInRPC} {
		for _, s := range inEveryProtocol(rpc, "", "")[4:] {
			s.body = framed(0, "") + framed(0, "")
			if a, outcome := h.outcome(s); !says(outcome, "", "invalid_argument", 3) {
				t.Errorf("%s by %s: %d %s", rpc, s.name, a.StatusCode, outcome)
			}
		}
	}
}

// S89: a message of an upload is refused by its length, before the rest of it comes,
// also when it is only large once unpacked.
func TestS89ChunksAreBoundedBeforeTheyArrive(t *testing.T) {
	t.Parallel()
	h := start(t, &double{}, inMemory)
	tooLong := "\x00\x00\x20\x00\x00" // 2 MiB are to follow
	bomb := packed(t, strings.Repeat("x", 2<<20))
	for _, s := range []sent{
		{"gRPC", uploadRPC, tooLong, true, []string{"Content-Type", "application/grpc", "Te", "trailers"}},
		{"gRPC-Web", uploadRPC, tooLong, false, []string{"Content-Type", "application/grpc-web+proto"}},
		{"gRPC-Web text", uploadRPC, base64.StdEncoding.EncodeToString([]byte(tooLong)), false, []string{"Content-Type", "application/grpc-web-text"}},
		{"Connect", uploadRPC, tooLong, true, []string{"Content-Type", "application/connect+proto"}},
		{"Connect JSON", uploadRPC, tooLong, true, []string{"Content-Type", "application/connect+json"}},
		{"packed gRPC", uploadRPC, framed(1, bomb), true, []string{"Content-Type", "application/grpc", "Te", "trailers", "Grpc-Encoding", "gzip"}},
		{"packed gRPC-Web", uploadRPC, framed(1, bomb), false, []string{"Content-Type", "application/grpc-web+proto", "Grpc-Encoding", "gzip"}},
		{"packed Connect", uploadRPC, framed(1, bomb), true, []string{"Content-Type", "application/connect+proto", "Connect-Content-Encoding", "gzip"}},
	} {
		if a, outcome := h.outcome(s); !says(outcome, "", "resource_exhausted", 8) {
			t.Errorf("%s: %d %q", s.name, a.StatusCode, outcome)
		}
	}
}

// Chunks up to the limit pass, in every framing.
func TestChunksPass(t *testing.T) {
	t.Parallel()
	h := start(t, &double{}, inMemory)
	message := func(size int) string {
		return string(frame(t, chunkOf(size))[5:])
	}
	const size = 1 << 20
	jsonChunk := `{"chunk":"` + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("x"), size)) + `"}`
	for _, s := range []sent{
		{"gRPC", uploadRPC, framed(0, message(size)), true, []string{"Content-Type", "application/grpc", "Te", "trailers"}},
		{"gRPC-Web", uploadRPC, framed(0, message(size)), false, []string{"Content-Type", "application/grpc-web+proto"}},
		{"packed gRPC", uploadRPC, framed(1, packed(t, message(size))), true, []string{"Content-Type", "application/grpc", "Te", "trailers", "Grpc-Encoding", "gzip"}},
		{"Connect", uploadRPC, framed(0, message(size)), true, []string{"Content-Type", "application/connect+proto"}},
		{"Connect JSON", uploadRPC, framed(0, jsonChunk), true, []string{"Content-Type", "application/connect+json"}},
		{"packed Connect", uploadRPC, framed(1, packed(t, message(size))), true, []string{"Content-Type", "application/connect+proto", "Connect-Content-Encoding", "gzip"}},
	} {
		h.uploaded = nil
		first := framed(0, message(1))
		if strings.HasSuffix(s.headers[1], "json") {
			first = framed(0, `{"chunk":"eA=="}`)
		}
		s.body = first + s.body
		if a, outcome := h.outcome(s); len(h.uploaded) != size {
			t.Errorf("%s: %d bytes came, %d %.300q", s.name, len(h.uploaded), a.StatusCode, outcome)
		}
	}
}

func chunkOf(size int) *knowledgev1.UploadDocumentRequest {
	return &knowledgev1.UploadDocumentRequest{Part: &knowledgev1.UploadDocumentRequest_Chunk{Chunk: bytes.Repeat([]byte("x"), size)}}
}
