// Package notify sends messages to people: mail by SMTP, and texts by Twilio.
//
//	sender, err := notify.Open(notify.Config{SMTPURL: "smtp://user:pass@mail.example.com:587"}, clk)
//	err = sender.Send(ctx, notify.Message{ID: id.New(), Channel: notify.Email, To: "ada@example.org", …})
//
// A channel without a server writes to the outbox instead, a folder that a
// developer can look into ([Outbox]); without an outbox either, its messages fail
// as UNAVAILABLE, so that a job which sends them keeps them until somebody has
// named a server.
//
// What messages say is written as [Templates].
//
// # Once, as far as that goes
//
// Send may be called again with the same message when it failed, or when nobody
// knows whether it did. The outbox then has it once; mail carries the message's
// id as its Message-ID, by which servers and readers know the second copy.
// Twilio has nothing of the kind.
//
// # Failure
//
// A server that cannot be reached, or says that it cannot now, is UNAVAILABLE:
// try again. A receiver that the server refuses for good is INVALID_ARGUMENT.
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

// Channel is how a message travels.
type Channel string

// The channels.
const (
	// Email is mail.
	Email Channel = "EMAIL"
	// SMS is a text to a telephone.
	SMS Channel = "SMS"
)

// Message is a message to one person.
type Message struct {
	// ID is the message's own: sending it again is sending the same message.
	ID      string
	Channel Channel
	// To is an address, or a number by E.164.
	To string
	// Subject and HTML are empty for a text.
	Subject, Text, HTML string
}

// Config is what an installation sets.
type Config struct {
	// SMTPURL is smtp://user:password@host:port, or smtps for TLS from the start.
	// Over smtp the connection is upgraded, which is required outside of this
	// machine unless starttls=optional says otherwise. from=address sets the sender.
	SMTPURL string
	// SMSURL is twilio://SID:TOKEN@?from=+1555….
	SMSURL string
	// From is the sender's address where the SMTP URL names none.
	From string
	// Outbox is the folder where messages go that have no server; empty: none.
	Outbox string
	// TLS is how mail servers prove themselves; nil trusts the machine's authorities.
	TLS *tls.Config
	// HTTPClient reaches Twilio; nil takes one of its own.
	HTTPClient *http.Client
}

// Sender sends messages.
type Sender struct {
	channels map[Channel]carrier
	outbox   *Outbox
}

// carrier is what takes the messages of a channel.
type carrier interface {
	send(ctx context.Context, m Message) error
	// check asks whether it would take one now.
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

// Outbox returns where messages without a server are written, or nil.
func (s *Sender) Outbox() *Outbox { return s.outbox }

// Reaches tells whether messages of a channel go anywhere.
func (s *Sender) Reaches(c Channel) bool { return s.channels[c] != nil }

// Send sends a message, within 20 seconds.
func (s *Sender) Send(ctx context.Context, m Message) error {
	to := s.channels[m.Channel]
	if to == nil {
		return fault.New(faultv1.Reason_REASON_UNAVAILABLE, "no server is set for messages of the kind %s", m.Channel)
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	return to.send(ctx, m)
}

// Check asks the server of a channel whether it takes messages, with the
// credentials that are set; it sends none.
func (s *Sender) Check(ctx context.Context, c Channel) error {
	to := s.channels[c]
	if to == nil {
		return fault.New(faultv1.Reason_REASON_UNAVAILABLE, "no server is set for messages of the kind %s", c)
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	return to.check(ctx)
}

// unavailable says that a server cannot take a message now.
func unavailable(cause error, c Channel) error {
	return fault.Wrap(cause, faultv1.Reason_REASON_UNAVAILABLE, "the server for messages of the kind %s does not take them now", c)
}

// refused says that a server will not take a message.
func refused(cause error) error {
	return fault.Wrap(cause, faultv1.Reason_REASON_INVALID_ARGUMENT, "the receiver was refused for good")
}
