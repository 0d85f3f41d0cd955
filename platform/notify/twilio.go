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
	// maxAnswer bounds what is read of Twilio's answer.
	maxAnswer = 64 << 10
)

// twilio sends texts by Twilio's HTTP API.
type twilio struct {
	client      *http.Client
	endpoint    string
	account     string
	token, from string
}

// newTwilio reads a Twilio URL. Its errors do not repeat it: it holds a token.
func newTwilio(text string, client *http.Client) (*twilio, error) {
	malformed := errors.New("SMS URL: must be twilio://SID:TOKEN@?from=+1555…")
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "twilio" || u.User == nil {
		return nil, malformed
	}
	token, _ := u.User.Password()
	// In a query a plus is a blank.
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
		client: client, account: u.User.Username(), token: token, from: from,
		endpoint: "https://" + host + "/2010-04-01/Accounts/" + url.PathEscape(u.User.Username()) + "/Messages.json",
	}, nil
}

// send implements carrier.
func (t *twilio) send(ctx context.Context, m Message) error {
	form := url.Values{"From": {t.from}, "To": {m.To}, "Body": {m.Text}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return unavailable(err, SMS)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(t.account, t.token)
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
