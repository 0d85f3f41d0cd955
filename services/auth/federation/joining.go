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

// mailNotLinked informs the user of an account whose address an organization's provider
// asserted.
const mailNotLinked mailing.Kind = "identity_not_linked"

// ownsDomain reports whether an address is in a domain that the organization named.
func (p OrganizationProvider) ownsDomain(email string) bool {
	_, domain, found := strings.Cut(user.NormalizeEmail(email), "@")
	return found && slices.Contains(p.Domains, domain)
}

// newMember creates the account of an unknown identity of an organization's provider,
// and adds it to the organization. The account's address is unconfirmed, because only
// the organization asserts it. An account that has the address already stays as it is.
// Where addresses must be confirmed, the response is the same in both cases, and only
// the email differs: an organization must not learn whether an address has an account.
func (s *Service) newMember(ctx context.Context, tx postgres.Tx, p Provider, profile identityProfile) (account user.Account, refusal, err error) {
	if !p.owner.ownsDomain(profile.email) {
		return account, nil, unverified()
	}
	if account, err = s.deps.Users.TxForSignIn(ctx, tx, profile.email); err != nil {
		return account, nil, err
	}
	required := s.deps.Addresses.Required()
	if account.UserID != "" {
		if !required {
			return account, nil, notLinked()
		}
		if account.Disabled {
			return account, unconfirmed(), nil // a disabled user gets no email
		}
		return account, unconfirmed(), s.deps.Mail.Enqueue(ctx, tx, mailing.Message{Kind: mailNotLinked, Address: profile.email, Locale: account.Locale})
	}
	if account, err = s.deps.Accounts.CreateUnconfirmed(ctx, tx, profile.email, profile.name); err != nil {
		return account, nil, err
	}
	if err := s.linkAndUse(ctx, tx, p, account, profile); err != nil {
		return account, nil, err
	}
	if err := s.addMember(ctx, tx, p, account.UserID); err != nil {
		return account, nil, err
	}
	if required {
		refusal = unconfirmed()
	}
	account.OrganizationID = p.owner.OrganizationID
	return account, refusal, s.deps.Addresses.SendConfirmation(ctx, tx, user.User{ID: account.UserID, Email: profile.email, Locale: account.Locale})
}

// knownMember returns the account of a known identity of an organization's provider, if
// its user is a member of the organization. The session is bound to the organization
// when the user has other credentials: then the organization may not open the whole
// account.
func (s *Service) knownMember(ctx context.Context, tx postgres.Tx, p Provider, known Identity, profile identityProfile) (account user.Account, bound bool, refusal, err error) {
	u, err := s.recordLogin(ctx, tx, known, profile)
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

// addMember makes a user a member of the provider's organization, unless the user is
// one already. It leaves the transaction in the organization's scope.
func (s *Service) addMember(ctx context.Context, tx postgres.Tx, p Provider, userID string) error {
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
