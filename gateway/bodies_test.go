package gateway_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// unfinished is a body of 4 MiB whose end does not arrive until finish is closed.
type unfinished struct {
	rest    io.Reader
	arrived func()
	finish  chan struct{}
}

func (u *unfinished) Read(p []byte) (int, error) {
	n, err := u.rest.Read(p)
	if err == nil {
		return n, nil
	}
	u.arrived()
	<-u.finish
	return 0, io.EOF
}

// S89: large requests that never end leave room for others. One client gets no more
// than its part, and gets it back when its requests have ended.
func TestS89BodiesAreBoundedTogether(t *testing.T) {
	t.Parallel()
	const size, many = 4<<20 - 1024, 12
	h := start(t, &double{})
	text := `{"title":"x","content":"` + strings.Repeat("a", size-64) + `"}`
	path := "/v1/collections/0198c0de-0000-7000-8000-000000000001/documents"
	var arriving, answering sync.WaitGroup
	finish := make(chan struct{})
	refusals := make([]string, many) // how each was refused, or ""
	for n := range many {
		arriving.Add(1)
		body := &unfinished{rest: bytes.NewReader([]byte(text)), arrived: sync.OnceFunc(arriving.Done), finish: finish}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url+path, body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer somebody")
		answering.Go(func() {
			refusals[n] = tryLarge(h.client, req)
			body.arrived() // a refusal ends the sending early
		})
	}
	arriving.Wait()
	if a := h.call("POST", path, `{"title":"x","content":"small"}`); a.StatusCode == http.StatusServiceUnavailable {
		t.Errorf("a small request beside them: %d %s", a.StatusCode, a.body)
	}
	close(finish)
	answering.Wait()
	refused, told := 0, 0
	for _, why := range refusals {
		switch why {
		case "":
		case overloaded:
			refused, told = refused+1, told+1
		default: // the gateway closes a connection whose body it does not read
			refused++
		}
	}
	if room := 16 / 4; refused != many-room || told == 0 {
		t.Errorf("%d of %d large requests at once were refused, with room for %d: %q", refused, many, room, refusals)
	}
	if a := h.call("POST", path, text); a.StatusCode == http.StatusServiceUnavailable {
		t.Errorf("a large request after them: %d %s", a.StatusCode, a.body)
	}
}

const overloaded = "503 OVERLOADED"

// tryLarge sends a request and returns how it was refused, or "" when it was not.
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
