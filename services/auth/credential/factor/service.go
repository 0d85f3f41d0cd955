package factor

import (
	"context"

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
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
	"github.com/gatehouse/gatehouse/services/auth/mailing"
	"github.com/gatehouse/gatehouse/services/auth/token/key"
)

// Sessions ends a user's sessions.
type Sessions interface {
	// End ends one session, or all of them when sessionID is empty, except the session
	// kept.
	End(ctx context.Context, tx postgres.Tx, userID, sessionID, kept string) (ended int, err error)
}

// Mail queues emails.
type Mail interface {
	// Enqueue queues an email in the caller's transaction.
	Enqueue(ctx context.Context, tx postgres.Tx, l mailing.Message) error
}

// Deps is what the room needs.
type Deps struct {
	Store    *Store
	Users    *user.Store
	Sessions Sessions
	Mail     Mail
	// SecretKey is the installation's secret of 32 bytes.
	SecretKey []byte
	// PublicURL is the address to which passkeys are bound.
	PublicURL string
	Trail     *audit.Trail
	Clock     clock.Clock
}

// Service implements the RPCs of second factors, and verifies them for sign-ins.
type Service struct {
	authv1.UnsafeFactorServiceServer

	deps     Deps
	box      *key.Box
	passkeys *Passkeys
}

// New builds the room.
func New(d Deps) (*Service, error) {
	if err := deps.Check("factor", d); err != nil {
		return nil, err
	}
	box, err := key.NewBox(d.SecretKey, sealing)
	if err != nil {
		return nil, err
	}
	s := &Service{deps: d, box: box}
	if s.passkeys, err = newPasskeys(s, d.PublicURL); err != nil {
		return nil, err
	}
	return s, nil
}

// Register adds the room's RPCs to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	authv1.RegisterFactorServiceServer(server, s)
	authv1.RegisterPasskeyServiceServer(server, s.passkeys)
}

// Tables returns the tables that the room owns.
func (s *Service) Tables() []room.Table {
	return []room.Table{{Name: "totp_factors"}, {Name: "passkeys"}, {Name: "recovery_codes"}, {Name: "factor_challenges"}, {Name: "factor_tries"}, {Name: "passkey_ceremonies"}}
}

// Passkeys returns the part of the room that serves passkeys.
func (s *Service) Passkeys() *Passkeys { return s.passkeys }

// Sweeps returns the periodic deletion of expired rows.
func (s *Service) Sweeps() []room.Sweep {
	return []room.Sweep{{Name: "delete expired challenges and counts of wrong codes", Do: s.sweep}}
}

// sweep deletes expired challenges, and the counts of wrong codes of past hours.
func (s *Service) sweep(ctx context.Context) error {
	return s.deps.Store.deleteExpired(ctx, s.deps.Clock.Now())
}

// GetFactors implements the RPC.
func (s *Service) GetFactors(ctx context.Context, _ *authv1.GetFactorsRequest) (*authv1.Factors, error) {
	p, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	has, err := s.deps.Store.enrolled(ctx, p.UserID)
	if err != nil {
		return nil, err
	}
	return &authv1.Factors{Methods: has.methods(), RecoveryCodesLeft: int32(has.recoveryCodes)}, nil //nolint:gosec // ten at most
}

// CreateTotp implements the RPC.
func (s *Service) CreateTotp(ctx context.Context, _ *authv1.CreateTotpRequest) (*authv1.CreateTotpResponse, error) {
	p, has, err := s.requireFactor(ctx)
	if err != nil {
		return nil, err
	}
	if has.totp {
		return nil, totpExists()
	}
	out := &authv1.CreateTotpResponse{}
	err = s.deps.Store.inTx(ctx, p.OrganizationID, p.UserID, func(ctx context.Context, tx postgres.Tx) error {
		u, err := s.deps.Users.Get(ctx, tx, p.UserID)
		if err != nil {
			return err
		}
		if out.Secret, out.Uri, err = newSecret(u.Email); err != nil {
			return err
		}
		t := authenticator{id: id.New(), created: clock.Stamp(s.deps.Clock)}
		t.sealed = s.box.Seal([]byte(out.GetSecret()), t.id)
		kept, err := s.deps.Store.putTOTP(ctx, tx, p.UserID, t)
		if err == nil && !kept {
			return totpExists()
		}
		return err
	})
	return out, err
}

func totpExists() error {
	return fault.New(faultv1.Reason_REASON_ALREADY_EXISTS, "an authenticator is enrolled; remove it first")
}

// ConfirmTotp implements the RPC.
func (s *Service) ConfirmTotp(ctx context.Context, req *authv1.ConfirmTotpRequest) (*authv1.RecoveryCodes, error) {
	p, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	codes, hashes := newRecoveryCodes()
	var refusal error
	err = s.deps.Store.inTx(ctx, p.OrganizationID, p.UserID, func(ctx context.Context, tx postgres.Tx) error {
		had, err := s.deps.Store.enrolledIn(ctx, tx, p.UserID)
		if err != nil {
			return err
		}
		if refusal, err = s.confirmPending(ctx, tx, p.UserID, req.GetCode()); refusal != nil || err != nil {
			return err
		}
		if err := s.deps.Store.putRecoveryCodes(ctx, tx, p.UserID, hashes); err != nil {
			return err
		}
		if err := s.record(ctx, tx, p.OrganizationID, p.UserID, "auth.factor.enrolled"); err != nil {
			return err
		}
		return s.enroll(ctx, tx, p, !had.any(), identity.MethodOTP)
	})
	if err == nil {
		err = refusal // after the transaction, which counted the code
	}
	if err != nil {
		return nil, err
	}
	return &authv1.RecoveryCodes{RecoveryCodes: codes}, nil
}

// confirmPending verifies the code of a new authenticator, and confirms the
// authenticator.
func (s *Service) confirmPending(ctx context.Context, tx postgres.Tx, userID, code string) (refusal, err error) {
	now := s.deps.Clock.Now()
	t, found, err := s.deps.Store.totp(ctx, tx, userID)
	if err != nil {
		return nil, err
	}
	if !found || t.confirmed || now.Sub(t.created) > pendingTTL {
		return nil, fault.NotFound("authenticator to be confirmed")
	}
	wrong, err := s.count(ctx, tx, userID)
	if err != nil {
		return nil, err
	}
	right, err := s.useStep(ctx, tx, t, normalize(code))
	if err != nil {
		return nil, err
	}
	if right {
		right, err = s.deps.Store.confirm(ctx, tx, t.id, now)
	}
	if err != nil {
		return nil, err
	}
	if !right {
		return invalidFactor(), s.notifyWrongCodes(ctx, tx, userID, wrong)
	}
	return nil, s.deps.Store.uncount(ctx, tx, userID)
}

// enroll makes a new factor take effect. The caller's session has used it. The first
// factor ends the user's other sessions, which have used none.
func (s *Service) enroll(ctx context.Context, tx postgres.Tx, p *identity.Principal, first bool, methods ...string) error {
	if err := s.deps.Store.addMethods(ctx, tx, p.SessionID, p.UserID, methods); err != nil {
		return err
	}
	if err := s.notify(ctx, tx, p.UserID, mailAdded); err != nil {
		return err
	}
	if !first {
		return nil
	}
	// A sign-in that found no factor either has its session ended below, or waits.
	if err := s.deps.Users.LockExclusive(ctx, tx, p.UserID); err != nil {
		return err
	}
	_, err := s.deps.Sessions.End(ctx, tx, p.UserID, "", p.SessionID)
	return err
}

// DeleteTotp implements the RPC.
func (s *Service) DeleteTotp(ctx context.Context, _ *authv1.DeleteTotpRequest) (*authv1.DeleteTotpResponse, error) {
	p, _, err := s.requireFactor(ctx)
	if err != nil {
		return nil, err
	}
	err = s.deps.Store.inTx(ctx, p.OrganizationID, p.UserID, func(ctx context.Context, tx postgres.Tx) error {
		found, err := s.deps.Store.deleteTOTP(ctx, tx, p.UserID)
		if err != nil {
			return err
		}
		if !found {
			return fault.NotFound("authenticator")
		}
		if err := s.deps.Store.dropUselessCodes(ctx, tx, p.UserID); err != nil {
			return err
		}
		if err := s.notify(ctx, tx, p.UserID, mailRemoved); err != nil {
			return err
		}
		return s.record(ctx, tx, p.OrganizationID, p.UserID, "auth.factor.removed")
	})
	if err != nil {
		return nil, err
	}
	return &authv1.DeleteTotpResponse{}, nil
}

// CreateRecoveryCodes implements the RPC.
func (s *Service) CreateRecoveryCodes(ctx context.Context, _ *authv1.CreateRecoveryCodesRequest) (*authv1.RecoveryCodes, error) {
	p, has, err := s.requireFactor(ctx)
	if err != nil {
		return nil, err
	}
	if !has.any() {
		return nil, fault.NotFound("second factor")
	}
	codes, hashes := newRecoveryCodes()
	err = s.deps.Store.inTx(ctx, p.OrganizationID, p.UserID, func(ctx context.Context, tx postgres.Tx) error {
		if err := s.deps.Store.putRecoveryCodes(ctx, tx, p.UserID, hashes); err != nil {
			return err
		}
		return s.record(ctx, tx, p.OrganizationID, p.UserID, "auth.recovery_codes.created")
	})
	if err != nil {
		return nil, err
	}
	return &authv1.RecoveryCodes{RecoveryCodes: codes}, nil
}
