package invitation

import (
	"context"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// unconfirmedPerDay is how many invitations a day are sent for somebody whose address
	// is not confirmed, from all organizations together. An account costs nothing until
	// then, and each invitation is a mail to a stranger with a name that the sender chose.
	// It is enough for a small team to start with.
	unconfirmedPerDay = 5

	day = 24 * time.Hour
)

// sender is who sends an invitation, and how many it has sent today.
type sender struct {
	// person says that it is no service account.
	person bool
	// confirmed says that a person with a confirmed address answers for it: the sender, or
	// an owner of the organization of a service account.
	confirmed bool
	// own are those of the sender, from all organizations; all are the organization's.
	own, all int
}

// limit refuses an invitation that is one too many for its sender or its organization
// on this day, and counts it otherwise. Nobody else sends for them meanwhile.
func (s *Service) limit(ctx context.Context, tx postgres.Tx, i Invitation) error {
	today := i.CreateTime.UTC().Truncate(day)
	if s.deps.PerDay > 0 {
		if err := s.within(ctx, tx, i, today); err != nil {
			return err
		}
	}
	return s.deps.Store.count(ctx, tx, i, today)
}

// within refuses an invitation that is one too many on a day.
func (s *Service) within(ctx context.Context, tx postgres.Tx, i Invitation, today time.Time) error {
	sent, err := s.deps.Store.sent(ctx, tx, i, today)
	if err != nil {
		return err
	}
	if !sent.person && !sent.confirmed {
		// However few each sent, there is no end of such accounts.
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
