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

// S82: two headers for the same encoding are refused before any service is called. The
// gateway would use the first, and the service the last.
func TestS82TwoEncodingHeadersAreRefused(t *testing.T) {
	t.Parallel()
	d := &double{}
	h := start(t, d, inMemory)
	small, large := packed(t, "{}"), packed(t, strings.Repeat("x", 66<<10))
	for _, header := range []string{"Content-Encoding", "Grpc-Encoding", "Connect-Content-Encoding"} {
		for _, values := range [][2]string{{"identity", "gzip"}, {"gzip", "identity"}, {"", "gzip"}, {"gzip", "gzip"}} {
			for _, s := range append(inEveryProtocol(searchRPC, "/v1/knowledge:search", small), inEveryProtocol(signInRPC, "/v1/auth/sign-in", large)...) {
				a, outcome := h.outcome(s, header, values[0], header, values[1])
				if !refusedWith(outcome, "INVALID_ARGUMENT", "invalid_argument", 3) || !strings.Contains(outcome+a.Trailer.Get("Grpc-Message")+a.Header.Get("Grpc-Message"), "more than one") {
					t.Errorf("%s with %s %q: %d %s", s.name, header, values, a.StatusCode, outcome)
				}
			}
		}
	}
	if d.calls != 0 || d.authorized.Load() != 0 {
		t.Errorf("the service was called %d times and authorized %d times", d.calls, d.authorized.Load())
	}
}

// S82: a compressed message of a Connect GET is refused. A large one is decoded only for
// authorized callers.
func TestS82CompressedConnectGETsAreRefused(t *testing.T) {
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
	if d.authorized.Load() != 0 {
		t.Errorf("authorized %d times", d.authorized.Load())
	}
	for _, compression := range []string{"", "identity"} {
		a := h.call("GET", query(`{"query":"`+strings.Repeat("x", 9<<10)+`"}`, "compression="+compression), "")
		if a.StatusCode != http.StatusForbidden {
			t.Errorf("a large message, compression %q: %d %.300s", compression, a.StatusCode, a.body)
		}
	}
	if d.calls != 0 || d.authorized.Load() != 2 {
		t.Errorf("the service was called %d times and authorized %d times", d.calls, d.authorized.Load())
	}
}

// S82, S89: a call has one message. A service would hold and decompress a second one
// before it refuses it.
func TestS82ASecondMessageIsRefused(t *testing.T) {
	t.Parallel()
	d := &double{}
	h := start(t, d, inMemory)
	for _, rpc := range []string{searchRPC, signInRPC} {
		for _, s := range inEveryProtocol(rpc, "", "")[4:] {
			s.body = framed(0, "") + framed(0, "")
			if a, outcome := h.outcome(s); !refusedWith(outcome, "", "invalid_argument", 3) {
				t.Errorf("%s by %s: %d %s", rpc, s.name, a.StatusCode, outcome)
			}
			// net/http closes a connection over which a body was not read to its end, but does
			// not announce it. The next request needs another one.
			h.client.CloseIdleConnections()
		}
	}
}

// S89: a message of an upload is refused by its length, before the rest of it arrives. A
// compressed message is refused by its length after decompression.
func TestS89ChunksAreBoundedBeforeTheyArrive(t *testing.T) {
	t.Parallel()
	h := start(t, &double{}, inMemory)
	tooLong := "\x00\x00\x20\x00\x00" // 2 MiB would follow
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
		if a, outcome := h.outcome(s); !refusedWith(outcome, "", "resource_exhausted", 8) {
			t.Errorf("%s: %d %q", s.name, a.StatusCode, outcome)
		}
	}
}

// Chunks up to the limit pass, in every framing.
func TestUpload_ChunksUpToLimit_PassInEveryFraming(t *testing.T) {
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
			t.Errorf("%s: %d bytes arrived, %d %.300q", s.name, len(h.uploaded), a.StatusCode, outcome)
		}
	}
}

func chunkOf(size int) *knowledgev1.UploadDocumentRequest {
	return &knowledgev1.UploadDocumentRequest{Part: &knowledgev1.UploadDocumentRequest_Chunk{Chunk: bytes.Repeat([]byte("x"), size)}}
}
