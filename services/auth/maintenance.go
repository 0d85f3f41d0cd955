package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
)

// maintainEvery is how often the service checks whether a key is due and
// deletes what expired. Both take days to become due, so this only bounds the
// time until a failed attempt is repeated.
const maintainEvery = time.Minute

// maintain does the periodic work every minute until ctx ends, and logs what
// fails.
func (s *Service) maintain(ctx context.Context) {
	for {
		if err := s.ring.Rotate(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "maintenance failed", "task", "rotate the signing keys", "error", err)
		}
		for what, sweep := range s.sweeps() {
			if err := sweep(ctx); err != nil && ctx.Err() == nil {
				s.log.ErrorContext(ctx, "maintenance failed", "task", what, "error", err)
			}
		}
		if clock.Sleep(ctx, s.clock, maintainEvery) != nil {
			return
		}
	}
}

// Sweep deletes the rows whose time has ended, once. Run does the same every
// minute.
func (s *Service) Sweep(ctx context.Context) error {
	var problems []error
	for what, sweep := range s.sweeps() {
		if err := sweep(ctx); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", what, err))
		}
	}
	return errors.Join(problems...)
}

// sweeps returns the tasks that delete rows whose time has ended, each a bounded number
// in a transaction. Auth also deletes the stored answers for Idempotency-Keys of all
// services. A test in cmd/surface finds a table with an expiry that none of them
// sweeps.
func (s *Service) sweeps() map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"remove expired challenges":         s.factors.Sweep,
		"remove old revocations":            s.revoked.Sweep,
		"purge deleted organizations":       s.organizations.Purge,
		"remove expired links":              s.emails.Sweep,
		"remove expired codes":              s.oauth.Sweep,
		"remove expired provider sign-ins":  s.federation.Sweep,
		"remove old invitations":            s.invitations.Sweep,
		"remove expired API keys":           s.apiKeys.Sweep,
		"forget how many letters were sent": s.mail.queue.Sweep,
		"remove expired sessions": func(ctx context.Context) error {
			_, err := s.sessions.Sweep(ctx)
			return err
		},
		"remove remembered answers": func(ctx context.Context) error {
			_, err := s.answers.Sweep(ctx)
			return err
		},
	}
}
