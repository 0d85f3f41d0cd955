package e2e_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// emailWithin is how long an email may take: a job sends it.
const emailWithin = 30 * time.Second

// linkPattern matches the link in an email, below the public URL.
var linkPattern = regexp.MustCompile(`(/account/[a-z]+)\?code=([A-Za-z0-9_-]{43})`)

// emailFlows follows the emails that an installation on a laptop keeps: a new user confirms
// an address, forgets the password and chooses another one, all on the pages that the
// emails link to.
func emailFlows(t *testing.T, i *installation) {
	c := i.newClient(t)
	email, password := newCredentials()
	i.keepSecret(password)
	c.useTokens(c.post("/v1/auth/sign-up", map[string]any{"email": email, "password": password}))

	page, code := c.email(email, "Confirm your address")
	if shown := c.get(page + "?code=" + code); shown.status != http.StatusOK || !strings.Contains(string(shown.body), "<form") {
		t.Fatalf("the link shows %d %s", shown.status, shown.body)
	}
	c.submit(page, http.StatusOK, url.Values{"code": {code}})
	var me struct{ EmailVerified bool }
	c.get("/v1/me").decode(&me)
	if !me.EmailVerified {
		t.Error("the address is not confirmed")
	}

	visitor := i.newClient(t)
	visitor.post("/v1/auth/password/forgot", map[string]any{"email": email}).decode(&struct{}{})
	page, code = c.email(email, "Choose a new password")
	_, another := newCredentials()
	i.keepSecret(another)
	visitor.submit(page, http.StatusBadRequest, url.Values{"code": {code}, "password": {"password password"}})
	visitor.submit(page, http.StatusOK, url.Values{"code": {code}, "password": {another}})
	if refreshed := c.refresh(); refreshed.status != http.StatusUnauthorized {
		t.Errorf("a session from before is refreshed: %d", refreshed.status)
	}
	if old := visitor.post("/v1/auth/sign-in", map[string]any{"email": email, "password": password}); old.status != http.StatusUnauthorized {
		t.Errorf("the old password is answered %d", old.status)
	}
	visitor.signIn(email, another)
}

// email waits for an email in the outbox, and returns its page and its code.
func (c *client) email(to, subject string) (page, code string) {
	c.t.Helper()
	eventually(c.t, "an email to "+to+" about "+subject, emailWithin, func() bool {
		var outbox struct {
			Messages []struct{ Channel, To, Subject, Text, HTML string }
		}
		c.get("/v1/dev/outbox?pageSize=100").decode(&outbox)
		for _, m := range outbox.Messages {
			found := linkPattern.FindStringSubmatch(m.Text)
			if m.To == to && m.Subject == subject && m.Channel == "EMAIL" && found != nil && strings.Contains(m.HTML, found[0]) {
				page, code = found[1], found[2]
				return true
			}
		}
		return false
	})
	c.i.keepSecret(code)
	return page, code
}

// submit sends a page's form.
func (c *client) submit(page string, want int, values url.Values) {
	c.t.Helper()
	a := c.do(request{
		method: http.MethodPost, path: page, contentType: "application/x-www-form-urlencoded", body: []byte(values.Encode()),
		header: map[string]string{"Sec-Fetch-Site": "same-origin"},
	})
	if a.status != want {
		c.t.Fatalf("%s: %d %s, want %d", page, a.status, a.body, want)
	}
}
