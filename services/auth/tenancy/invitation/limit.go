package invitation

import (
	"context"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// unconfirmedPerDay is the number of invitations that a user with an unconfirmed
	// address may send in a day, from all organizations together. Such an account costs
	// nothing, and each invitation is an email to an unknown person with a name that
	// the sender chose. The limit is enough for a small team to start with.
	unconfirmedPerDay = 5

	day = 24 * time.Hour
)

// sender is the user who sends an invitation, with the numbers of invitations sent
// today.
type sender struct {
	// isPerson is false for a service account.
	isPerson bool
	// confirmed reports whether a person with a confirmed address is responsible: the
	// sender, or for a service account an owner of its organization.
	confirmed bool
	// byUser counts the invitations of the sender, from all organizations.
	// byOrganization counts those of the organization.
	byUser, byOrganization int
}

// enforceLimit refuses an invitation when its sender or its organization has reached
// the limit of the day, and counts it otherwise. Until the transaction ends, no other
// invitation of either is sent.
func (s *Service) enforceLimit(ctx context.Context, tx postgres.Tx, i Invitation) error {
	today := i.CreateTime.UTC().Truncate(day)
	if s.deps.PerDay > 0 {
		if err := s.checkLimits(ctx, tx, i, today); err != nil {
			return err
		}
	}
	return s.store.count(ctx, tx, i, today)
}

// checkLimits refuses an invitation past a limit of the day.
func (s *Service) checkLimits(ctx context.Context, tx postgres.Tx, i Invitation, today time.Time) error {
	sent, err := s.store.sent(ctx, tx, i, today)
	if err != nil {
		return err
	}
	if !sent.isPerson && !sent.confirmed {
		// A limit for each account would not help, because anyone can create any
		// number of them.
		return fault.New(faultv1.Reason_REASON_PERMISSION_DENIED,
			"a service account can send invitations after an owner of the organization has confirmed an address")
	}
	tomorrow := today.Add(day).Sub(i.CreateTime)
	if !sent.confirmed && sent.byUser >= unconfirmedPerDay {
		return fault.New(faultv1.Reason_REASON_INVITATION_LIMIT,
			"an account with an unconfirmed address may send %d invitations a day: confirm the address, or continue tomorrow", unconfirmedPerDay).
			WithRetryAfter(tomorrow)
	}
	if sent.byOrganization >= s.deps.PerDay {
		return fault.New(faultv1.Reason_REASON_INVITATION_LIMIT,
			"the organization has sent %d invitations today: continue tomorrow", sent.byOrganization).WithRetryAfter(tomorrow)
	}
	return nil
}
