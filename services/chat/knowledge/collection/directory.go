package collection

import (
	"context"

	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
)

// readPermission is what a caller needs to learn which collections exist.
const readPermission = "knowledge.read"

// Rights checks the permissions of callers; *authz.Authorizer implements it.
type Rights interface {
	// Require returns a fault when the caller does not have a permission.
	Require(ctx context.Context, permission string) error
}

// CheckCollections implements the RPC with which other services check collections on
// behalf of a user.
func (s *Service) CheckCollections(ctx context.Context, req *knowledgev1.CheckCollectionsRequest) (*knowledgev1.CheckCollectionsResponse, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.deps.Rights.Require(ctx, readPermission); err != nil {
		return nil, err
	}
	missing, err := s.Missing(ctx, postgres.Scope{OrganizationID: caller.OrganizationID}, id.Distinct(req.GetCollectionIds()))
	if err != nil {
		return nil, err
	}
	return &knowledgev1.CheckCollectionsResponse{MissingCollectionIds: missing}, nil
}

// Missing returns those of the ids that name no collection of the scope's organization, in
// their order.
func (s *Service) Missing(ctx context.Context, scope postgres.Scope, ids []string) ([]string, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return s.store.missing(ctx, scope, ids)
}
