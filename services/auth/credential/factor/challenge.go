package factor

import (
	"context"
	"slices"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// Challenge is a sign-in that waits for the second factor.
type Challenge struct {
	// ID identifies the sign-in. It is returned once.
	ID string
	// Methods are the ways to answer.
	Methods []string
}

// Challenge creates the challenge of a user's sign-in, with the methods that were used
// so far. It returns false when the user has no factor.
func (s *Service) Challenge(ctx context.Context, userID string, used []string) (Challenge, bool, error) {
	has, err := s.deps.Store.enrolled(ctx, userID)
	if err != nil || !has.any() {
		return Challenge{}, false, err
	}
	id, hash := newChallenge()
	err = s.deps.Store.insertChallenge(ctx, userID, hash, used, s.deps.Clock.Now().Add(challengeTTL))
	return Challenge{ID: id, Methods: has.methods()}, true, err
}

// Completed is a sign-in with all its factors.
type Completed struct {
	UserID, OrganizationID string
	// Methods are all the methods that were used for it.
	Methods []string
}

// AnswerChallenge verifies the code for a challenge. The transaction has no scope at
// first, and the user's scope afterwards. A refusal is not an error of the transaction,
// because the attempt must be counted.
func (s *Service) AnswerChallenge(ctx context.Context, tx postgres.Tx, challengeID, code string) (a Completed, refusal, err error) {
	hash := digest(challengeID)
	userID, used, alive, err := s.deps.Store.countTry(ctx, tx, hash, s.deps.Clock.Now())
	if err != nil {
		return a, nil, err
	}
	if !alive {
		return a, invalidFactor(), nil
	}
	if err := postgres.Enter(ctx, tx, postgres.Scope{UserID: userID}); err != nil {
		return a, nil, err
	}
	organizationID, err := s.deps.Users.HomeOrganization(ctx, tx, userID)
	if err != nil {
		return a, nil, err
	}
	if err := postgres.Enter(ctx, tx, postgres.Scope{OrganizationID: organizationID, UserID: userID}); err != nil {
		return a, nil, err
	}
	if refusal, err = s.Check(ctx, tx, organizationID, userID, code); refusal != nil || err != nil {
		return a, refusal, err
	}
	if err := s.deps.Store.deleteChallenge(ctx, tx, hash); err != nil {
		return a, nil, err
	}
	return Completed{UserID: userID, OrganizationID: organizationID, Methods: Combine(used, identity.MethodOTP)}, nil, nil
}

// Check verifies a user's code, in a transaction in the user's scope in an
// organization. A refusal is not an error of the transaction: a wrong code is counted
// there, and after a few of them the user gets an email, because somebody else may know
// the password. Too many wrong codes are RATE_LIMITED, which is an error.
func (s *Service) Check(ctx context.Context, tx postgres.Tx, organizationID, userID, code string) (refusal, err error) {
	wrong, err := s.count(ctx, tx, userID)
	if err != nil {
		return nil, err
	}
	right, err := s.consume(ctx, tx, organizationID, userID, normalize(code))
	if err != nil {
		return nil, err
	}
	if !right {
		return invalidFactor(), s.notifyWrongCodes(ctx, tx, userID, wrong)
	}
	return nil, s.deps.Store.uncount(ctx, tx, userID)
}

// consume uses up a code, and reports whether it was right.
func (s *Service) consume(ctx context.Context, tx postgres.Tx, organizationID, userID, code string) (bool, error) {
	if !isTOTP(code) {
		used, err := s.deps.Store.useRecoveryCode(ctx, tx, userID, digest(code))
		if err != nil || !used {
			return false, err
		}
		return true, s.record(ctx, tx, organizationID, userID, "auth.recovery_code.used")
	}
	t, found, err := s.deps.Store.totp(ctx, tx, userID)
	if err != nil || !found || !t.confirmed {
		return false, err
	}
	return s.useStep(ctx, tx, t, code)
}

// useStep uses up the step of an authenticator's code.
func (s *Service) useStep(ctx context.Context, tx postgres.Tx, t authenticator, code string) (bool, error) {
	secret, err := s.box.Open(t.sealed, t.id)
	if err != nil {
		return false, fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "the authenticator's secret cannot be opened")
	}
	step, ok := stepOf(string(secret), code, s.deps.Clock.Now())
	if !ok {
		return false, nil
	}
	return s.deps.Store.useStep(ctx, tx, t.id, step)
}

// Combine adds new methods to those that were used before.
func Combine(used []string, now ...string) []string {
	out := slices.Clone(used)
	for _, method := range now {
		if !slices.Contains(out, method) {
			out = append(out, method)
		}
	}
	if len(out) > 1 && identity.ShowedFactor(out) && !slices.Contains(out, identity.MethodMultiple) {
		out = append(out, identity.MethodMultiple)
	}
	return out
}
