package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
)

// maintainEvery is how often the service looks whether a key is due and removes
// what expired. Both take days to come due, so this only bounds how long a
// failed attempt goes unrepeated.
const maintainEvery = time.Minute

// maintain does what is due every minute.
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

// Sweep removes what ended by time, once. Run does it every minute.
func (s *Service) Sweep(ctx context.Context) error {
	var problems []error
	for what, sweep := range s.sweeps() {
		if err := sweep(ctx); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", what, err))
		}
	}
	return errors.Join(problems...)
}

// sweeps remove what ended by time, each a bounded part in a transaction. Of the answers
// that are remembered for Idempotency-Keys, auth removes those of all services.
// cmd/surface finds a table with an expiry that none of them sweeps.
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
		"forget how many letters were sent": s.post.office.Sweep,
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
