package surface_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
)

// ticketed is a run with somebody who may follow it.
type ticketed struct {
	t   *testing.T
	i   *inprocess.Installation
	s   inprocess.Session
	run string
}

func startTicketed(t *testing.T) *ticketed {
	t.Helper()
	i := inprocess.Start(t, nil)
	s := i.SignUp(t, "ada@example.com")
	return &ticketed{t: t, i: i, s: s, run: runOf(t, i, s)}
}

// runOf starts a run in a conversation of its own.
func runOf(t *testing.T, i *inprocess.Installation, s inprocess.Session) string {
	t.Helper()
	conversation := i.Create(t, s, "/v1/conversations", map[string]string{"title": "One"})
	var started struct{ Run struct{ ID string } }
	inprocess.Decode(t, i.Request(t, s, http.MethodPost, "/v1/conversations/"+conversation+"/messages",
		map[string]string{"content": "What is 6 * 7?"}), &started)
	return started.Run.ID
}

// ticket asks for a ticket as a caller.
func (x *ticketed) ticket(caller inprocess.Session) string {
	x.t.Helper()
	var out struct {
		Ticket    string
		ExpiresIn int
	}
	inprocess.Decode(x.t, x.i.Request(x.t, caller, http.MethodPost, "/v1/runs/"+x.run+"/events:ticket", struct{}{}), &out)
	if out.Ticket == "" || out.ExpiresIn != 30 {
		x.t.Fatalf("the ticket is %+v", out)
	}
	return out.Ticket
}

// open opens a path without any header, and returns the status and the answer.
func (x *ticketed) open(path string) (int, string, http.Header) {
	x.t.Helper()
	resp := x.i.Request(x.t, inprocess.Session{}, http.MethodGet, path, nil)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		x.t.Fatal(err)
	}
	return resp.StatusCode, string(raw), resp.Header
}

func (x *ticketed) events(ticket string) string {
	return "/v1/runs/" + x.run + "/events?ticket=" + ticket
}

func TestS96ATicketOpensOneStreamOnce(t *testing.T) {
	t.Parallel()
	x := startTicketed(t)
	ticket := x.ticket(x.s)
	status, body, header := x.open(x.events(ticket))
	if status != http.StatusOK || !strings.Contains(body, "event: run.completed") || header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("the ticket opens %d %.300s, Referrer-Policy %q", status, body, header.Get("Referrer-Policy"))
	}
	if status, body, header := x.open(x.events(ticket)); status != http.StatusUnauthorized || header.Get("WWW-Authenticate") == "" || strings.Contains(body, ticket) {
		t.Errorf("the spent ticket opens %d %s", status, body)
	}
	var wg sync.WaitGroup
	statuses := make([]int, 8)
	ticket = x.ticket(x.s)
	for n := range statuses {
		wg.Go(func() { statuses[n], _, _ = x.open(x.events(ticket)) })
	}
	wg.Wait()
	opened := 0
	for _, status := range statuses {
		if status == http.StatusOK {
			opened++
		} else if status != http.StatusUnauthorized {
			t.Errorf("a ticket that is raced for opens %d", status)
		}
	}
	if opened != 1 {
		t.Errorf("one ticket opened %d streams", opened)
	}
}

func TestS96ATicketOpensNothingElse(t *testing.T) {
	t.Parallel()
	x := startTicketed(t)
	other := runOf(t, x.i, x.s)
	for path, want := range map[string]int{
		"/v1/runs/" + other + "/events?ticket=":    http.StatusUnauthorized,
		"/v1/runs/" + x.run + "?ticket=":           http.StatusUnauthorized,
		"/v1/me?ticket=":                           http.StatusUnauthorized,
		"/v1/conversations?ticket=":                http.StatusUnauthorized,
		x.events("x") + "&ticket=":                 http.StatusUnauthorized,
		"/v1/runs/" + x.run + "/events?ticket=gt_": http.StatusUnauthorized,
	} {
		if status, body, _ := x.open(path + x.ticket(x.s)); status != want && status != http.StatusBadRequest {
			t.Errorf("%s: %d %.200s", path, status, body)
		}
	}
	for _, path := range []string{"/v1/me", "/v1/runs/" + x.run, "/v1/conversations"} {
		resp := x.i.RequestWith(t, inprocess.Session{}, http.MethodGet, path, nil, map[string]string{"Authorization": "Ticket " + x.ticket(x.s)})
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s with a ticket as credential: %d", path, resp.StatusCode)
		}
	}
	resp := x.i.Request(t, x.s, http.MethodGet, x.events(x.ticket(x.s)), nil)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a ticket beside a token: %d", resp.StatusCode)
	}
}

func TestS96ATicketHasTheRightsOfItsCaller(t *testing.T) {
	t.Parallel()
	x := startTicketed(t)
	stranger := x.i.SignUp(t, "stranger@example.com")
	if status, reason := refusedFor(t, x.i.Request(t, stranger, http.MethodPost, "/v1/runs/"+x.run+"/events:ticket", struct{}{})); status != http.StatusNotFound {
		t.Errorf("a ticket for somebody else's run: %d %s", status, reason)
	}
	narrow, _ := key(t, x.i, x.s, "assistants.read")
	if status, reason := refusedFor(t, x.i.Request(t, narrow, http.MethodPost, "/v1/runs/"+x.run+"/events:ticket", struct{}{})); status != http.StatusForbidden {
		t.Errorf("a ticket for a key that may not read runs: %d %s", status, reason)
	}
	allowed, _ := key(t, x.i, x.s, "chat.read")
	if status, body, _ := x.open(x.events(x.ticket(allowed))); status != http.StatusOK {
		t.Errorf("a ticket of a key that may read runs: %d %s", status, body)
	}
	late := x.ticket(x.s)
	x.i.Database.AdminExec(t, "UPDATE chat.event_tickets SET expires_at = now() - interval '1 second'")
	if status, body, _ := x.open(x.events(late)); status != http.StatusUnauthorized {
		t.Errorf("a ticket after its time: %d %s", status, body)
	}
	// A ticket stops working when the session that asked for it ends.
	orphaned := x.ticket(x.s)
	var mine struct{ Sessions []struct{ ID string } }
	x.i.Get(t, x.s, "/v1/me/sessions", &mine)
	resp := x.i.Request(t, x.s, http.MethodDelete, "/v1/me/sessions/"+mine.Sessions[0].ID, nil)
	_ = resp.Body.Close()
	until(t, "chat believes the token of an ended session", func() bool {
		status, _ := refusedFor(t, x.i.Request(t, x.s, http.MethodGet, "/v1/conversations", nil))
		return status == http.StatusUnauthorized
	})
	if status, body, _ := x.open(x.events(orphaned)); status != http.StatusUnauthorized {
		t.Errorf("a ticket of an ended session: %d %s", status, body)
	}
}
