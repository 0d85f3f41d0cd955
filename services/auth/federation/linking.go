package federation

import (
	"context"
	"errors"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
)

// ListIdentities implements the RPC.
func (s *Service) ListIdentities(ctx context.Context, req *authv1.ListIdentitiesRequest) (*authv1.ListIdentitiesResponse, error) {
	caller, err := identity.RequireSelf(ctx)
	if err != nil {
		return nil, err
	}
	items, next, err := s.deps.Store.list(ctx, caller.UserID, paging.From(req))
	if err != nil {
		return nil, err
	}
	out := &authv1.ListIdentitiesResponse{NextPageToken: next}
	for _, i := range items {
		out.Identities = append(out.Identities, encodeIdentity(i))
	}
	return out, nil
}

// BeginIdentity implements the RPC.
func (s *Service) BeginIdentity(ctx context.Context, req *authv1.BeginIdentityRequest) (*authv1.ProviderAttempt, error) {
	caller, err := s.requireFactor(ctx)
	if err != nil {
		return nil, err
	}
	return s.begin(ctx, req.GetProvider(), req.GetReturnTo(), attempt{
		redirectURI: req.GetRedirectUri(), userID: caller.UserID, sessionID: caller.SessionID,
	})
}

// FinishIdentity implements the RPC.
func (s *Service) FinishIdentity(ctx context.Context, req *authv1.FinishIdentityRequest) (*authv1.Identity, error) {
	p, a, profile, err := s.finish(ctx, req, true)
	if err != nil {
		return nil, err
	}
	var linked Identity
	err = s.deps.Store.inTx(ctx, postgres.Scope{UserID: a.userID}, func(ctx context.Context, tx postgres.Tx) error {
		u, err := s.deps.Users.Lock(ctx, tx, a.userID)
		if err != nil {
			return err
		}
		organizationID, alive, err := s.deps.Store.activeSession(ctx, tx, u.ID, a.sessionID, s.deps.Clock.Now())
		if err != nil {
			return err
		}
		if !alive || u.Disabled {
			return refused(errors.New("federation: the session that started the attempt has ended"))
		}
		n, err := s.deps.Store.count(ctx, tx, u.ID)
		if err != nil {
			return err
		}
		if n >= maxIdentities {
			return fault.New(faultv1.Reason_REASON_CONFLICT, "%d identities are linked: remove one first", n)
		}
		linked, err = s.link(ctx, tx, p, user.Account{UserID: u.ID, OrganizationID: organizationID}, profile, nil)
		if err == nil && p.owner != nil {
			err = s.addMember(ctx, tx, p, u.ID)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return encodeIdentity(linked), nil
}

// DeleteIdentity implements the RPC.
func (s *Service) DeleteIdentity(ctx context.Context, req *authv1.DeleteIdentityRequest) (*authv1.DeleteIdentityResponse, error) {
	caller, err := s.requireFactor(ctx)
	if err != nil {
		return nil, err
	}
	scope := postgres.Scope{OrganizationID: caller.OrganizationID, UserID: caller.UserID}
	err = s.deps.Store.inTx(ctx, scope, func(ctx context.Context, tx postgres.Tx) error {
		// Concurrent removals wait here.
		if err := s.deps.Users.LockExclusive(ctx, tx, caller.UserID); err != nil {
			return err
		}
		removed, err := s.deps.Store.remove(ctx, tx, caller.UserID, req.GetId())
		if err != nil {
			return err
		}
		if err := s.requireAnother(ctx, tx, caller.UserID); err != nil {
			return err
		}
		if err := s.record(ctx, tx, scope, removed, "removed"); err != nil {
			return err
		}
		return s.notify(ctx, tx, caller.UserID, mailRemoved, s.mailName(ctx, removed.Provider))
	})
	if err != nil {
		return nil, err
	}
	return &authv1.DeleteIdentityResponse{}, nil
}

// mailName returns the name of a provider in emails, even of a deleted one.
func (s *Service) mailName(ctx context.Context, providerID string) string {
	if p, err := s.provider(ctx, providerID); err == nil {
		return p.mailName()
	}
	return "an identity provider"
}

// requireAnother refuses when the user has no other credential left.
func (s *Service) requireAnother(ctx context.Context, tx postgres.Tx, userID string) error {
	left, err := s.deps.Store.count(ctx, tx, userID)
	if err != nil || left > 0 {
		return err
	}
	signsIn, err := s.deps.Store.hasOtherCredential(ctx, tx, userID)
	if err == nil && !signsIn {
		err = fault.New(faultv1.Reason_REASON_LAST_CREDENTIAL, "nothing else signs you in: choose a password, or link another provider first")
	}
	return err
}

// requireFactor returns the caller of a change of identities. It requires a recent
// sign-in, with the second factor where one is enrolled.
func (s *Service) requireFactor(ctx context.Context) (*identity.Principal, error) {
	caller, err := identity.RequireFresh(ctx, s.deps.Clock, identity.MaxAuthAge)
	if err != nil {
		return nil, err
	}
	enrolled, err := s.deps.Enrolled(ctx, caller.UserID)
	if err == nil && len(enrolled) > 0 && !identity.ShowedFactor(caller.Methods) {
		err = identity.StepUpRequired()
	}
	return caller, err
}
