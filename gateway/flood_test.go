package gateway_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// Types and flags of HTTP/2 frames (RFC 9113 section 6). No client library sends what these
// tests send.
const (
	frameHeaders, frameReset, frameSettings = 1, 3, 4
	endOfStream, endOfHeaders               = 1, 4
	cancelCode                              = 8
)

// frameOf returns an HTTP/2 frame.
func frameOf(kind, flags byte, stream uint32, payload []byte) []byte {
	head := make([]byte, 9)
	binary.BigEndian.PutUint32(head, uint32(len(payload))<<8)
	head[3], head[4] = kind, flags
	binary.BigEndian.PutUint32(head[5:], stream)
	return append(head, payload...)
}

// flood opens many streams for GET /v1/me on one connection. With reset, it resets each of
// them at once. It returns when all are sent, or when the gateway closes the connection.
func (h *harness) flood(streams int, reset bool) net.Conn {
	h.t.Helper()
	conn, err := (&net.Dialer{}).DialContext(h.t.Context(), "tcp", h.address)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		h.t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, conn) }() // ends with the connection
	request := append([]byte{0x82, 0x86, 0x04, 6}, "/v1/me"...)
	request = append(append(request, 0x01, 1), 'x')
	out := append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frameOf(frameSettings, 0, 0, nil)...)
	for n := range streams {
		stream := uint32(2*n + 1)
		out = append(out, frameOf(frameHeaders, endOfStream|endOfHeaders, stream, request)...)
		if reset {
			out = append(out, frameOf(frameReset, 0, stream, []byte{0, 0, 0, cancelCode})...)
		}
	}
	_, _ = conn.Write(out) // breaks when the gateway closes
	return conn
}

// S59: ten thousand streams of one client, reset at once or left open, make only few calls
// to the services, and other clients are served.
func TestS59FloodsAreCapped(t *testing.T) {
	t.Parallel()
	for name, reset := range map[string]bool{"resets": true, "open streams": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var now, most atomic.Int64
			var calm atomic.Bool
			d := &double{getMe: func(ctx context.Context) (*authv1.Me, error) {
				if calm.Load() {
					return &authv1.Me{}, nil
				}
				n := now.Add(1)
				defer now.Add(-1)
				for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
				}
				<-ctx.Done()
				return nil, ctx.Err()
			}}
			h := start(t, d, inMemory)
			conn := h.flood(10_000, reset)
			if !reset {
				h.eventually("some of the streams to be served", func() bool { return now.Load() > 0 })
			}
			calm.Store(true)
			if a := h.call("GET", "/v1/me", ""); a.StatusCode != 200 {
				t.Errorf("another client: %d %s", a.StatusCode, a.body)
			}
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
			h.eventually("the calls to end with their connection", func() bool { return now.Load() == 0 })
			if most.Load() > 2*250 {
				t.Errorf("%d calls were made at once", most.Load())
			}
		})
	}
}

// S52: a body that is small on the wire and large in memory is refused in every framing,
// without being decompressed.
//
//nolint:paralleltest // it measures the heap
func TestS52CompressedBodiesAreNotDecompressed(t *testing.T) {
	h := start(t, &double{}, inMemory)
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(w, &zeros{left: 200 << 20}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	framed := append([]byte{1, 0, 0, 0, 0}, packed.Bytes()...)
	binary.BigEndian.PutUint32(framed[1:], uint32(packed.Len()))
	const rpc = "/gatehouse.auth.v1.SessionService/SignIn"
	for _, c := range []struct {
		name, path string
		body       []byte
		http2      bool
		refusal    string
		headers    []string
	}{
		{"REST", "/v1/auth/sign-in", packed.Bytes(), false, "UNSUPPORTED_MEDIA_TYPE", []string{"Content-Type", "application/json", "Content-Encoding", "gzip"}},
		{"Connect", rpc, packed.Bytes(), false, "resource_exhausted", []string{"Content-Type", "application/json", "Content-Encoding", "gzip", "Connect-Protocol-Version", "1"}},
		{"gRPC-Web", rpc, framed, false, "grpc-status: 8", []string{"Content-Type", "application/grpc-web+proto", "Grpc-Encoding", "gzip"}},
		{"gRPC", rpc, framed, true, "grpc-status: 8", []string{"Content-Type", "application/grpc", "Grpc-Encoding", "gzip", "Te", "trailers"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			protocols := new(http.Protocols)
			protocols.SetHTTP1(!c.http2)
			protocols.SetUnencryptedHTTP2(c.http2)
			transport := &http.Transport{Protocols: protocols}
			defer transport.CloseIdleConnections()
			client := *h.client
			client.Transport = transport
			r := h.request("POST", c.path, string(c.body), c.headers...)
			response, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			runtime.ReadMemStats(&after)
			// The error of each protocol for a message that is too large.
			answer := string(body) + "grpc-status: " + response.Header.Get("Grpc-Status") + response.Trailer.Get("Grpc-Status")
			if !strings.Contains(answer, c.refusal) {
				t.Errorf("%d %q %v, want %q", response.StatusCode, body, response.Header, c.refusal)
			}
			if grown := int64(after.TotalAlloc - before.TotalAlloc); grown > 64<<20 {
				t.Errorf("%d KiB were allocated for a refused body", grown>>10)
			}
		})
	}
}
