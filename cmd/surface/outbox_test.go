package surface_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
)

type outbox struct {
	Messages []struct {
		ID, Channel, To, Subject, Text, HTML string
		CreateTime                           time.Time
	}
	NextPageToken string
}

// The outbox is listed in pages, newest email first. A forged page token is refused.
func TestOutbox_SeveralEmails_ArePagedNewestFirst(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	for _, email := range []string{"ada@example.com", "bea@example.com", "eve@example.com"} {
		i.SignUp(t, email)
	}
	var all outbox
	ticker, deadline := time.NewTicker(20*time.Millisecond), time.After(30*time.Second)
	defer ticker.Stop()
	for len(all.Messages) < 3 {
		select {
		case <-ticker.C:
			i.Get(t, inprocess.Session{}, "/v1/dev/outbox", &all)
		case <-deadline:
			t.Fatalf("the outbox has %d emails", len(all.Messages))
		}
	}
	var paged outbox
	for token, first := "", true; first || token != ""; first = false {
		var page outbox
		i.Get(t, inprocess.Session{}, "/v1/dev/outbox?pageSize=1&pageToken="+token, &page)
		paged.Messages, token = append(paged.Messages, page.Messages...), page.NextPageToken
	}
	if len(paged.Messages) != 3 {
		t.Fatalf("%d pages", len(paged.Messages))
	}
	for n, m := range paged.Messages {
		if m != all.Messages[n] || m.Channel != "EMAIL" || m.Subject == "" || m.Text == "" || m.HTML == "" {
			t.Errorf("page %d has %+v", n, m)
		}
		if n > 0 && m.CreateTime.After(paged.Messages[n-1].CreateTime) {
			t.Errorf("page %d is newer than the one before", n)
		}
	}
	resp := i.Request(t, inprocess.Session{}, http.MethodGet, "/v1/dev/outbox?pageToken=forged", nil)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("a forged token has status %d", resp.StatusCode)
	}
}
