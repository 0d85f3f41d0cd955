package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"slices"
	"strconv"

	gomail "github.com/wneessen/go-mail"
)

const (
	smtpPort  = 587
	smtpsPort = 465
	// permanent is the first SMTP reply code of permanent failures.
	permanent = 500
)

// mailer sends mail by SMTP.
type mailer struct {
	host    string
	from    *mail.Address
	options []gomail.Option
	// plain reports whether connections begin without TLS.
	plain bool
}

// newMailer parses an SMTP URL. Its errors do not contain the URL, because the URL
// contains a password.
func newMailer(text, from string, trust *tls.Config) (*mailer, error) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || (u.Scheme != "smtp" && u.Scheme != "smtps") || (u.Path != "" && u.Path != "/") {
		return nil, errors.New("SMTP URL: must be smtp://user:password@host:port or smtps://…")
	}
	query := u.Query()
	if given := query.Get("from"); given != "" {
		from = given
	}
	m := &mailer{host: u.Hostname()}
	auth := gomail.SMTPAuthAutoDiscover
	if m.from, err = mail.ParseAddress(from); err != nil {
		return nil, fmt.Errorf("SMTP URL: the sender %q is not an address", from)
	}
	port := smtpPort
	if u.Scheme == "smtps" {
		port = smtpsPort
		m.options = append(m.options, gomail.WithSSL())
	} else {
		m.plain = true
		policy, err := upgrade(query.Get("starttls"), m.host)
		if err != nil {
			return nil, err
		}
		m.options = append(m.options, gomail.WithTLSPolicy(policy))
		if policy == gomail.TLSOpportunistic {
			auth = gomail.SMTPAuthPlainNoEnc // the URL allows it explicitly
		}
	}
	if trust != nil {
		trust = trust.Clone()
		trust.ServerName = m.host
		m.options = append(m.options, gomail.WithTLSConfig(trust))
	}
	if given := u.Port(); given != "" {
		if port, err = strconv.Atoi(given); err != nil {
			return nil, errors.New("SMTP URL: the port is not a number")
		}
	}
	m.options = append(m.options, gomail.WithPort(port), gomail.WithTimeout(sendTimeout))
	if u.User != nil {
		password, _ := u.User.Password()
		m.options = append(m.options, gomail.WithSMTPAuth(auth),
			gomail.WithUsername(u.User.Username()), gomail.WithPassword(password))
	}
	return m, nil
}

// upgrade returns whether a connection must be upgraded to TLS first. Links in emails are
// as sensitive as passwords, and without the requirement an attacker on the network could
// suppress the upgrade and read them. A connection within this machine needs no TLS.
func upgrade(asked, host string) (gomail.TLSPolicy, error) {
	switch {
	case asked == "required", asked == "" && !loopback(host):
		return gomail.TLSMandatory, nil
	case asked == "optional", asked == "":
		return gomail.TLSOpportunistic, nil
	default:
		return gomail.NoTLS, errors.New("SMTP URL: starttls must be required or optional")
	}
}

func loopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

// send implements carrier.
func (m *mailer) send(ctx context.Context, message Message) error {
	to, err := mail.ParseAddress(message.To)
	if err != nil {
		return refused(err)
	}
	mime := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	mime.FromMailAddress(m.from)
	mime.ToMailAddress(to)
	mime.Subject(message.Subject)
	mime.SetMessageIDWithValue(message.ID + "@" + domain(m.from.Address))
	mime.SetDate()
	// Automatic replies are not wanted (RFC 3834).
	mime.SetGenHeader("Auto-Submitted", "auto-generated")
	mime.SetBodyString(gomail.TypeTextPlain, message.Text)
	if message.HTML != "" {
		mime.AddAlternativeString(gomail.TypeTextHTML, message.HTML)
	}
	client, err := m.client(ctx)
	if err != nil {
		return unavailable(err, Email)
	}
	if err := client.DialAndSendWithContext(ctx, mime); err != nil {
		return mailError(err)
	}
	return nil
}

// check implements carrier.
func (m *mailer) check(ctx context.Context) error {
	client, err := m.client(ctx)
	if err == nil {
		err = client.DialWithContext(ctx)
	}
	if err == nil {
		err = client.Close()
	}
	if err != nil {
		return unavailable(err, Email)
	}
	return nil
}

// client returns a client for one connection.
func (m *mailer) client(ctx context.Context) (*gomail.Client, error) {
	options := slices.Clone(m.options)
	if m.plain {
		options = append(options, gomail.WithDialContextFunc(cut(ctx)))
	}
	return gomail.NewClient(m.host, options...)
}

// cut returns a dialer whose connections are closed when ctx ends. The library respects
// ctx only until it is connected. Afterwards each response may take its own timeout.
func cut(ctx context.Context) gomail.DialContextFunc {
	return func(dialing context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(dialing, network, address)
		if err == nil {
			context.AfterFunc(ctx, func() { _ = conn.Close() }) // Send ends ctx when it returns
		}
		return conn, err
	}
}

func mailError(err error) error {
	var failed *gomail.SendError
	if errors.As(err, &failed) && failed.Reason == gomail.ErrSMTPRcptTo && failed.ErrorCode() >= permanent {
		return refused(err)
	}
	return unavailable(err, Email)
}

// domain returns the part of an address after the @.
func domain(address string) string {
	for i := len(address) - 1; i >= 0; i-- {
		if address[i] == '@' {
			return address[i+1:]
		}
	}
	return address
}

// SenderFor returns the sender's address when none is configured: a no-reply address at
// the host of a URL.
func SenderFor(publicURL string) string {
	host := "localhost"
	if u, err := url.Parse(publicURL); err == nil && net.ParseIP(u.Hostname()) == nil && u.Hostname() != "" {
		host = u.Hostname()
	}
	return "Gatehouse <no-reply@" + host + ">"
}
