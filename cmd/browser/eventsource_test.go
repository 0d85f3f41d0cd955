package browser_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
)

// cutAfter is how many events the first stream through the cutting proxy has.
const cutAfter = 2

// startCuttingProxy serves a page and a proxy to the product, and returns its URL. The proxy breaks
// the first stream of events after some events, as a lost connection does.
func startCuttingProxy(t *testing.T, p *product) string {
	t.Helper()
	var streams atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<!doctype html><title>A page</title>")
			return
		}
		req, err := http.NewRequestWithContext(r.Context(), r.Method, p.URL+r.URL.RequestURI(), r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		for _, name := range []string{"Authorization", "Content-Type", "Last-Event-ID"} {
			if value := r.Header.Get(name); value != "" {
				req.Header.Set(name, value)
			}
		}
		resp, err := inprocess.Client().Do(req)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer resp.Body.Close()
		w.Header().Set("Content-Type", resp.Header.Get("Content-Type"))
		w.WriteHeader(resp.StatusCode)
		if resp.StatusCode == http.StatusOK && strings.HasSuffix(r.URL.Path, "/events") && streams.Add(1) == 1 {
			copyEvents(w, resp.Body, cutAfter)
			panic(http.ErrAbortHandler)
		}
		_, _ = io.Copy(w, resp.Body)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// copyEvents copies a stream up to and including its n-th event.
func copyEvents(w http.ResponseWriter, body io.Reader, n int) {
	for lines := bufio.NewReader(body); n > 0; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		_, _ = io.WriteString(w, line)
		if strings.HasPrefix(line, "data:") {
			n--
		}
	}
	_, _ = io.WriteString(w, "\n")
	_ = http.NewResponseController(w).Flush()
}

// followScript is the code of docs/streams.md. It follows a run by EventSource with a ticket, and
// gets another ticket after the stream broke.
const followScript = `new Promise((resolve, reject) => {
  const log = {seen: [], reconnects: 0, tickets: 0}
  const ticket = async () => {
    log.tickets++
    const resp = await fetch('/v1/runs/%[1]s/events:ticket', {
      method: 'POST', headers: {Authorization: 'Bearer %[2]s', 'Content-Type': 'application/json'}, body: '{}',
    })
    return (await resp.json()).ticket
  }
  const kinds = ['run.started', 'agent.selected', 'tool.started', 'tool.finished', 'reasoning.delta', 'message.delta',
    'citation', 'run.completed', 'run.failed', 'run.cancelled', 'run.interrupted']
  const ends = new Set(kinds.slice(-4))
  let last = 0
  const open = async () => {
    const source = new EventSource('/v1/runs/%[1]s/events?ticket=' + await ticket() + '&afterSeq=' + last)
    for (const kind of kinds) {
      source.addEventListener(kind, (event) => {
        last = Number(event.lastEventId)
        log.seen.push(last)
        if (ends.has(kind)) {
          source.close()
          resolve(log)
        }
      })
    }
    source.onerror = () => {
      // The browser first reconnects by itself, with the used ticket, and is refused.
      if (source.readyState === EventSource.CLOSED) open().catch(reject)
      else log.reconnects++
    }
  }
  open().catch(reject)
})`

// S96: EventSource, which cannot send a header, follows a run with tickets, and resumes after its
// connection broke.
func TestS96EventSourceFollowsARunWithTickets(t *testing.T) {
	t.Parallel()
	p := start(t)
	s := p.SignUp(t, "ada@example.com")
	conversation := p.Create(t, s, "/v1/conversations", map[string]string{"title": "One"})
	var started struct{ Run struct{ ID string } }
	p.post(t, s, "/v1/conversations/"+conversation+"/messages", map[string]string{"content": "What is 6 * 7?"}, &started)
	p.Drain(t, s, "/v1/runs/"+started.Run.ID+"/events") // the run has ended, so every reader receives the same events
	c := openChromium(t)
	c.visit(startCuttingProxy(t, p))
	var log struct {
		Seen                []int
		Reconnects, Tickets int
	}
	c.eval(fmt.Sprintf(followScript, started.Run.ID, s.AccessToken), &log)
	if log.Tickets != 2 || log.Reconnects != 1 || len(log.Seen) <= cutAfter {
		t.Errorf("%d tickets, %d reconnects, events %v; want 2, 1 and more than %d", log.Tickets, log.Reconnects, log.Seen, cutAfter)
	}
	for n, seq := range log.Seen {
		if seq != n+1 {
			t.Errorf("the page received the events %v", log.Seen)
			break
		}
	}
}

// A page of a listed origin can use a session cookie, and no other page can.
func TestS97CookiesAreForListedOrigins(t *testing.T) {
	t.Parallel()
	page := func() string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<!doctype html><title>A page</title>")
		}))
		t.Cleanup(server.Close)
		return strings.Replace(server.URL, "127.0.0.1", "localhost", 1) // the same site as the product
	}
	listed, unlisted := page(), page()
	p := startWith(t, func(string) map[string]string { return map[string]string{"GATEHOUSE_CORS_ORIGINS": listed} })
	p.SignUp(t, "ada@example.com")
	const signIn = `(async () => {
		const post = (path, body) => fetch('%[1]s' + path, {
			method: 'POST', credentials: 'include', body: JSON.stringify(body),
			headers: {'Content-Type': 'application/json', 'X-Gatehouse-CSRF': '1'},
		}).then(async resp => ({status: resp.status, body: await resp.json()}), () => ({status: 0, body: {}}))
		const first = await post('/v1/auth/sign-in', {session: 'COOKIE', email: 'ada@example.com', password: '%[2]s'})
		const second = await post('/v1/auth/refresh', {session: 'COOKIE'})
		const elsewhere = await fetch('%[1]s/v1/config', {credentials: 'include'}).then(resp => resp.status, () => 0)
		return {first: first.status, second: second.status, token: Boolean(second.body.accessToken), elsewhere}
	})()`
	for origin, want := range map[string]string{
		listed:   "{200 200 true 0}", // credentials are for /v1/auth alone
		unlisted: "{0 0 false 0}",
	} {
		c := openChromium(t)
		c.visit(origin)
		var got struct {
			First, Second int
			Token         bool
			Elsewhere     int
		}
		c.eval(fmt.Sprintf(signIn, p.origin, password), &got)
		if fmt.Sprint(got) != want {
			t.Errorf("a page of %s: %v, want %s", origin, got, want)
		}
	}
}
