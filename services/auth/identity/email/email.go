// Package email lets people show that an address is theirs, by a link in a mail
// to it; and gives what that is worth: an account after sign-up, a new password
// after the old one was forgotten, another address.
//
// # What a request tells
//
// Nothing. Asking for a mail is the same work whatever the address is: a letter
// is taken (package mailing), and only when a job writes it is looked up whether
// there is an account. The answer has long been given.
//
// # Who an address belongs to
//
// To whoever reads its mail, not to whoever signed up with it first. Where
// addresses must be confirmed ([Deps.Required]), a sign-up makes no account: it
// waits with its password in the token of its own mail, beside other sign-ups
// with the address, and the link that is opened makes the account of its own
// sign-up, with the password that its reader chose. Where they need not be, an
// account may stand that somebody made with another's address. Then a link that
// anybody can ask for (resend, forgot) takes the account over: it sets a new
// password, and the sessions, API keys, factors and identities from before are gone. Only a
// link that was asked for from within the account just confirms the address.
//
// An unconfirmed account where confirming is required is refused at sign-in as a
// wrong password is, after the same work: whoever has the right password but not
// the mailbox learns nothing from trying it. The way in is resend or forgot.
//
// # Links
//
// A link leads to a page that only shows a form: opening it changes nothing, so
// that programs which look into mails do not use it up. The token is 32 random
// bytes and made when the mail is sent; only its SHA-256 is kept, and one
// statement uses it up. Of the links to reset an address the newest works, for 30
// minutes.
//
// # Signing in by mail
//
// A mail can sign its reader in, by a link or by a code of six digits. A code can be
// guessed: it works only with the challenge that its asker was given, five times are
// all, and ten wrong ones of an address within an hour, which keeps nobody out, as
// the link works all the same.
package email

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"net/url"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/room"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
	"github.com/gatehouse/gatehouse/services/auth/mailing"
)

// How long links work.
const (
	// VerifyTTL is for confirming the address of a sign-up or an account.
	VerifyTTL = 24 * time.Hour
	// ResetTTL is for choosing a password.
	ResetTTL = 30 * time.Minute
	// ChangeTTL is for confirming another address.
	ChangeTTL = time.Hour
)

// The pages that links lead to.
const (
	verifyPage = "/account/verify"
	resetPage  = "/account/reset"
)

// purpose is what a token is good for.
type purpose string

const (
	toVerify purpose = "verify"
	toReset  purpose = "reset"
	toChange purpose = "change"
)

// claim is what a token stands for.
type claim struct {
	purpose purpose
	// address is where the token was sent.
	address string
	// userID is whose account it is about; empty for a sign-up that has none yet.
	userID string
	// passwordHash and displayName are what was chosen at sign-up; of a change of address,
	// the hash is that of the password by which it was asked for.
	passwordHash, displayName string
}

// Sessions ends the sessions of a user.
type Sessions interface {
	// End ends all sessions of a user where none is named and none kept, in a
	// transaction in the user's scope.
	End(ctx context.Context, tx postgres.Tx, userID, sessionID, kept string) (ended int, err error)
}

// Accounts makes accounts.
type Accounts interface {
	// CreateConfirmed makes the account of a sign-up whose address was confirmed.
	CreateConfirmed(ctx context.Context, tx postgres.Tx, email, passwordHash, displayName string) (user.Account, error)
}

// DeleteFunc removes something of a user, in a transaction in the user's scope.
type DeleteFunc func(ctx context.Context, tx postgres.Tx, userID string) error

// Passwords judges the passwords of accounts.
type Passwords interface {
	// Verify tells whether a password has a hash, or answers RATE_LIMITED.
	Verify(ctx context.Context, account, hash, password string) (right bool, err error)
}

// Deps is what the room needs; all of it.
type Deps struct {
	Store    *Store
	Users    *user.Store
	Accounts Accounts
	Hasher   *user.Hasher
	// Passwords judges those that are shown; Hasher hashes new ones.
	Passwords Passwords
	Sessions  Sessions
	// Keys, Factors and Identities remove a user's API keys, its second factors, and
	// those at providers who sign it in.
	DeleteKeys, DeleteFactors, DeleteIdentities DeleteFunc
	// Enrolled lists the second factors of a user.
	Enrolled func(ctx context.Context, userID string) ([]string, error)
	Mail     *mailing.Service
	// SecretKey is the installation's, of 32 bytes.
	SecretKey []byte
	// PublicURL is where links lead.
	PublicURL string
	// Required says whether an address must be confirmed before there is an account.
	Required bool
	Trail    *audit.Trail
	Clock    clock.Clock
}

// Service implements the RPCs of addresses.
type Service struct {
	authv1.UnsafeEmailServiceServer

	deps Deps
	// codeKey is what the codes are hashed with that sign in.
	codeKey []byte
}

// New returns the room, and registers with the mail queue what composes its emails.
func New(d Deps) (*Service, error) {
	if err := deps.Check("email", d); err != nil {
		return nil, err
	}
	codeKey, err := hkdf.Key(sha256.New, d.SecretKey, nil, "gatehouse/auth/mail-code", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("email: %w", err)
	}
	s := &Service{deps: d, codeKey: codeKey}
	for kind, compose := range map[mailing.Kind]mailing.Composer{
		mailSignUp: s.composeSignUp, mailConfirm: s.composeConfirm, mailResend: s.composeResend,
		mailReset: s.composeReset, mailChange: s.composeChange, mailSignIn: s.composeSignIn,
	} {
		d.Mail.Compose(kind, compose)
	}
	return s, nil
}

// Register adds the room's RPCs to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	authv1.RegisterEmailServiceServer(server, s)
}

// Tables returns the tables that the room owns.
func (s *Service) Tables() []room.Table {
	return []room.Table{{Name: "mail_tokens"}, {Name: "mail_sign_ins"}}
}

// Sweeps returns the periodic deletion of expired rows.
func (s *Service) Sweeps() []room.Sweep {
	return []room.Sweep{{Name: "delete expired links and codes of emails", Do: s.sweep}}
}

// Required tells whether an address must be confirmed before there is an account.
func (s *Service) Required() bool { return s.deps.Required }

// sweep removes the tokens whose time is over.
func (s *Service) sweep(ctx context.Context) error {
	return s.deps.Store.deleteExpired(ctx, s.deps.Clock.Now())
}

// link is a page with a token. The query's name is not "token": the gateway takes
// no credential for a call from there.
func (s *Service) link(page, token string) string {
	return strings.TrimRight(s.deps.PublicURL, "/") + page + "?" + url.Values{"code": {token}}.Encode()
}

func invalidToken() error {
	return fault.New(faultv1.Reason_REASON_TOKEN_INVALID, "the link is not valid, or no longer: ask for another mail")
}
