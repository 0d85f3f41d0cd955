package federation

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
	"github.com/gatehouse/gatehouse/services/auth/mailing"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
)

// mailNotLinked tells the user of an account whose address an organization's provider
// told of.
const mailNotLinked mailing.Kind = "identity_not_linked"

// mayAssert tells whether an address is of the domains that an organization named.
func (p OrganizationProvider) mayAssert(email string) bool {
	_, domain, found := strings.Cut(user.NormalizeEmail(email), "@")
	return found && slices.Contains(p.Domains, domain)
}

// newMember is the account of somebody new whom an organization's provider tells of, who
// joins the organization. The address is what the organization says, and no more: the
// account is made with it unconfirmed, and one that has it is left alone. Where
// addresses must be confirmed the answer is the same for either, and the mail tells: an
// organization must not learn who has an account.
func (s *Service) newMember(ctx context.Context, tx postgres.Tx, p Provider, who profile) (account user.Account, refusal, err error) {
	if !p.owner.mayAssert(who.email) {
		return account, nil, unverified()
	}
	if account, err = s.deps.Users.TxForSignIn(ctx, tx, who.email); err != nil {
		return account, nil, err
	}
	required := s.deps.Addresses.Required()
	if account.UserID != "" {
		if !required {
			return account, nil, notLinked()
		}
		if account.Disabled {
			return account, unconfirmed(), nil // nobody is left to be told
		}
		return account, unconfirmed(), s.deps.Mail.Enqueue(ctx, tx, mailing.Message{Kind: mailNotLinked, Address: who.email, Locale: account.Locale})
	}
	if account, err = s.deps.Accounts.CreateUnconfirmed(ctx, tx, who.email, who.name); err != nil {
		return account, nil, err
	}
	if err := s.linkNow(ctx, tx, p, account, who); err != nil {
		return account, nil, err
	}
	if err := s.join(ctx, tx, p, account.UserID); err != nil {
		return account, nil, err
	}
	if required {
		refusal = unconfirmed()
	}
	account.OrganizationID = p.owner.OrganizationID
	return account, refusal, s.deps.Addresses.SendConfirmation(ctx, tx, user.User{ID: account.UserID, Email: who.email, Locale: account.Locale})
}

// knownMember is the account of an identity at an organization's provider, as long as its
// user belongs to the organization. It is bound to that where its user has other ways
// to sign in: then the account is not the organization's to open.
func (s *Service) knownMember(ctx context.Context, tx postgres.Tx, p Provider, known Identity, who profile) (account user.Account, bound bool, refusal, err error) {
	u, err := s.recordLogin(ctx, tx, known, who)
	if err != nil {
		return account, false, nil, err
	}
	account = user.Account{UserID: u.ID, OrganizationID: p.owner.OrganizationID}
	if s.deps.Addresses.Required() && !u.EmailVerified {
		return account, false, unconfirmed(), s.deps.Addresses.SendConfirmation(ctx, tx, u)
	}
	if err := postgres.Enter(ctx, tx, postgres.Scope{OrganizationID: account.OrganizationID, UserID: u.ID}); err != nil {
		return account, false, nil, err
	}
	_, err = s.deps.Organizations.Member(ctx, tx, account.OrganizationID, u.ID)
	if fault.Is(err, faultv1.Reason_REASON_NOT_FOUND) {
		return account, false, nil, refused(errors.New("federation: the user was removed from the organization"))
	}
	if err != nil {
		return account, false, nil, err
	}
	bound, err = s.deps.Store.signsInWithoutProvider(ctx, tx, u.ID, p.ID)
	return account, bound, nil, err
}

// join makes a user a member of the organization whose provider brought it, unless it
// is one. It leaves the transaction in the organization.
func (s *Service) join(ctx context.Context, tx postgres.Tx, p Provider, userID string) error {
	organizationID, now := p.owner.OrganizationID, clock.Stamp(s.deps.Clock)
	if err := postgres.Enter(ctx, tx, postgres.Scope{OrganizationID: organizationID, UserID: userID}); err != nil {
		return err
	}
	if err := s.deps.Organizations.Lock(ctx, tx, organizationID); err != nil {
		return err
	}
	_, err := s.deps.Organizations.Member(ctx, tx, organizationID, userID)
	if !fault.Is(err, faultv1.Reason_REASON_NOT_FOUND) {
		return err
	}
	member := organization.Member{
		OrganizationID: organizationID, User: user.User{ID: userID}, Roles: []string{p.owner.Role}, CreateTime: now, UpdateTime: now,
	}
	if err := s.deps.Organizations.InsertMember(ctx, tx, member); err != nil {
		return err
	}
	return s.deps.Trail.Append(ctx, tx, audit.Event{
		OrganizationID: organizationID, ActorID: userID, Action: "auth.member.added", ResourceType: "member", ResourceID: userID,
		Changes: map[string]audit.Change{"roles": {After: member.Roles}},
	})
}
