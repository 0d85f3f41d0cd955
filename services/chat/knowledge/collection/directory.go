package collection

import (
	"context"
	"errors"

	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
)

// readPermission is what a caller needs to learn which collections exist.
const readPermission = "knowledge.read"

// Rights decides what a caller may do; *authz.Authorizer does.
type Rights interface {
	// Require refuses a caller who may not use a permission.
	Require(ctx context.Context, permission string) error
}

// Directory reports to other services which collections exist.
type Directory struct {
	knowledgev1.UnsafeCollectionDirectoryServiceServer

	service *Service
	rights  Rights
}

// NewDirectory returns a directory of the service's collections; both arguments
// are required.
func NewDirectory(service *Service, rights Rights) (*Directory, error) {
	if service == nil || rights == nil {
		return nil, errors.New("collection: every dependency is required")
	}
	return &Directory{service: service, rights: rights}, nil
}

// CheckCollections implements the RPC.
func (d *Directory) CheckCollections(ctx context.Context, req *knowledgev1.CheckCollectionsRequest) (*knowledgev1.CheckCollectionsResponse, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	if err := d.rights.Require(ctx, readPermission); err != nil {
		return nil, err
	}
	missing, err := d.service.Missing(ctx, postgres.Scope{OrganizationID: caller.OrganizationID}, id.Distinct(req.GetCollectionIds()))
	if err != nil {
		return nil, err
	}
	return &knowledgev1.CheckCollectionsResponse{MissingCollectionIds: missing}, nil
}
