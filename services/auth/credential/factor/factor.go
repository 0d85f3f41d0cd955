// Package factor is the room of second factors: what a user presents besides a
// password.
//
// The sign-in of a user with a factor returns no tokens but a challenge, which is
// stored as a hash. An attempt to answer it is counted in the same statement that reads
// it, before the code is verified. So five attempts are the limit however many arrive
// at once. A user's wrong codes are also counted across challenges, because an attacker
// who knows the password can start new ones.
//
// A code of an authenticator works once, and after it no code of an earlier step (RFC
// 6238 section 5.2). Recovery codes are random, stored as hashes, and deleted when
// used. Enrolling the first factor ends the user's other sessions, so every session of
// a user with a factor has used one.
package factor

import (
	"context"
	"time"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/mailing"
)

// The ways to answer a challenge.
const (
	MethodTOTP         = "totp"
	MethodPasskey      = "passkey"
	MethodRecoveryCode = "recovery_code"
)

const (
	// challengeTTL is how long a sign-in waits for its second factor.
	challengeTTL = 5 * time.Minute
	// pendingTTL is how long a new authenticator can be confirmed.
	pendingTTL = 15 * time.Minute
	// maxWrong is the number of a user's wrong codes in an hour, for all challenges
	// together.
	maxWrong    = 10
	wrongWindow = time.Hour
	// notifyAt is the number of wrong codes in the hour that causes an email to the
	// user, once. One or two may be the user's own mistakes.
	notifyAt = 3
	// sealing is the purpose for which the key of authenticator secrets is derived.
	sealing = "gatehouse/auth/totp"
)

// The emails that inform a user, because somebody else may have made the change.
const (
	mailAdded      mailing.Kind = "factor_added"
	mailRemoved    mailing.Kind = "factor_removed"
	mailWrongCodes mailing.Kind = "factor_wrong"
)

// Methods returns the ways in which a user can answer a challenge. There are none when
// no factor is enrolled.
func (s *Service) Methods(ctx context.Context, userID string) ([]string, error) {
	enrolled, err := s.deps.Store.enrolled(ctx, userID)
	return enrolled.methods(), err
}

// Enrolled reports whether a user has a factor, in a transaction in the user's scope.
func (s *Service) Enrolled(ctx context.Context, tx postgres.Tx, userID string) (bool, error) {
	has, err := s.deps.Store.enrolledIn(ctx, tx, userID)
	return has.any(), err
}

// enrolled is what a user has enrolled.
type enrolled struct {
	totp          bool
	passkeys      int
	recoveryCodes int
}

func (e enrolled) any() bool { return e.totp || e.passkeys > 0 }

func (e enrolled) methods() []string {
	var out []string
	if e.totp {
		out = append(out, MethodTOTP)
	}
	if e.passkeys > 0 {
		out = append(out, MethodPasskey)
	}
	if e.any() && e.recoveryCodes > 0 {
		out = append(out, MethodRecoveryCode)
	}
	return out
}

// RequireFresh returns the caller of an action that cannot be undone. It requires a
// recent sign-in, with a factor where one is enrolled.
func (s *Service) RequireFresh(ctx context.Context) (*identity.Principal, error) {
	p, _, err := s.requireFactor(ctx)
	return p, err
}

// requireFactor returns the caller of a change of factors. It requires a recent
// sign-in, with a factor where one is enrolled.
func (s *Service) requireFactor(ctx context.Context) (*identity.Principal, enrolled, error) {
	p, err := identity.RequireFresh(ctx, s.deps.Clock, identity.MaxAuthAge)
	if err != nil {
		return nil, enrolled{}, err
	}
	has, err := s.deps.Store.enrolled(ctx, p.UserID)
	if err != nil {
		return nil, has, err
	}
	if has.any() && !identity.ShowedFactor(p.Methods) {
		return nil, has, identity.StepUpRequired()
	}
	return p, has, nil
}

func (s *Service) record(ctx context.Context, tx postgres.Tx, organizationID, userID, action string) error {
	return s.deps.Trail.Append(ctx, tx, audit.Event{
		OrganizationID: organizationID, ActorID: userID, Action: action, ResourceType: "user", ResourceID: userID,
	})
}

// notify queues an email to a user, in a transaction in the user's scope.
func (s *Service) notify(ctx context.Context, tx postgres.Tx, userID string, kind mailing.Kind) error {
	u, err := s.deps.Users.Get(ctx, tx, userID)
	if err != nil {
		return err
	}
	return s.deps.Mail.Enqueue(ctx, tx, mailing.Message{Kind: kind, Address: u.Email, Locale: u.Locale})
}

// invalidFactor is the one response to a wrong code and to an expired challenge.
func invalidFactor() error {
	return fault.New(faultv1.Reason_REASON_FACTOR_INVALID, "the code is wrong or was used, or its challenge has ended")
}

// count counts an attempt at a user's factor as wrong until it turns out to be right.
// Too many are RATE_LIMITED. It returns the number of wrong attempts in the hour,
// including this one.
func (s *Service) count(ctx context.Context, tx postgres.Tx, userID string) (wrong int, err error) {
	now := s.deps.Clock.Now()
	wrong, until, err := s.deps.Store.count(ctx, tx, userID, now)
	if err == nil && !until.IsZero() {
		return 0, tooManyWrong(until.Sub(now))
	}
	return wrong, err
}

// notifyWrongCodes queues an email about wrong codes, in the transaction that counted
// them, once there are more than a user enters by mistake. The count grows by one at a
// time, so this happens once in the hour.
func (s *Service) notifyWrongCodes(ctx context.Context, tx postgres.Tx, userID string, wrong int) error {
	if wrong != notifyAt {
		return nil
	}
	return s.notify(ctx, tx, userID, mailWrongCodes)
}

func tooManyWrong(retryAfter time.Duration) error {
	return fault.New(faultv1.Reason_REASON_RATE_LIMITED, "more than %d wrong codes in an hour", maxWrong).WithRetryAfter(retryAfter)
}
