package factor

import (
	"context"
	"errors"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/postgres"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// BeginSignIn requests a passkey. For the challenge of a sign-in, one of its user's
// passkeys is requested. Without a challenge, any passkey is, and its device must
// verify the user, because there is no other factor.
func (p *Passkeys) BeginSignIn(ctx context.Context, challengeID string) (*authv1.PasskeyCeremony, error) {
	web, err := p.relyingParty()
	if err != nil {
		return nil, err
	}
	if challengeID == "" {
		options, state, err := web.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
		if err != nil {
			return nil, unreadable(err)
		}
		return p.begin(ctx, purposeSignIn, nil, state, options.Response)
	}
	hash := digest(challengeID)
	userID, keys, err := p.factors.deps.Store.challengeUser(ctx, hash, p.factors.deps.Clock.Now())
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, invalidFactor()
	}
	options, state, err := web.BeginLogin(webauthnUser{id: userID, keys: keys}, webauthn.WithUserVerification(protocol.VerificationPreferred))
	if err != nil {
		return nil, unreadable(err)
	}
	return p.begin(ctx, purposeFactor, hash, state, options.Response)
}

// FinishSignIn verifies the response of a device. The transaction has no scope at
// first, and the user's scope afterwards. A refusal is not an error of the transaction,
// because the request must be deleted and the attempt counted.
func (p *Passkeys) FinishSignIn(ctx context.Context, tx postgres.Tx, challengeID string, credential *structpb.Struct) (a Completed, refusal, err error) {
	requested, refusal, err := p.takeCeremony(ctx, tx, challengeID, purposeSignIn, purposeFactor)
	if refusal != nil || err != nil {
		return a, refusal, err
	}
	answer, refusal := parse(credential)
	if refusal != nil {
		return a, refusal, nil
	}
	if requested.purpose == purposeFactor {
		return p.answerChallenge(ctx, tx, requested, answer)
	}
	a, refusal, err = p.enterUser(ctx, tx, string(answer.Response.UserHandle))
	if refusal != nil || err != nil {
		return a, refusal, err
	}
	refusal, err = p.verify(ctx, tx, a, requested, answer)
	a.Methods = Combine(nil, provenMethods(answer.Response.AuthenticatorData.Flags)...)
	return a, refusal, err
}

// answerChallenge verifies the passkey of a sign-in that waits for a second factor.
func (p *Passkeys) answerChallenge(ctx context.Context, tx postgres.Tx, requested ceremony, answer *protocol.ParsedCredentialAssertionData) (a Completed, refusal, err error) {
	store, now := p.factors.deps.Store, p.factors.deps.Clock.Now()
	userID, before, alive, err := store.countTry(ctx, tx, requested.challengeHash, now)
	if err != nil {
		return a, nil, err
	}
	if !alive {
		return a, invalidFactor(), nil
	}
	if a, refusal, err = p.enterUser(ctx, tx, userID); refusal != nil || err != nil {
		return a, refusal, err
	}
	wrong, err := p.factors.count(ctx, tx, userID)
	if err != nil {
		return a, nil, err
	}
	if refusal, err = p.verify(ctx, tx, a, requested, answer); err != nil {
		return a, nil, err
	}
	if refusal != nil {
		return a, refusal, p.factors.notifyWrongCodes(ctx, tx, userID, wrong)
	}
	a.Methods = Combine(before, provenMethods(answer.Response.AuthenticatorData.Flags)...)
	if err := store.deleteChallenge(ctx, tx, requested.challengeHash); err != nil {
		return a, nil, err
	}
	return a, nil, store.uncount(ctx, tx, userID)
}

// Check verifies a user's passkey alone, in a transaction in the user's scope in an
// organization. It returns the methods that the passkey proves.
func (p *Passkeys) Check(ctx context.Context, tx postgres.Tx, organizationID, userID string, answer *authv1.PasskeyAnswer) (methods []string, refusal, err error) {
	requested, refusal, err := p.takeCeremony(ctx, tx, answer.GetChallengeId(), purposeSignIn)
	if refusal != nil || err != nil {
		return nil, refusal, err
	}
	parsed, refusal := parse(answer.GetCredential())
	if refusal != nil {
		return nil, refusal, nil
	}
	if string(parsed.Response.UserHandle) != userID {
		return nil, notProven(errors.New("factor: another user's passkey")), nil
	}
	refusal, err = p.verify(ctx, tx, Completed{UserID: userID, OrganizationID: organizationID}, requested, parsed)
	return provenMethods(parsed.Response.AuthenticatorData.Flags), refusal, err
}

// takeCeremony uses up a request to a device.
func (p *Passkeys) takeCeremony(ctx context.Context, tx postgres.Tx, challengeID string, purposes ...string) (requested ceremony, refusal, err error) {
	if _, err := p.relyingParty(); err != nil {
		return requested, nil, err
	}
	requested, found, err := p.factors.deps.Store.takeCeremony(ctx, tx, digest(challengeID), purposes, p.factors.deps.Clock.Now())
	if err == nil && !found {
		return requested, notProven(errors.New("factor: no such ceremony")), nil
	}
	return requested, nil, err
}

func parse(credential *structpb.Struct) (answer *protocol.ParsedCredentialAssertionData, refusal error) {
	raw, err := credential.MarshalJSON()
	if err != nil {
		return nil, notProven(err)
	}
	answer, err = protocol.ParseCredentialRequestResponseBytes(raw)
	if err != nil {
		return nil, notProven(err)
	}
	return answer, nil
}

// enterUser moves the transaction to a user's scope, in the organization in which the
// user's sessions start. The id comes from the client and may be anything.
func (p *Passkeys) enterUser(ctx context.Context, tx postgres.Tx, userID string) (a Completed, refusal, err error) {
	if !id.Valid(userID) {
		return a, notProven(errors.New("factor: no user's handle")), nil
	}
	if err := postgres.Enter(ctx, tx, postgres.Scope{UserID: userID}); err != nil {
		return a, nil, err
	}
	organizationID, err := p.factors.deps.Users.HomeOrganization(ctx, tx, userID)
	if fault.Is(err, faultv1.Reason_REASON_NOT_FOUND) {
		return a, notProven(err), nil
	}
	if err != nil {
		return a, nil, err
	}
	a = Completed{UserID: userID, OrganizationID: organizationID}
	return a, nil, postgres.Enter(ctx, tx, postgres.Scope{OrganizationID: organizationID, UserID: userID})
}

// verify verifies a signature by one of the user's passkeys, and stores the new
// signature count. A count that does not grow means that the key was copied: the
// passkey is refused, and the audit trail records it.
func (p *Passkeys) verify(ctx context.Context, tx postgres.Tx, a Completed, requested ceremony, answer *protocol.ParsedCredentialAssertionData) (refusal, err error) {
	state, err := requested.session()
	if err != nil {
		return nil, err
	}
	keys, err := p.factors.deps.Store.passkeys(ctx, tx, a.UserID)
	if err != nil {
		return nil, err
	}
	owner := webauthnUser{id: a.UserID, keys: keys}
	var used *webauthn.Credential
	if requested.purpose == purposeFactor {
		used, err = p.web.ValidateLogin(owner, state, answer)
	} else {
		used, err = p.web.ValidateDiscoverableLogin(func(_, _ []byte) (webauthn.User, error) { return owner, nil }, state, answer)
	}
	if err != nil {
		return notProven(err), nil
	}
	grew := !used.Authenticator.CloneWarning
	if grew {
		if grew, err = p.factors.deps.Store.usePasskey(ctx, tx, used, p.factors.deps.Clock.Now()); err != nil {
			return nil, err
		}
	}
	if !grew {
		return notProven(errors.New("factor: the count of signatures did not grow")), p.recordClone(ctx, tx, a)
	}
	return nil, nil
}

// recordClone records that a passkey may have been copied.
func (p *Passkeys) recordClone(ctx context.Context, tx postgres.Tx, a Completed) error {
	return p.factors.deps.Trail.Append(ctx, tx, audit.Event{
		OrganizationID: a.OrganizationID, ActorID: a.UserID, Action: "auth.passkey.clone_suspected", ResourceType: "user", ResourceID: a.UserID,
	})
}
