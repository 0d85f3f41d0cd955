package federation

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
	"github.com/gatehouse/gatehouse/services/auth/mailing"
)

// account returns the account of a profile. It creates the account if there is none.
func (s *Service) account(ctx context.Context, p Provider, profile identityProfile) (account user.Account, methods []string, err error) {
	// A refusal is returned after the transaction, whose emails must be sent.
	var refusal error
	err = s.deps.Store.inTx(ctx, postgres.Scope{}, func(ctx context.Context, tx postgres.Tx) error {
		refusal, methods = nil, []string{identity.MethodFederated}
		known, found, err := s.deps.Store.identityUser(ctx, tx, p.ID, profile)
		switch {
		case err != nil:
			return err
		case found && p.owner != nil:
			var bound bool
			if account, bound, refusal, err = s.knownMember(ctx, tx, p, known, profile); bound {
				methods = append(methods, identity.MethodOrganization)
			}
		case found:
			account, err = s.knownAccount(ctx, tx, known, profile)
		case p.owner != nil:
			account, refusal, err = s.newMember(ctx, tx, p, profile)
		default:
			account, err = s.newAccount(ctx, tx, p, profile)
		}
		return err
	})
	if err == nil {
		err = refusal
	}
	return account, methods, err
}

// knownAccount returns the account of a known identity. It leaves the transaction in
// the user's scope.
func (s *Service) knownAccount(ctx context.Context, tx postgres.Tx, known Identity, profile identityProfile) (user.Account, error) {
	u, err := s.recordLogin(ctx, tx, known, profile)
	if err != nil {
		return user.Account{}, err
	}
	if s.deps.Addresses.Required() && !u.EmailVerified {
		return user.Account{}, refused(errors.New("federation: the address is not confirmed"))
	}
	home, err := s.deps.Users.HomeOrganization(ctx, tx, u.ID)
	return user.Account{UserID: u.ID, OrganizationID: home}, err
}

// recordLogin stores the login time of an identity and returns its user. It leaves the
// transaction in the user's scope.
func (s *Service) recordLogin(ctx context.Context, tx postgres.Tx, known Identity, profile identityProfile) (user.User, error) {
	if err := postgres.Enter(ctx, tx, postgres.Scope{UserID: known.UserID}); err != nil {
		return user.User{}, err
	}
	u, err := s.deps.Users.Get(ctx, tx, known.UserID)
	if err != nil {
		return u, err
	}
	if u.Disabled {
		return u, refused(errors.New("federation: the account is disabled"))
	}
	return u, s.deps.Store.recordLogin(ctx, tx, known.ID, profile.email, clock.Stamp(s.deps.Clock))
}

// newAccount returns the account of an unknown identity, with the identity linked. An
// existing account with the address belongs to another user, unless its address was
// never confirmed.
func (s *Service) newAccount(ctx context.Context, tx postgres.Tx, p Provider, profile identityProfile) (user.Account, error) {
	if profile.email == "" || !profile.verified {
		return user.Account{}, unverified()
	}
	account, err := s.deps.Users.TxForSignIn(ctx, tx, profile.email)
	switch {
	case err != nil:
	case account.UserID == "" && s.deps.SignUpClosed:
		err = fault.New(faultv1.Reason_REASON_SIGN_UP_CLOSED, "sign-up is closed: an invitation is required")
	case account.UserID == "":
		account, err = s.deps.Accounts.CreateConfirmed(ctx, tx, profile.email, "", profile.name)
	case account.Verified:
		err = notLinked()
	case account.Disabled:
		err = refused(errors.New("federation: the account is disabled"))
	default:
		err = s.deps.Addresses.TakeOver(ctx, tx, account)
	}
	if err != nil {
		return account, err
	}
	return account, s.linkAndUse(ctx, tx, p, account, profile)
}

// linkAndUse links an identity that is signing in.
func (s *Service) linkAndUse(ctx context.Context, tx postgres.Tx, p Provider, account user.Account, profile identityProfile) error {
	now := clock.Stamp(s.deps.Clock)
	_, err := s.link(ctx, tx, p, account, profile, &now)
	return err
}

// link adds an identity to an account, in a transaction in its user's scope, and
// informs the user.
func (s *Service) link(ctx context.Context, tx postgres.Tx, p Provider, account user.Account, profile identityProfile, used *time.Time) (Identity, error) {
	i := Identity{
		ID: id.New(), UserID: account.UserID, Provider: p.ID, Issuer: profile.issuer, Subject: profile.subject, Email: profile.email,
		CreateTime: clock.Stamp(s.deps.Clock), LastUsedTime: used,
	}
	scope := postgres.Scope{OrganizationID: account.OrganizationID, UserID: account.UserID}
	if err := postgres.Enter(ctx, tx, scope); err != nil {
		return i, err
	}
	if err := s.deps.Store.insert(ctx, tx, i); err != nil {
		return i, err
	}
	if err := s.record(ctx, tx, scope, i, "linked"); err != nil {
		return i, err
	}
	return i, s.notify(ctx, tx, account.UserID, mailAdded, p.mailName())
}

func (s *Service) record(ctx context.Context, tx postgres.Tx, scope postgres.Scope, i Identity, verb string) error {
	return s.deps.Trail.Append(ctx, tx, audit.Event{
		OrganizationID: scope.OrganizationID, ActorID: scope.UserID, Action: "auth.identity." + verb, ResourceType: "identity", ResourceID: i.ID,
		Changes: map[string]audit.Change{"provider": {After: i.Provider}},
	})
}

// notify queues an email to a user, in a transaction in the user's scope.
func (s *Service) notify(ctx context.Context, tx postgres.Tx, userID string, kind mailing.Kind, provider string) error {
	u, err := s.deps.Users.Get(ctx, tx, userID)
	if err != nil {
		return err
	}
	return s.deps.Mail.Enqueue(ctx, tx, mailing.Message{
		Kind: kind, Address: u.Email, Locale: u.Locale, Data: map[string]string{"provider": provider},
	})
}
