package session

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
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

// New returns the room.
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

// SignIn implements the RPC.
func (s *Service) SignIn(ctx context.Context, req *authv1.SignInRequest) (*authv1.TokenResponse, error) {
	account, err := s.deps.Users.ForSignIn(ctx, req.GetEmail())
	if err != nil {
		return nil, err
	}
	right, err := s.deps.Passwords.Verify(ctx, user.NormalizeEmail(req.GetEmail()), account.PasswordHash, req.GetPassword())
	if err != nil {
		return nil, err
	}
	if !right || account.Disabled || (s.deps.Addresses.Required() && !account.Verified) {
		return nil, wrongCredentials()
	}
	// The password may have been changed while it was verified.
	unchanged := func(u user.User) bool { return u.PasswordHash == account.PasswordHash }
	return s.admit(ctx, account.OrganizationID, account.UserID, unchanged, identity.MethodPassword)
}

// Admit returns the tokens of a new session of a user who has presented a first factor,
// or the challenge of the second factor where one is enrolled.
func (s *Service) Admit(ctx context.Context, organizationID, userID string, methods ...string) (*authv1.TokenResponse, error) {
	return s.admit(ctx, organizationID, userID, func(user.User) bool { return true }, methods...)
}

// admit is [Service.Admit] on the condition that unchanged still holds for the user.
func (s *Service) admit(ctx context.Context, organizationID, userID string, unchanged func(user.User) bool, methods ...string) (*authv1.TokenResponse, error) {
	challenge, lacking, err := s.deps.Factors.Challenge(ctx, userID, methods)
	if err != nil {
		return nil, err
	}
	if lacking {
		err := s.deps.Store.inTx(ctx, "", userID, func(ctx context.Context, tx postgres.Tx) error {
			_, err := s.lockUnchanged(ctx, tx, userID, unchanged)
			return err
		})
		if err != nil {
			return nil, err
		}
		return &authv1.TokenResponse{MfaChallenge: &authv1.MfaChallenge{Id: challenge.ID, Methods: challenge.Methods}}, nil
	}
	before := func(ctx context.Context, tx postgres.Tx, session *Session) error {
		return s.checkAdmission(ctx, tx, session, unchanged)
	}
	tokens, err := s.begin(ctx, s.newSession(ctx, organizationID, userID, methods), before)
	if errors.Is(err, errEnrolled) {
		return s.admit(ctx, organizationID, userID, unchanged, methods...)
	}
	return tokens, err
}

// errEnrolled reports a factor that was enrolled during the sign-in.
var errEnrolled = errors.New("session: a factor was enrolled during the sign-in")

// checkAdmission checks again, in the transaction of a new session, that no second
// factor is required, and informs the user about a new device.
func (s *Service) checkAdmission(ctx context.Context, tx postgres.Tx, session *Session, unchanged func(user.User) bool) error {
	u, err := s.lockUnchanged(ctx, tx, session.UserID, unchanged)
	if err != nil {
		return err
	}
	enrolled, err := s.deps.Factors.Enrolled(ctx, tx, session.UserID)
	if err != nil {
		return err
	}
	if enrolled {
		return errEnrolled
	}
	return s.notifyNewDevice(ctx, tx, *session, u)
}

// lockUnchanged locks a user, and returns the user if unchanged still holds.
func (s *Service) lockUnchanged(ctx context.Context, tx postgres.Tx, userID string, unchanged func(user.User) bool) (user.User, error) {
	if err := s.deps.Users.LockShared(ctx, tx, userID); err != nil {
		return user.User{}, err
	}
	u, err := s.deps.Users.Get(ctx, tx, userID)
	if err == nil && !unchanged(u) {
		err = wrongCredentials()
	}
	return u, err
}

// SwitchOrganization implements the RPC. The user presents no new credential. So the
// new session gets the methods, the time of authentication and the expiry of the
// current one.
func (s *Service) SwitchOrganization(ctx context.Context, req *authv1.SwitchOrganizationRequest) (*authv1.TokenResponse, error) {
	p, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	session := s.newSession(ctx, req.GetOrganizationId(), p.UserID, nil)
	return s.begin(ctx, session, func(ctx context.Context, tx postgres.Tx, session *Session) error {
		current, err := s.current(ctx, tx, p)
		session.Methods, session.AuthTime, session.ExpireTime = current.Methods, current.AuthTime, current.ExpireTime
		session.OpenedFrom = current.ID
		return err
	})
}

// current returns the caller's session. If the user has enrolled a factor since it
// started, the session must use the factor first.
func (s *Service) current(ctx context.Context, tx postgres.Tx, p *identity.Principal) (Session, error) {
	if err := s.deps.Users.LockShared(ctx, tx, p.UserID); err != nil {
		return Session{}, err
	}
	current, alive, err := s.deps.Store.current(ctx, tx, p.OrganizationID, p.SessionID, p.UserID, s.deps.Clock.Now())
	if err == nil && !alive {
		err = identity.Unauthenticated()
	}
	if err == nil && identity.BoundToOrganization(current.Methods) {
		err = identity.StepUpRequired()
	}
	if err != nil || identity.ShowedFactor(current.Methods) {
		return current, err
	}
	enrolled, err := s.deps.Factors.Enrolled(ctx, tx, p.UserID)
	if err == nil && enrolled {
		err = identity.StepUpRequired()
	}
	return current, err
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

// subject is the user and the rights of a session's tokens.
type subject struct {
	user               user.User
	roles, permissions []string
	// tokenID is the id of the access token. It was created at the time at, while the
	// rights were locked: a revocation uses it to tell older tokens from newer ones.
	tokenID string
	at      time.Time
}

// lockSubject locks and returns the user and the rights of a session's tokens.
func (s *Service) lockSubject(ctx context.Context, tx postgres.Tx, session Session) (subject, error) {
	if err := s.deps.Organizations.LockShared(ctx, tx, session.OrganizationID, session.UserID); err != nil {
		return subject{}, err
	}
	h := subject{tokenID: id.New(), at: s.deps.Clock.Now()}
	member, err := s.deps.Organizations.Member(ctx, tx, session.OrganizationID, session.UserID)
	if fault.Is(err, faultv1.Reason_REASON_NOT_FOUND) {
		return subject{}, fault.NotFound("organization")
	}
	if err != nil {
		return subject{}, err
	}
	if member.User.Disabled {
		return subject{}, identity.Unauthenticated()
	}
	h.user, h.permissions = member.User, member.Permissions
	// A provider of an organization must not give rights over the installation.
	operator := member.User.Operator && session.ClientID == "" && !identity.BoundToOrganization(session.Methods)
	h.roles = organization.TokenRoles(member.Roles, operator)
	return h, nil
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
