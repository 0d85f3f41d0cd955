package auth

import (
	"context"
	"time"

	"github.com/gatehouse/gatehouse/platform/jobs"
	"github.com/gatehouse/gatehouse/platform/notify"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/services/auth/credential/apikey"
	"github.com/gatehouse/gatehouse/services/auth/credential/factor"
	"github.com/gatehouse/gatehouse/services/auth/credential/session"
	"github.com/gatehouse/gatehouse/services/auth/credential/usersession"
	"github.com/gatehouse/gatehouse/services/auth/federation"
	"github.com/gatehouse/gatehouse/services/auth/identity/email"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
	"github.com/gatehouse/gatehouse/services/auth/mailing"
	"github.com/gatehouse/gatehouse/services/auth/outbox"
)

const (
	// mailWorkers is how many letters one process sends at once: a mail server
	// takes few connections of one client.
	mailWorkers = 4
	// stopTimeout bounds how long letters may be finished when the service stops.
	stopTimeout = 10 * time.Second
)

// mail is how the service writes to people.
type mail struct {
	jobs   *jobs.Client
	worker *mailing.Worker
	queue  *mailing.Queue
	outbox *outbox.Service
}

// openMail builds it: the jobs' handlers come before their queue, and that before
// whoever puts letters in.
func openMail(cfg Config, deps Deps, tokens *paging.Tokens) (mail, error) {
	var p mail
	messages := cfg.Messages
	if messages.From == "" {
		messages.From = notify.SenderFor(cfg.Issuer)
	}
	sender, err := notify.Open(messages, deps.Clock)
	if err != nil {
		return p, err
	}
	sealer, err := mailing.NewSealer(cfg.SecretKey)
	if err != nil {
		return p, err
	}
	if p.worker, err = mailing.NewWorker(sealer, sender, cfg.Issuer); err != nil {
		return p, err
	}
	workers := jobs.NewWorkers()
	if err := p.worker.Register(workers); err != nil {
		return p, err
	}
	if p.jobs, err = jobs.Open(deps.DB, jobs.Options{
		Workers: workers, Queues: map[string]int{jobs.DefaultQueue: mailWorkers},
		Log: deps.Log, MeterProvider: deps.Meter, Clock: deps.Clock,
	}); err != nil {
		return p, err
	}
	if !sender.Reaches(notify.Email) {
		deps.Log.Warn("no mail server is set: mail waits until there is one")
	}
	p.outbox = outbox.NewService(sender.Outbox(), tokens)
	p.queue, err = mailing.NewQueue(mailing.QueueDeps{
		Store: mailing.NewStore(deps.DB), Sealer: sealer, Jobs: p.jobs, Limited: cfg.RateLimits, Clock: deps.Clock,
	})
	return p, err
}

// run delivers letters until ctx ends, and then gives those on their way a
// moment.
func (p mail) run(ctx context.Context) error {
	// Jobs are stopped by Stop, not by the end of ctx: what is at work may finish.
	if err := p.jobs.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	<-ctx.Done()
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return p.jobs.Stop(stopCtx)
}

// MailHealthy tells whether letters are being delivered.
func (s *Service) MailHealthy() bool { return s.mail.jobs.Healthy() }

// emailDeps are the rooms that the room of addresses leans on.
type emailDeps struct {
	users    *user.Store
	accounts *session.Accounts
	hasher   *user.Hasher
	// passwords judges those that are shown.
	passwords *session.Passwords
	sessions  *usersession.Service
	keys      *apikey.Service
	factors   *factor.Store
	// identities are those at providers.
	identities *federation.Store
}

// openEmails builds the room of addresses.
func (s *Service) openEmails(deps Deps, d emailDeps) (*email.Service, error) {
	return email.NewService(email.Deps{
		Store: email.NewStore(deps.DB), Users: d.users, Accounts: d.accounts, Hasher: d.hasher, Passwords: d.passwords, Sessions: d.sessions,
		DeleteKeys: d.keys.DeleteAll, DeleteFactors: d.factors.DeleteAll, DeleteIdentities: d.identities.DeleteAll, Enrolled: s.factors.Methods,
		Mail: s.mail.queue, SecretKey: s.cfg.SecretKey, PublicURL: s.cfg.Issuer, Required: s.cfg.VerifiedEmail, Trail: s.trail, Clock: deps.Clock,
	}, s.mail.worker)
}
