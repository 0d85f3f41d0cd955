package session

import (
	"context"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/room"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/credential/factor"
	"github.com/gatehouse/gatehouse/services/auth/identity/email"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
	"github.com/gatehouse/gatehouse/services/auth/token/key"
	"github.com/gatehouse/gatehouse/services/auth/token/revocation"
	"github.com/gatehouse/gatehouse/services/auth/token/securetoken"
)

// Deps is what the room needs.
type Deps struct {
	Store         *Store
	Users         *user.Store
	Organizations *organization.Store
	Accounts      *Accounts
	Passwords     *Passwords
	Factors       *factor.Service
	Passkeys      *factor.Passkeys
	// Invited reports whether a user may sign up. It is nil where anyone may.
	Invited Invited `deps:"optional"`
	// Throttle limits wrong codes of emails. It is nil where rates are not limited.
	Throttle    *Throttle `deps:"optional"`
	Mail        Mail
	Addresses   Addresses
	Keys        *key.Ring
	Issuer      string
	Revocations *revocation.Store
	Trail       *audit.Trail
	Clock       clock.Clock
}

// Service implements the RPCs of sessions.
type Service struct {
	authv1.UnsafeSessionServiceServer

	deps Deps
}

// Addresses confirms that an address belongs to the user.
type Addresses interface {
	// Required reports whether an address must be confirmed before its account is
	// created.
	Required() bool
	// SignUp accepts a sign-up that an email completes.
	SignUp(ctx context.Context, address, passwordHash, displayName string) error
	// SendConfirmation queues the email that confirms the address of a new account.
	SendConfirmation(ctx context.Context, tx postgres.Tx, u user.User) error
	// BeginSignIn queues an email that signs its reader in, if the address has an
	// account.
	BeginSignIn(ctx context.Context, address string) (challengeID string, err error)
	// FinishSignIn uses up the proof of such an email, and returns its user.
	FinishSignIn(ctx context.Context, methods email.Proof) (email.Reader, error)
}

// Invited reports whether an invitation with a token is pending for an address.
type Invited func(ctx context.Context, token, address string) (bool, error)

// New builds the room.
func New(d Deps) (*Service, error) {
	if err := deps.Check("session", d); err != nil {
		return nil, err
	}
	return &Service{deps: d}, nil
}

// Register adds the room's RPCs to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	authv1.RegisterSessionServiceServer(server, s)
}

// Tables returns the tables that the room owns.
func (s *Service) Tables() []room.Table {
	return []room.Table{{Name: "sessions"}, {Name: "refresh_tokens"}}
}

// Sweeps returns the periodic deletion of expired rows.
func (s *Service) Sweeps() []room.Sweep {
	return []room.Sweep{{Name: "delete expired sessions", Do: s.sweep}}
}

// SignUp implements the RPC.
func (s *Service) SignUp(ctx context.Context, req *authv1.SignUpRequest) (*authv1.TokenResponse, error) {
	if err := s.admitSignUp(ctx, req); err != nil {
		return nil, err
	}
	account, err := s.deps.Accounts.prepare(ctx, req.GetEmail(), req.GetPassword(), req.GetDisplayName())
	if err != nil {
		return nil, err
	}
	if s.deps.Addresses.Required() {
		// The response and the work are the same for an address that has an account.
		if err := s.deps.Addresses.SignUp(ctx, account.user.Email, account.user.PasswordHash, account.user.DisplayName); err != nil {
			return nil, err
		}
		return &authv1.TokenResponse{}, nil
	}
	session := s.newSession(ctx, account.organization.ID, account.user.ID, []string{identity.MethodPassword})
	return s.begin(ctx, session, func(ctx context.Context, tx postgres.Tx, _ *Session) error {
		if err := s.deps.Accounts.insert(ctx, tx, account); err != nil {
			return err
		}
		return s.deps.Addresses.SendConfirmation(ctx, tx, account.user)
	})
}

// admitSignUp refuses users who may not sign up.
func (s *Service) admitSignUp(ctx context.Context, req *authv1.SignUpRequest) error {
	if s.deps.Invited == nil {
		return nil
	}
	invited := false
	if req.GetInvitationToken() != "" {
		var err error
		if invited, err = s.deps.Invited(ctx, req.GetInvitationToken(), req.GetEmail()); err != nil {
			return err
		}
	}
	if !invited {
		return fault.New(faultv1.Reason_REASON_SIGN_UP_CLOSED, "sign-up is closed: an invitation to this address is required")
	}
	return nil
}

// begin opens a session and returns its tokens. before runs first in the same
// transaction.
func (s *Service) begin(ctx context.Context, session Session, before func(ctx context.Context, tx postgres.Tx, session *Session) error,
) (*authv1.TokenResponse, error) {
	// The key is read first, so that no session is opened without a response.
	signing, err := s.deps.Keys.Signing(ctx)
	if err != nil {
		return nil, err
	}
	token, hash := securetoken.New()
	var holder subject
	err = s.deps.Store.inTx(ctx, session.OrganizationID, session.UserID, func(ctx context.Context, tx postgres.Tx) error {
		if before != nil {
			if err := before(ctx, tx, &session); err != nil {
				return err
			}
		}
		holder, err = s.open(ctx, tx, session, hash)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.tokens(signing, session, holder, token)
}

// open stores a session with its first refresh token, in a transaction in its user's
// scope.
func (s *Service) open(ctx context.Context, tx postgres.Tx, session Session, hash []byte) (subject, error) {
	h, err := s.lockSubject(ctx, tx, session)
	if err != nil {
		return h, err
	}
	if err := s.deps.Store.insert(ctx, tx, session, hash); err != nil {
		return h, err
	}
	return h, s.record(ctx, tx, session, "created")
}

func (s *Service) record(ctx context.Context, tx postgres.Tx, session Session, verb string) error {
	return s.deps.Trail.Append(ctx, tx, audit.Event{
		OrganizationID: session.OrganizationID, ActorID: session.UserID, Action: "auth.session." + verb,
		ResourceType: "session", ResourceID: session.ID,
	})
}

// sweep deletes the expired sessions.
func (s *Service) sweep(ctx context.Context) error {
	_, err := s.deps.Store.deleteExpired(ctx, s.deps.Clock.Now())
	return err
}
