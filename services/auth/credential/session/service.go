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

// Deps is what the room needs; all of it, except where it says so.
type Deps struct {
	Store         *Store
	Users         *user.Store
	Organizations *organization.Store
	Accounts      *Accounts
	Passwords     *Passwords
	Factors       *factor.Service
	Passkeys      *factor.Passkeys
	// Invited admits whoever signs up; nil where anybody may.
	Invited Invited `deps:"optional"`
	// Throttle bounds wrong codes of mails; nil where rates are not limited.
	Throttle *Throttle `deps:"optional"`
	// Mail writes to those who sign in.
	Mail Mail
	// Addresses writes to those who sign up.
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

// Addresses lets people who sign up show that their address is theirs.
type Addresses interface {
	// Required tells whether they must, before there is an account.
	Required() bool
	// SignUp takes a sign-up of which the mail decides what becomes.
	SignUp(ctx context.Context, address, passwordHash, displayName string) error
	// SendConfirmation writes to somebody whose account is made in this transaction.
	SendConfirmation(ctx context.Context, tx postgres.Tx, u user.User) error
	// BeginSignIn has a mail sent that signs its reader in, if there is an account.
	BeginSignIn(ctx context.Context, address string) (challengeID string, err error)
	// FinishSignIn uses up what such a mail held, and answers whose it is.
	FinishSignIn(ctx context.Context, shown email.Proof) (email.Reader, error)
}

// Invited tells whether an invitation with a token waits for an address.
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
		// For a new and for a taken address, after the same work.
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

// admitSignUp refuses whoever may not sign up.
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
		return fault.New(faultv1.Reason_REASON_SIGN_UP_CLOSED, "sign-up is closed: it takes an invitation to this address")
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
	// It may have been changed while this one was judged.
	still := func(u user.User) bool { return u.PasswordHash == account.PasswordHash }
	return s.admit(ctx, account.OrganizationID, account.UserID, still, identity.MethodPassword)
}

// Admit answers the tokens of a new session of a user who has shown a first
// factor in whatever way, or the challenge of the second one where the user has
// enrolled one.
func (s *Service) Admit(ctx context.Context, organizationID, userID string, shown ...string) (*authv1.TokenResponse, error) {
	return s.admit(ctx, organizationID, userID, func(user.User) bool { return true }, shown...)
}

// admit is [Service.Admit] as long as what was shown still is the user's.
func (s *Service) admit(ctx context.Context, organizationID, userID string, still func(user.User) bool, shown ...string) (*authv1.TokenResponse, error) {
	challenge, lacking, err := s.deps.Factors.Challenge(ctx, userID, shown)
	if err != nil {
		return nil, err
	}
	if lacking {
		err := s.deps.Store.inTx(ctx, "", userID, func(ctx context.Context, tx postgres.Tx) error {
			_, err := s.lockUnchanged(ctx, tx, userID, still)
			return err
		})
		if err != nil {
			return nil, err
		}
		return &authv1.TokenResponse{MfaChallenge: &authv1.MfaChallenge{Id: challenge.ID, Methods: challenge.Methods}}, nil
	}
	before := func(ctx context.Context, tx postgres.Tx, session *Session) error {
		return s.checkAdmission(ctx, tx, session, still)
	}
	tokens, err := s.begin(ctx, s.newSession(ctx, organizationID, userID, shown), before)
	if errors.Is(err, errEnrolled) {
		return s.admit(ctx, organizationID, userID, still, shown...)
	}
	return tokens, err
}

// errEnrolled tells of a factor that was enrolled while its user signed in.
var errEnrolled = errors.New("session: a factor was enrolled meanwhile")

// checkAdmission looks again, in the transaction of a new session, whether nothing is
// lacking, and tells the user.
func (s *Service) checkAdmission(ctx context.Context, tx postgres.Tx, session *Session, still func(user.User) bool) error {
	u, err := s.lockUnchanged(ctx, tx, session.UserID, still)
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

// lockUnchanged keeps a user as it is until the transaction ends, and returns it as long as
// what was shown still is its own.
func (s *Service) lockUnchanged(ctx context.Context, tx postgres.Tx, userID string, still func(user.User) bool) (user.User, error) {
	if err := s.deps.Users.LockShared(ctx, tx, userID); err != nil {
		return user.User{}, err
	}
	u, err := s.deps.Users.Get(ctx, tx, userID)
	if err == nil && !still(u) {
		err = wrongCredentials()
	}
	return u, err
}

// SwitchOrganization implements the RPC. The user showed no credential now, so
// what was shown for this session, and when, goes with the new one, which ends when
// this one does.
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

// current returns the caller's session as it stands. One that was begun without
// the factor that its user has by now must show it first.
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

// begin opens a session and answers its tokens. before runs first in the same
// transaction.
func (s *Service) begin(ctx context.Context, session Session, before func(ctx context.Context, tx postgres.Tx, session *Session) error,
) (*authv1.TokenResponse, error) {
	// The key comes first: once committed, a session must not go unanswered.
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

// open stores a session with its first refresh token, in a transaction of its
// user in its organization.
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

// subject is whom a session's tokens speak for.
type subject struct {
	user               user.User
	roles, permissions []string
	// tokenID is that of the access token, made while the rights were held, at the
	// time at: by it a revocation tells tokens from before from those after.
	tokenID string
	at      time.Time
}

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
	// No organization's provider speaks for the installation.
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
