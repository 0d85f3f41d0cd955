package notify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

const (
	twilioHost = "api.twilio.com"
	// maxAnswer bounds how much of Twilio's response is read, in bytes.
	maxAnswer = 64 << 10
)

// twilio sends text messages with Twilio's HTTP API.
type twilio struct {
	client *http.Client
	// account is the URL of the account.
	account          string
	sid, token, from string
}

// newTwilio parses a Twilio URL. Its errors do not contain the URL, because the URL
// contains a token.
func newTwilio(text string, client *http.Client) (*twilio, error) {
	malformed := errors.New("SMS URL: must be twilio://SID:TOKEN@?from=+1555…")
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "twilio" || u.User == nil {
		return nil, malformed
	}
	token, _ := u.User.Password()
	// In a query, a plus is a space.
	from := "+" + strings.TrimLeft(u.Query().Get("from"), " +")
	if u.User.Username() == "" || token == "" || from == "+" {
		return nil, malformed
	}
	host := u.Host
	if host == "" {
		host = twilioHost
	}
	if client == nil {
		client = &http.Client{Timeout: sendTimeout}
	}
	return &twilio{
		client: client, sid: u.User.Username(), token: token, from: from,
		account: "https://" + host + "/2010-04-01/Accounts/" + url.PathEscape(u.User.Username()),
	}, nil
}

// send implements carrier.
func (t *twilio) send(ctx context.Context, m Message) error {
	form := url.Values{"From": {t.from}, "To": {m.To}, "Body": {m.Text}}
	return t.call(ctx, http.MethodPost, "/Messages.json", strings.NewReader(form.Encode()))
}

// check implements carrier: it reads the account.
func (t *twilio) check(ctx context.Context) error { return t.call(ctx, http.MethodGet, ".json", nil) }

func (t *twilio) call(ctx context.Context, method, path string, body io.Reader) error {
	req, err := http.NewRequestWithContext(ctx, method, t.account+path, body)
	if err != nil {
		return unavailable(err, SMS)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.SetBasicAuth(t.sid, t.token)
	resp, err := t.client.Do(req)
	if err != nil {
		return unavailable(err, SMS)
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if closed := resp.Body.Close(); err == nil {
		err = closed
	}
	switch {
	case err != nil:
		return unavailable(err, SMS)
	case resp.StatusCode/100 == 2:
		return nil
	case resp.StatusCode == http.StatusBadRequest:
		return refused(fmt.Errorf("twilio: %s", answer))
	default:
		return unavailable(fmt.Errorf("twilio: %s: %s", resp.Status, answer), SMS)
	}
}
