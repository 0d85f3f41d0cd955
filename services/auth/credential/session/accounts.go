package session

import (
	"context"
	"net/mail"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
)

// Accounts creates accounts: a user with a personal organization.
type Accounts struct {
	store         *Store
	users         *user.Store
	organizations *organization.Store
	hasher        *user.Hasher
	trail         *audit.Trail
	clock         clock.Clock
}

// NewAccounts returns a creator of accounts.
func NewAccounts(store *Store, users *user.Store, organizations *organization.Store, hasher *user.Hasher, trail *audit.Trail, clk clock.Clock) *Accounts {
	return &Accounts{store: store, users: users, organizations: organizations, hasher: hasher, trail: trail, clock: clk}
}

// account is a new account.
type account struct {
	user         user.User
	organization organization.Organization
	// actorID is the actor in the audit trail: the user itself, or empty for the
	// caller.
	actorID string
}

// prepare returns the account of a sign-up, with its password hashed.
func (a *Accounts) prepare(ctx context.Context, email, password, displayName string) (account, error) {
	if err := user.CheckPassword(password, email); err != nil {
		return account{}, err
	}
	acc := a.draft(email, displayName)
	var err error
	acc.user.PasswordHash, err = a.hasher.Hash(ctx, password)
	return acc, err
}

// draft returns an account without a password.
func (a *Accounts) draft(email, displayName string) account {
	now, name, userID := clock.Stamp(a.clock), user.NameFor(displayName, email), id.New()
	return account{
		actorID: userID,
		user: user.User{
			ID: userID, Email: email, DisplayName: name, Locale: "en", Revision: 1, CreateTime: now, UpdateTime: now,
		},
		organization: organization.Organization{
			ID: id.New(), DisplayName: name, Personal: true, Revision: 1, CreateTime: now, UpdateTime: now,
		},
	}
}

func (a *Accounts) insert(ctx context.Context, tx postgres.Tx, acc account) error {
	if err := a.users.Insert(ctx, tx, acc.user); err != nil {
		return err
	}
	if err := a.organizations.Insert(ctx, tx, acc.organization); err != nil {
		return err
	}
	owner := organization.Member{
		OrganizationID: acc.organization.ID, User: acc.user, Roles: []string{organization.RoleOwner},
		CreateTime: acc.user.CreateTime, UpdateTime: acc.user.CreateTime,
	}
	if err := a.organizations.InsertMember(ctx, tx, owner); err != nil {
		return err
	}
	return a.trail.Append(ctx, tx, audit.Event{
		OrganizationID: acc.organization.ID, ActorID: acc.actorID, Action: "auth.user.created",
		ResourceType: "user", ResourceID: acc.user.ID,
	})
}

// CreateConfirmed creates the account of a user whose address is confirmed. With an
// empty hash, no password opens the account. It leaves the transaction in the new
// user's scope. An address that has an account is EMAIL_TAKEN.
func (a *Accounts) CreateConfirmed(ctx context.Context, tx postgres.Tx, email, passwordHash, displayName string) (user.Account, error) {
	acc := a.draft(email, displayName)
	acc.user.PasswordHash, acc.user.EmailVerified = passwordHash, true
	return a.insertScoped(ctx, tx, acc)
}

// CreateUnconfirmed is [Accounts.CreateConfirmed] for an unconfirmed address. No
// password opens the account.
func (a *Accounts) CreateUnconfirmed(ctx context.Context, tx postgres.Tx, email, displayName string) (user.Account, error) {
	return a.insertScoped(ctx, tx, a.draft(email, displayName))
}

// insertScoped inserts an account in a transaction that it moves to the new user's
// scope.
func (a *Accounts) insertScoped(ctx context.Context, tx postgres.Tx, acc account) (user.Account, error) {
	made := user.Account{UserID: acc.user.ID, Verified: acc.user.EmailVerified, Locale: acc.user.Locale, OrganizationID: acc.organization.ID}
	if err := postgres.Enter(ctx, tx, postgres.Scope{OrganizationID: made.OrganizationID, UserID: made.UserID}); err != nil {
		return made, err
	}
	return made, a.insert(ctx, tx, acc)
}

// Create creates an account for the administrator of the installation, outside of
// sign-up. The user is an operator when operator is set.
func (a *Accounts) Create(ctx context.Context, email, password, displayName string, operator bool) error {
	// The contracts check this for other callers.
	if address, err := mail.ParseAddress(email); err != nil || address.Address != email {
		return fault.Invalid("email", "must be an address")
	}
	_, err := a.create(ctx, email, password, displayName, operator)
	return err
}

// CreateByOperator creates an account for an operator, outside of sign-up.
func (a *Accounts) CreateByOperator(ctx context.Context, email, password, displayName string) (user.User, error) {
	return a.create(ctx, email, password, displayName, false)
}

func (a *Accounts) create(ctx context.Context, email, password, displayName string, operator bool) (user.User, error) {
	acc, err := a.prepare(ctx, email, password, displayName)
	if err != nil {
		return user.User{}, err
	}
	acc.user.Operator, acc.user.EmailVerified, acc.actorID = operator, true, ""
	return acc.user, a.store.inTx(ctx, acc.organization.ID, acc.user.ID, func(ctx context.Context, tx postgres.Tx) error {
		return a.insert(ctx, tx, acc)
	})
}

// EnsureOperator creates an operator's account when the installation has no operator
// yet, and reports whether it did.
func (a *Accounts) EnsureOperator(ctx context.Context, email, password string) (created bool, err error) {
	if err := user.CheckPassword(password, email); err != nil {
		return false, err
	}
	acc := a.draft(email, "")
	acc.user.Operator, acc.user.EmailVerified = true, true
	err = a.store.inTx(ctx, acc.organization.ID, acc.user.ID, func(ctx context.Context, tx postgres.Tx) error {
		exists, err := a.users.OperatorExists(ctx, tx)
		created = !exists
		if err != nil || exists {
			return err
		}
		// The password is hashed only when needed: hashing takes 19 MiB at each start.
		if acc.user.PasswordHash, err = a.hasher.Hash(ctx, password); err != nil {
			return err
		}
		return a.insert(ctx, tx, acc)
	})
	return created && err == nil, err
}
