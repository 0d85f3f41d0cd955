// Package mailing sends the emails of the auth service.
//
// A room queues a [Message] in the transaction of the change that causes it: the email is
// sent if and only if that transaction commits, even when the mail server is down for
// hours. A job composes and sends the email, and retries while that fails.
//
//	err := mail.Enqueue(ctx, tx, mailing.Message{Kind: mailPasswordChanged, Address: u.Email, Locale: u.Locale})
//
// The template of the kind gives the text, filled with the data of the message. For some
// kinds a room registers a [Composer], which reads the current state when the email is
// sent. A secret, such as the token of a link, is always made by a composer: its lifetime
// then starts when the email is sent, and it is stored nowhere but in the email. The rest
// of the message is in the job, sealed with a key that is not in the database.
//
// An address gets at most five emails of a kind in an hour. More are dropped silently,
// because the client that requested one must not learn whether the address has an
// account. Queuing is the same work for any address.
package mailing

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/metric"
	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/jobs"
	"github.com/gatehouse/gatehouse/platform/notify"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/room"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
)

const (
	// perHour is the number of emails of a kind that an address gets in an hour.
	perHour = 5
	// attempts spread over about eleven hours.
	attempts = 12
	// workers is the number of emails that one process sends at once: a mail server
	// accepts few connections from one client.
	workers = 4
	// stopTimeout bounds how long the emails being sent may take when the service stops.
	stopTimeout = 10 * time.Second
)

// Kind is the reason for an email.
type Kind string

// Message is an email to be sent.
type Message struct {
	// ID is set when the message is queued.
	ID   string `json:"id"`
	Kind Kind   `json:"kind"`
	// Address is the recipient.
	Address string `json:"address"`
	// Locale is the recipient's language (BCP 47). Empty means English.
	Locale string `json:"locale,omitempty"`
	// Data fills the template, or tells the composer what the email is about.
	Data map[string]string `json:"data,omitempty"`
	// OverLimit is set when the address already got its emails of this hour.
	OverLimit bool `json:"surplus,omitempty"`
}

// Deps is what the room needs.
type Deps struct {
	DB     *postgres.DB
	Store  *Store
	Sender *notify.Sender
	// SecretKey is the installation's secret of 32 bytes.
	SecretKey []byte
	// PublicURL is given to every template as home.
	PublicURL string
	// Limited reports whether the number of emails to an address is limited.
	Limited bool
	Log     *slog.Logger
	Meter   metric.MeterProvider `deps:"optional"`
	Clock   clock.Clock
}

// Service queues emails, and composes and sends them.
type Service struct {
	deps      Deps
	sealer    *sealer
	templates *notify.Templates
	composers map[Kind]Composer
	jobs      *jobs.Client
}

// New returns the room.
func New(d Deps) (*Service, error) {
	if err := deps.Check("mailing", d); err != nil {
		return nil, err
	}
	sealer, err := newSealer(d.SecretKey)
	if err != nil {
		return nil, err
	}
	templates, err := parseTemplates()
	if err != nil {
		return nil, err
	}
	s := &Service{deps: d, sealer: sealer, templates: templates, composers: map[Kind]Composer{}}
	handlers := jobs.NewWorkers()
	if err := jobs.Handle(handlers, s.deliver, jobs.WorkOptions{Timeout: deliverTimeout}); err != nil {
		return nil, fmt.Errorf("mailing: %w", err)
	}
	if s.jobs, err = jobs.Open(d.DB, jobs.Options{
		Workers: handlers, Queues: map[string]int{jobs.DefaultQueue: workers}, Log: d.Log, MeterProvider: d.Meter, Clock: d.Clock,
	}); err != nil {
		return nil, err
	}
	if !d.Sender.Reaches(notify.Email) {
		d.Log.Warn("no mail server is set: emails stay queued until there is one")
	}
	return s, nil
}

// Register does nothing: the room has no RPCs.
func (s *Service) Register(grpc.ServiceRegistrar) {}

// Tables returns the tables that the room owns.
func (s *Service) Tables() []room.Table { return []room.Table{{Name: "letter_counts"}} }

// Sweeps returns the periodic deletion of expired rows.
func (s *Service) Sweeps() []room.Sweep {
	return []room.Sweep{{Name: "delete the counts of sent emails", Do: s.sweep}}
}

// Run sends emails until ctx ends. The emails that are being sent then get some time to
// finish.
func (s *Service) Run(ctx context.Context) error {
	// Stop ends the jobs, not the end of ctx, so that a job may finish.
	if err := s.jobs.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	<-ctx.Done()
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return s.jobs.Stop(stopCtx)
}

// Healthy reports whether emails are being sent.
func (s *Service) Healthy() bool { return s.jobs.Healthy() }

// Locales returns the languages of the emails (BCP 47).
func (s *Service) Locales() []string { return s.templates.Locales() }

// Enqueue queues an email in the caller's transaction. An email over the limit of its
// address is queued too, so that the work is the same, and dropped when its job runs.
func (s *Service) Enqueue(ctx context.Context, tx postgres.Tx, m Message) error {
	m.ID = id.New()
	hash := s.sealer.addressHash(user.NormalizeEmail(m.Address))
	n, err := s.deps.Store.count(ctx, tx, hash, m.Kind, clock.Stamp(s.deps.Clock))
	if err != nil {
		return err
	}
	m.OverLimit = s.deps.Limited && n > perHour
	job, err := s.sealer.seal(m)
	if err != nil {
		return err
	}
	return s.jobs.Insert(ctx, tx, job, jobs.InsertOptions{MaxAttempts: attempts})
}

// EnqueueNow is [Service.Enqueue] in a transaction of its own.
func (s *Service) EnqueueNow(ctx context.Context, m Message) error {
	return s.deps.Store.inTx(ctx, func(ctx context.Context, tx postgres.Tx) error { return s.Enqueue(ctx, tx, m) })
}

// sweep deletes the counts of past hours.
func (s *Service) sweep(ctx context.Context) error {
	return s.deps.Store.deleteCounts(ctx, s.deps.Clock.Now().Add(-time.Hour))
}
