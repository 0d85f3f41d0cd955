// Package mailtest runs a mail server inside a test, on loopback. It parses received
// emails like a mail reader.
package mailtest

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http/httptest"
	"net/mail"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/freeport"
)

// The credentials that the server accepts.
const (
	// User is the account's name.
	User = "gatehouse"
	// Password is the password of the account.
	Password = "a mail password"
)

// waitTimeout is how long a test waits for an email. Some are sent only with the next
// attempt of a job.
const waitTimeout = 60 * time.Second

// Mail is a received email.
type Mail struct {
	// To is the receiver in the envelope.
	To                            string
	Subject, MessageID, Automatic string
	Text, HTML                    string
}

// Server receives emails.
type Server struct {
	// Address is the address on which it listens.
	Address string

	scheme  string
	mu      sync.Mutex
	mails   []Mail
	refused string
	arrived chan struct{}
}

// Reserve returns an address of this machine on which no server listens.
func Reserve(t testing.TB) string {
	t.Helper()
	address, err := freeport.Address(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// Start serves until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	return StartAt(t, "127.0.0.1:0")
}

// StartAt is [Start] at an address.
func StartAt(t testing.TB, address string) *Server {
	t.Helper()
	return serve(t, address, "smtp", nil)
}

// StartTLS is [Start] for a server that accepts passwords only over TLS. With the scheme
// smtps, it accepts only TLS connections. The second result trusts its certificate.
func StartTLS(t testing.TB, scheme string) (*Server, *tls.Config) {
	t.Helper()
	// The certificate of httptest is valid for loopback.
	certified := httptest.NewTLSServer(nil)
	t.Cleanup(certified.Close)
	trusted := x509.NewCertPool()
	trusted.AddCert(certified.Certificate())
	return serve(t, "127.0.0.1:0", scheme, &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12}),
		&tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}
}

func serve(t testing.TB, address, scheme string, encryption *tls.Config) *Server {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Address: listener.Addr().String(), scheme: scheme, arrived: make(chan struct{})}
	if scheme == "smtps" {
		listener = tls.NewListener(listener, encryption)
	}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{server: s}, nil }))
	server.TLSConfig, server.AllowInsecureAuth = encryption, encryption == nil
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close() // also closes open connections
		if err := <-served; err != nil && !errors.Is(err, smtp.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	return s
}

// URL returns the SMTP URL of the server.
func (s *Server) URL() string { return urlOf(s.scheme, s.Address) }

// URLAt returns the SMTP URL of a server that will be started at an address.
func URLAt(address string) string { return urlOf("smtp", address) }

func urlOf(scheme, address string) string {
	u := url.URL{Scheme: scheme, User: url.UserPassword(User, Password), Host: address}
	return u.String()
}

// Refuse makes the server refuse a receiver permanently.
func (s *Server) Refuse(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = address
}

// Mails returns the received emails.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.mails...)
}

// Wait waits for an email to an address whose subject contains some words, and returns
// the first one.
func (s *Server) Wait(t testing.TB, to, subject string) Mail {
	t.Helper()
	deadline := clock.System().After(waitTimeout)
	for {
		s.mu.Lock()
		arrived := s.arrived
		for _, m := range s.mails {
			if m.To == to && strings.Contains(m.Subject, subject) {
				s.mu.Unlock()
				return m
			}
		}
		s.mu.Unlock()
		select {
		case <-arrived:
		case <-deadline:
			t.Fatalf("no email to %s about %q was received, but %v", to, subject, s.Mails())
		}
	}
}

// Forget removes the received emails.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails = nil
}

func (s *Server) add(m Mail) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails = append(s.mails, m)
	close(s.arrived)
	s.arrived = make(chan struct{})
}

// session is one conversation of a client.
type session struct {
	server *Server
	known  bool
	to     string
}

// AuthMechanisms implements [smtp.AuthSession].
func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

// Auth implements [smtp.AuthSession].
func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if s.known = user == User && password == Password; !s.known {
			return smtp.ErrAuthFailed
		}
		return nil
	}), nil
}

// Mail implements [smtp.Session].
func (s *session) Mail(string, *smtp.MailOptions) error {
	if !s.known {
		return smtp.ErrAuthRequired
	}
	return nil
}

// Rcpt implements [smtp.Session].
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	if to == s.server.refused {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "nobody of this name"}
	}
	s.to = to
	return nil
}

// Data implements [smtp.Session].
func (s *session) Data(r io.Reader) error {
	m, err := parse(r)
	if err != nil {
		return err
	}
	m.To = s.to
	s.server.add(m)
	return nil
}

// Reset implements [smtp.Session].
func (s *session) Reset() { s.to = "" }

// Logout implements [smtp.Session].
func (s *session) Logout() error { return nil }

// parse parses an email with a text part and an HTML part.
func parse(r io.Reader) (Mail, error) {
	message, err := mail.ReadMessage(r)
	if err != nil {
		return Mail{}, err
	}
	m := Mail{MessageID: message.Header.Get("Message-Id"), Automatic: message.Header.Get("Auto-Submitted")}
	if m.Subject, err = new(mime.WordDecoder).DecodeHeader(message.Header.Get("Subject")); err != nil {
		return Mail{}, err
	}
	kind, params, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		return Mail{}, errors.Join(errors.New("the email does not have a text and an HTML part"), err)
	}
	parts := multipart.NewReader(message.Body, params["boundary"])
	for {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return m, nil
		}
		if err != nil {
			return Mail{}, err
		}
		body, err := io.ReadAll(decoded(part, part.Header.Get("Content-Transfer-Encoding")))
		if err != nil {
			return Mail{}, err
		}
		if strings.HasPrefix(part.Header.Get("Content-Type"), "text/html") {
			m.HTML = string(body)
		} else {
			m.Text = string(body)
		}
	}
}

func decoded(r io.Reader, encoding string) io.Reader {
	switch encoding {
	case "quoted-printable":
		return quotedprintable.NewReader(r)
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, r)
	default:
		return r
	}
}
