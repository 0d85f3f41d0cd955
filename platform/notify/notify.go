// Package notify sends messages to people: mail by SMTP, and texts by Twilio.
//
//	sender, err := notify.Open(notify.Config{SMTPURL: "smtp://user:pass@mail.example.com:587"}, clk)
//	err = sender.Send(ctx, notify.Message{ID: id.New(), Channel: notify.Email, To: "ada@example.org", …})
//
// A channel without a server writes to the outbox instead, a folder for developers
// ([Outbox]). Without an outbox, messages fail with UNAVAILABLE, so that a job that
// sends them retries until a server is configured.
//
// The texts of messages are [Templates].
//
// # Sending a message again
//
// Send may be called again with the same message when it failed, or when its result is
// unknown. The outbox then contains the message once. An email has the message's id as
// its Message-ID, so that servers and mail readers recognize the second copy. Twilio has
// nothing similar.
//
// # Failure
//
// When a server cannot be reached, or reports a temporary error, Send returns
// UNAVAILABLE, and the caller should retry. When the server refuses a receiver
// permanently, Send returns INVALID_ARGUMENT.
package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// sendTimeout bounds one attempt to send one message.
const sendTimeout = 20 * time.Second

// Channel is the way in which a message is sent.
type Channel string

// The channels.
const (
	// Email is an email.
	Email Channel = "EMAIL"
	// SMS is a text message to a telephone.
	SMS Channel = "SMS"
)

// Message is a message to one person.
type Message struct {
	// ID identifies the message. A second message with this id is the same message.
	ID      string
	Channel Channel
	// To is an email address, or a telephone number in E.164 format.
	To string
	// Subject and HTML are empty for a text message.
	Subject, Text, HTML string
}

// Config is the configuration of an installation.
type Config struct {
	// SMTPURL is smtp://user:password@host:port, or smtps for TLS from the start.
	// With smtp, the connection is upgraded to TLS. The upgrade is required for other
	// machines, unless the URL has starttls=optional. from=address sets the sender.
	SMTPURL string
	// SMSURL is twilio://SID:TOKEN@?from=+1555….
	SMSURL string
	// From is the sender's address when the SMTP URL has none.
	From string
	// Outbox is the folder for messages without a server. Empty means no outbox.
	Outbox string
	// TLS verifies mail servers. Nil trusts the certificate authorities of the machine.
	TLS *tls.Config
	// HTTPClient calls Twilio. Nil means a default client.
	HTTPClient *http.Client
}

// Sender sends messages.
type Sender struct {
	channels map[Channel]carrier
	outbox   *Outbox
}

// carrier sends the messages of a channel.
type carrier interface {
	send(ctx context.Context, m Message) error
	// check reports whether it would accept a message now.
	check(ctx context.Context) error
}

// Open checks the configuration. It does not connect.
func Open(cfg Config, clk clock.Clock) (*Sender, error) {
	s := &Sender{channels: map[Channel]carrier{}}
	if cfg.Outbox != "" {
		s.outbox = NewOutbox(cfg.Outbox, clk)
		s.channels[Email], s.channels[SMS] = s.outbox, s.outbox
	}
	var problems []error
	if cfg.SMTPURL != "" {
		mail, err := newMailer(cfg.SMTPURL, cfg.From, cfg.TLS)
		s.channels[Email] = mail
		problems = append(problems, err)
	}
	if cfg.SMSURL != "" {
		texts, err := newTwilio(cfg.SMSURL, cfg.HTTPClient)
		s.channels[SMS] = texts
		problems = append(problems, err)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return s, nil
}

// Outbox returns the outbox for messages without a server, or nil.
func (s *Sender) Outbox() *Outbox { return s.outbox }

// Reaches reports whether messages of a channel can be sent.
func (s *Sender) Reaches(c Channel) bool { return s.channels[c] != nil }

// Send sends a message, within 20 seconds.
func (s *Sender) Send(ctx context.Context, m Message) error {
	to := s.channels[m.Channel]
	if to == nil {
		return fault.New(faultv1.Reason_REASON_UNAVAILABLE, "no server is configured for messages of the kind %s", m.Channel)
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	return to.send(ctx, m)
}

// Check checks that the server of a channel accepts the configured credentials. It sends
// no message.
func (s *Sender) Check(ctx context.Context, c Channel) error {
	to := s.channels[c]
	if to == nil {
		return fault.New(faultv1.Reason_REASON_UNAVAILABLE, "no server is configured for messages of the kind %s", c)
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	return to.check(ctx)
}

// unavailable returns the fault for a temporary error of a server.
func unavailable(cause error, c Channel) error {
	return fault.Wrap(cause, faultv1.Reason_REASON_UNAVAILABLE, "the server for messages of the kind %s does not accept them now", c)
}

// refused returns the fault for a message that a server refuses permanently.
func refused(cause error) error {
	return fault.Wrap(cause, faultv1.Reason_REASON_INVALID_ARGUMENT, "the receiver was refused permanently")
}
