package account

import (
	"context"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
	"github.com/gatehouse/gatehouse/services/auth/mailing"
)

// letterDeleted tells a user, who may not have been the one.
const letterDeleted mailing.Kind = "account_deleted"

// Ending is what ends with an account, each in a transaction in the user's scope.
type Ending struct {
	// Fresh returns a caller who may do what cannot be undone.
	Fresh func(ctx context.Context) (*identity.Principal, error)
	// Leave ends the user's memberships, or says where the user must stay.
	Leave func(ctx context.Context, tx postgres.Tx, userID string) error
	// Keys and Factors remove the user's API keys, and its second factors.
	Keys, Factors func(ctx context.Context, tx postgres.Tx, userID string) error
	// Tokens takes the force from the user's access tokens.
	Tokens func(ctx context.Context, tx postgres.Tx, userID string) error
	// Elsewhere has the other services erase what is the user's alone.
	Elsewhere func(ctx context.Context, tx postgres.Tx, userID string) error
}

func (e Ending) complete() bool {
	return e.Fresh != nil && e.Leave != nil && e.Keys != nil && e.Factors != nil && e.Tokens != nil && e.Elsewhere != nil
}

// DeleteMe implements the RPC.
func (s *Service) DeleteMe(ctx context.Context, _ *authv1.DeleteMeRequest) (*authv1.DeleteMeResponse, error) {
	caller, err := s.deps.Ending.Fresh(ctx)
	if err != nil {
		return nil, err
	}
	err = s.deps.Users.InTx(ctx, caller.UserID, func(ctx context.Context, tx postgres.Tx) error {
		u, err := s.deps.Users.Lock(ctx, tx, caller.UserID)
		if err != nil {
			return err
		}
		return s.End(ctx, tx, caller.OrganizationID, u)
	})
	if err != nil {
		return nil, err
	}
	return &authv1.DeleteMeResponse{}, nil
}

// End ends an account, in a transaction in its user's scope, and records it in an
// organization. Its tokens come after the memberships, which tokens that are being
// issued hold.
func (s *Service) End(ctx context.Context, tx postgres.Tx, organizationID string, u user.User) error {
	ending := s.deps.Ending
	for _, step := range []func(ctx context.Context, tx postgres.Tx, userID string) error{
		ending.Leave, ending.Keys, ending.Factors, ending.Tokens,
	} {
		if err := step(ctx, tx, u.ID); err != nil {
			return err
		}
	}
	if err := postgres.Enter(ctx, tx, postgres.Scope{OrganizationID: organizationID, UserID: u.ID}); err != nil {
		return err
	}
	if err := s.deps.Trail.Append(ctx, tx, audit.Event{
		OrganizationID: organizationID, Action: "auth.user.deleted", ResourceType: "user", ResourceID: u.ID,
	}); err != nil {
		return err
	}
	if err := ending.Elsewhere(ctx, tx, u.ID); err != nil {
		return err
	}
	if err := s.deps.Letters.Send(ctx, tx, mailing.Letter{Kind: letterDeleted, Address: u.Email, Locale: u.Locale}); err != nil {
		return err
	}
	u.UpdateTime = clock.Stamp(s.deps.Clock)
	return s.deps.Users.Erase(ctx, tx, u)
}
