package surface_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
)

// ticketTest has a run and the session of its user.
type ticketTest struct {
	t   *testing.T
	i   *inprocess.Installation
	s   inprocess.Session
	run string
}

// startTicketTest starts the product, signs a user up and starts a run.
func startTicketTest(t *testing.T) *ticketTest {
	t.Helper()
	i := inprocess.Start(t, nil)
	s := i.SignUp(t, "ada@example.com")
	return &ticketTest{t: t, i: i, s: s, run: startRun(t, i, s)}
}

// startRun starts a run in a new conversation and returns its id.
func startRun(t *testing.T, i *inprocess.Installation, s inprocess.Session) string {
	t.Helper()
	conversation := i.Create(t, s, "/v1/conversations", map[string]string{"title": "One"})
	var started struct{ Run struct{ ID string } }
	inprocess.Decode(t, i.Request(t, s, http.MethodPost, "/v1/conversations/"+conversation+"/messages",
		map[string]string{"content": "What is 6 * 7?"}), &started)
	return started.Run.ID
}

// ticket creates a ticket for the run.
func (x *ticketTest) ticket(caller inprocess.Session) string {
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

// get requests a path without a credential. It returns the status, body and headers.
func (x *ticketTest) get(path string) (int, string, http.Header) {
	x.t.Helper()
	resp := x.i.Request(x.t, inprocess.Session{}, http.MethodGet, path, nil)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		x.t.Fatal(err)
	}
	return resp.StatusCode, string(raw), resp.Header
}

// events returns the path of the events of the run, with a ticket.
func (x *ticketTest) events(ticket string) string {
	return "/v1/runs/" + x.run + "/events?ticket=" + ticket
}

func TestS96TicketOpensOneStreamOnce(t *testing.T) {
	t.Parallel()
	x := startTicketTest(t)
	ticket := x.ticket(x.s)
	status, body, header := x.get(x.events(ticket))
	if status != http.StatusOK || !strings.Contains(body, "event: run.completed") || header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("the ticket opens %d %.300s, Referrer-Policy %q", status, body, header.Get("Referrer-Policy"))
	}
	if status, body, header := x.get(x.events(ticket)); status != http.StatusUnauthorized || header.Get("WWW-Authenticate") == "" || strings.Contains(body, ticket) {
		t.Errorf("the used ticket opens %d %s", status, body)
	}
	var wg sync.WaitGroup
	statuses := make([]int, 8)
	ticket = x.ticket(x.s)
	for n := range statuses {
		wg.Go(func() { statuses[n], _, _ = x.get(x.events(ticket)) })
	}
	wg.Wait()
	opened := 0
	for _, status := range statuses {
		if status == http.StatusOK {
			opened++
		} else if status != http.StatusUnauthorized {
			t.Errorf("a concurrent request with the ticket has status %d", status)
		}
	}
	if opened != 1 {
		t.Errorf("one ticket opened %d streams", opened)
	}
}

func TestS96TicketOpensNothingElse(t *testing.T) {
	t.Parallel()
	x := startTicketTest(t)
	other := startRun(t, x.i, x.s)
	for path, want := range map[string]int{
		"/v1/runs/" + other + "/events?ticket=":    http.StatusUnauthorized,
		"/v1/runs/" + x.run + "?ticket=":           http.StatusUnauthorized,
		"/v1/me?ticket=":                           http.StatusUnauthorized,
		"/v1/conversations?ticket=":                http.StatusUnauthorized,
		x.events("x") + "&ticket=":                 http.StatusUnauthorized,
		"/v1/runs/" + x.run + "/events?ticket=gt_": http.StatusUnauthorized,
	} {
		if status, body, _ := x.get(path + x.ticket(x.s)); status != want && status != http.StatusBadRequest {
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

func TestS96TicketHasTheRightsOfItsCaller(t *testing.T) {
	t.Parallel()
	x := startTicketTest(t)
	otherUser := x.i.SignUp(t, "other-user@example.com")
	if status, reason := statusAndReason(t, x.i.Request(t, otherUser, http.MethodPost, "/v1/runs/"+x.run+"/events:ticket", struct{}{})); status != http.StatusNotFound {
		t.Errorf("a ticket for the run of another user: %d %s", status, reason)
	}
	narrow, _ := createKey(t, x.i, x.s, "assistants.read")
	if status, reason := statusAndReason(t, x.i.Request(t, narrow, http.MethodPost, "/v1/runs/"+x.run+"/events:ticket", struct{}{})); status != http.StatusForbidden {
		t.Errorf("a ticket for a key without chat.read: %d %s", status, reason)
	}
	allowed, _ := createKey(t, x.i, x.s, "chat.read")
	if status, body, _ := x.get(x.events(x.ticket(allowed))); status != http.StatusOK {
		t.Errorf("a ticket of a key with chat.read: %d %s", status, body)
	}
	late := x.ticket(x.s)
	x.i.Database.AdminExec(t, "UPDATE chat.event_tickets SET expires_at = now() - interval '1 second'")
	if status, body, _ := x.get(x.events(late)); status != http.StatusUnauthorized {
		t.Errorf("an expired ticket: %d %s", status, body)
	}
	// A ticket is invalid after the session that created it ends.
	orphaned := x.ticket(x.s)
	var mine struct{ Sessions []struct{ ID string } }
	x.i.Get(t, x.s, "/v1/me/sessions", &mine)
	resp := x.i.Request(t, x.s, http.MethodDelete, "/v1/me/sessions/"+mine.Sessions[0].ID, nil)
	_ = resp.Body.Close()
	waitUntil(t, "chat still accepts the token of an ended session", func() bool {
		status, _ := statusAndReason(t, x.i.Request(t, x.s, http.MethodGet, "/v1/conversations", nil))
		return status == http.StatusUnauthorized
	})
	if status, body, _ := x.get(x.events(orphaned)); status != http.StatusUnauthorized {
		t.Errorf("a ticket of an ended session: %d %s", status, body)
	}
}
