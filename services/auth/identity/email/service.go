package email

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"net/url"
	"strings"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/room"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
	"github.com/gatehouse/gatehouse/services/auth/mailing"
)

// Sessions ends the sessions of a user.
type Sessions interface {
	// End ends all sessions of a user when sessionID and kept are empty, in a
	// transaction in the user's scope.
	End(ctx context.Context, tx postgres.Tx, userID, sessionID, kept string) (ended int, err error)
}

// Accounts creates accounts.
type Accounts interface {
	// CreateConfirmed creates the account of a sign-up whose address is confirmed.
	CreateConfirmed(ctx context.Context, tx postgres.Tx, email, passwordHash, displayName string) (user.Account, error)
}

// DeleteFunc deletes something of a user, in a transaction in the user's scope.
type DeleteFunc func(ctx context.Context, tx postgres.Tx, userID string) error

// Passwords verifies the passwords of accounts.
type Passwords interface {
	// Verify reports whether a hash is that of a password. Too many wrong passwords of
	// an account are RATE_LIMITED.
	Verify(ctx context.Context, account, hash, password string) (right bool, err error)
}

// Deps is what the room needs.
type Deps struct {
	DB       *postgres.DB
	Users    *user.Store
	Accounts Accounts
	Hasher   *user.Hasher
	// Passwords verifies the passwords of requests. Hasher hashes new ones.
	Passwords Passwords
	Sessions  Sessions
	// DeleteKeys, DeleteFactors and DeleteIdentities delete a user's API keys, second
	// factors, and identities at providers.
	DeleteKeys, DeleteFactors, DeleteIdentities DeleteFunc
	// Enrolled returns the second factors of a user.
	Enrolled func(ctx context.Context, userID string) ([]string, error)
	Mail     *mailing.Service
	// SecretKey is the installation's secret of 32 bytes.
	SecretKey []byte
	// PublicURL is the address of the pages that links lead to.
	PublicURL string
	// Required reports whether an address must be confirmed before its account is
	// created.
	Required bool
	Trail    *audit.Trail
	Clock    clock.Clock
}

// Service implements the RPCs of addresses.
type Service struct {
	authv1.UnsafeEmailServiceServer

	deps  Deps
	store *store
	// codeKey is the key with which sign-in codes are hashed.
	codeKey []byte
}

// New builds the room, and registers with the mail queue what composes its emails.
func New(d Deps) (*Service, error) {
	if err := deps.Check("email", d); err != nil {
		return nil, err
	}
	codeKey, err := hkdf.Key(sha256.New, d.SecretKey, nil, "gatehouse/auth/mail-code", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("email: %w", err)
	}
	s := &Service{deps: d, store: newStore(d.DB), codeKey: codeKey}
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

// Required reports whether an address must be confirmed before its account is created.
func (s *Service) Required() bool { return s.deps.Required }

// sweep deletes the expired tokens.
func (s *Service) sweep(ctx context.Context) error {
	return s.store.deleteExpired(ctx, s.deps.Clock.Now())
}

// link returns the address of a page with a token. The parameter is not called "token",
// because the gateway accepts no credential in a query.
func (s *Service) link(page, token string) string {
	return strings.TrimRight(s.deps.PublicURL, "/") + page + "?" + url.Values{"code": {token}}.Encode()
}
