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

// mailDeleted tells a user, who may not have been the one.
const mailDeleted mailing.Kind = "account_deleted"

// Deletion is what ends with an account, each in a transaction in the user's scope.
type Deletion struct {
	// RequireFresh returns a caller who may do what cannot be undone.
	RequireFresh func(ctx context.Context) (*identity.Principal, error)
	// LeaveOrganizations ends the user's memberships, or says where the user must stay.
	LeaveOrganizations func(ctx context.Context, tx postgres.Tx, userID string) error
	// DeleteKeys and Factors remove the user's API keys, and its second factors.
	DeleteKeys, DeleteFactors func(ctx context.Context, tx postgres.Tx, userID string) error
	// RevokeTokens takes the force from the user's access tokens.
	RevokeTokens func(ctx context.Context, tx postgres.Tx, userID string) error
	// EraseElsewhere has the other services erase what is the user's alone.
	EraseElsewhere func(ctx context.Context, tx postgres.Tx, userID string) error
}

// DeleteMe implements the RPC.
func (s *Service) DeleteMe(ctx context.Context, _ *authv1.DeleteMeRequest) (*authv1.DeleteMeResponse, error) {
	caller, err := s.deps.Deletion.RequireFresh(ctx)
	if err != nil {
		return nil, err
	}
	err = s.deps.Users.InTx(ctx, caller.UserID, func(ctx context.Context, tx postgres.Tx) error {
		u, err := s.deps.Users.Lock(ctx, tx, caller.UserID)
		if err != nil {
			return err
		}
		return s.Delete(ctx, tx, caller.OrganizationID, u)
	})
	if err != nil {
		return nil, err
	}
	return &authv1.DeleteMeResponse{}, nil
}

// Delete ends an account, in a transaction in its user's scope, and records it in an
// organization. Its tokens come after the memberships, which tokens that are being
// issued hold.
func (s *Service) Delete(ctx context.Context, tx postgres.Tx, organizationID string, u user.User) error {
	ending := s.deps.Deletion
	for _, step := range []func(ctx context.Context, tx postgres.Tx, userID string) error{
		ending.LeaveOrganizations, ending.DeleteKeys, ending.DeleteFactors, ending.RevokeTokens,
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
	if err := ending.EraseElsewhere(ctx, tx, u.ID); err != nil {
		return err
	}
	if err := s.deps.Mail.Enqueue(ctx, tx, mailing.Message{Kind: mailDeleted, Address: u.Email, Locale: u.Locale}); err != nil {
		return err
	}
	u.UpdateTime = clock.Stamp(s.deps.Clock)
	return s.deps.Users.Anonymize(ctx, tx, u)
}
