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

// mailDeleted informs a user, because somebody else may have deleted the account.
const mailDeleted mailing.Kind = "account_deleted"

// Deletion is what else is done when an account is deleted. Each step runs in a
// transaction in the user's scope.
type Deletion struct {
	// RequireFresh returns the caller of an action that cannot be undone. It requires a
	// recent sign-in, with the second factor where one is enrolled.
	RequireFresh func(ctx context.Context) (*identity.Principal, error)
	// LeaveOrganizations ends the user's memberships. It fails when the user is the
	// last owner of an organization.
	LeaveOrganizations func(ctx context.Context, tx postgres.Tx, userID string) error
	// DeleteKeys deletes the user's API keys, and DeleteFactors the second factors.
	DeleteKeys, DeleteFactors func(ctx context.Context, tx postgres.Tx, userID string) error
	// RevokeTokens revokes the user's access tokens.
	RevokeTokens func(ctx context.Context, tx postgres.Tx, userID string) error
	// EraseElsewhere makes the other services erase the user's personal data.
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

// Delete deletes an account, in a transaction in the user's scope, and records it in an
// organization. The tokens are revoked after the memberships are deleted, because
// tokens that are being issued lock the memberships.
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
