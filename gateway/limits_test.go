package gateway_test

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

// zeros is a body of many zeros.
type zeros struct{ left int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.left <= 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), z.left)
	for i := range p[:n] {
		p[i] = ' '
	}
	z.left -= n
	return int(n), nil
}

//nolint:paralleltest // it measures the heap
func TestS52BodiesWithoutEnd(t *testing.T) {
	h := start(t, &double{}, inMemory)
	for name, length := range map[string]int64{"announced": 200 << 20, "chunked": -1} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			r := h.request("POST", "/v1/auth/sign-in", "x")
			r.Body, r.ContentLength, r.GetBody = io.NopCloser(&zeros{left: 200 << 20}), length, nil
			a := h.do(r)
			runtime.ReadMemStats(&after)
			if p := a.problem(t); a.StatusCode != 413 || p.Reason != "PAYLOAD_TOO_LARGE" {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
			if grown := int64(after.TotalAlloc - before.TotalAlloc); grown > 6<<20 {
				t.Errorf("%d KiB were allocated for a refused body", grown>>10)
			}
		})
	}
}

func TestS52SlowHeadersCloseTheConnection(t *testing.T) {
	t.Parallel()
	h := start(t, &double{}, inMemory)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", h.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(conn); err != nil {
		t.Errorf("the connection stayed open: %q %v", rest, err)
	}
}

func TestHeaders_OverLimit_AreRefused(t *testing.T) {
	t.Parallel()
	h := start(t, &double{}, inMemory)
	var many strings.Builder
	for i := range 150 {
		fmt.Fprintf(&many, "X-H-%d: 1\r\n", i)
	}
	if a := h.raw("GET /v1/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + many.String() + "\r\n"); a.StatusCode != 400 {
		t.Errorf("150 headers: %d", a.StatusCode)
	}
	if a := h.raw("GET /v1/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Big: " + strings.Repeat("a", 64<<10) + "\r\n\r\n"); a.StatusCode != 431 {
		t.Errorf("64 KiB of headers: %d", a.StatusCode)
	}
}
