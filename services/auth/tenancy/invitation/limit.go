package invitation

import (
	"context"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// unconfirmedPerDay is how many invitations a day a user may send whose address is
	// not confirmed, from all organizations together. Such an account costs nothing,
	// and each invitation is a mail to a stranger with a name that the sender chose.
	// The limit is enough for a small team to start with.
	unconfirmedPerDay = 5

	day = 24 * time.Hour
)

// sender is the user who sends an invitation, with the numbers of invitations
// sent today.
type sender struct {
	// person is false for a service account.
	person bool
	// confirmed reports that a person with a confirmed address is responsible: the
	// sender, or for a service account an owner of its organization.
	confirmed bool
	// own counts the invitations of the sender, from all organizations; all counts
	// those of the organization.
	own, all int
}

// limit refuses an invitation when its sender or its organization has reached the
// limit of the day, and counts it otherwise. Until the transaction ends, no other
// invitation of either is sent.
func (s *Service) limit(ctx context.Context, tx postgres.Tx, i Invitation) error {
	today := i.CreateTime.UTC().Truncate(day)
	if s.deps.PerDay > 0 {
		if err := s.checkLimits(ctx, tx, i, today); err != nil {
			return err
		}
	}
	return s.deps.Store.count(ctx, tx, i, today)
}

// checkLimits refuses an invitation past a limit of the day.
func (s *Service) checkLimits(ctx context.Context, tx postgres.Tx, i Invitation, today time.Time) error {
	sent, err := s.deps.Store.sent(ctx, tx, i, today)
	if err != nil {
		return err
	}
	if !sent.person && !sent.confirmed {
		// A limit for each account would not help: anybody can create any
		// number of them.
		return fault.New(faultv1.Reason_REASON_PERMISSION_DENIED,
			"a service account sends invitations once an owner of the organization has confirmed an address")
	}
	tomorrow := today.Add(day).Sub(i.CreateTime)
	if !sent.confirmed && sent.own >= unconfirmedPerDay {
		return fault.New(faultv1.Reason_REASON_INVITATION_LIMIT,
			"%d invitations a day may be sent from an account whose address is not confirmed: confirm it, or go on tomorrow", unconfirmedPerDay).
			WithRetryAfter(tomorrow)
	}
	if sent.all >= s.deps.PerDay {
		return fault.New(faultv1.Reason_REASON_INVITATION_LIMIT,
			"the organization has sent %d invitations today: go on tomorrow", sent.all).WithRetryAfter(tomorrow)
	}
	return nil
}
