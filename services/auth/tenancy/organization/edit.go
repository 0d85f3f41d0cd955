package organization

import (
	"context"
	"strings"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/patch"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
)

// maxPerUser is the number of organizations to which a user may belong by creating one.
// The own account lists as many.
const maxPerUser = 100

// fields are the fields that clients can change, by their names in the contract.
var fields = patch.Fields[Organization]{ //nolint:gochecknoglobals // a constant table
	"display_name": patch.At(func(o *Organization) *string { return &o.DisplayName }),
}

// CreateOrganization implements the RPC.
func (s *Service) CreateOrganization(ctx context.Context, req *authv1.CreateOrganizationRequest) (*authv1.Organization, error) {
	caller, err := identity.RequireSelf(ctx)
	if err != nil {
		return nil, err
	}
	now := clock.Stamp(s.deps.Clock)
	o := Organization{
		ID: id.New(), DisplayName: strings.TrimSpace(req.GetOrganization().GetDisplayName()), Revision: 1, CreateTime: now, UpdateTime: now,
	}
	if err := o.Validate(); err != nil {
		return nil, err
	}
	owner := Member{
		OrganizationID: o.ID, User: user.User{ID: caller.UserID}, Roles: []string{RoleOwner}, CreateTime: now, UpdateTime: now,
	}
	err = s.deps.Store.create(ctx, o, owner, func(ctx context.Context, tx postgres.Tx) error {
		return s.deps.Trail.Append(ctx, tx, audit.Event{
			OrganizationID: o.ID, Action: "auth.organization.created", ResourceType: "organization", ResourceID: o.ID,
		})
	})
	if err != nil {
		return nil, err
	}
	return encode(o), nil
}

// UpdateOrganization implements the RPC.
func (s *Service) UpdateOrganization(ctx context.Context, req *authv1.UpdateOrganizationRequest) (*authv1.Organization, error) {
	patch := Organization{ID: req.GetOrganization().GetId(), DisplayName: strings.TrimSpace(req.GetOrganization().GetDisplayName())}
	if _, err := RequireActing(ctx, patch.ID); err != nil {
		return nil, err
	}
	etag, mask := rpcserver.Etag(ctx, req.GetOrganization().GetEtag()), fields.Mask(patch, req.GetUpdateMask().GetPaths())
	var after Organization
	err := s.deps.Store.inTx(ctx, patch.ID, func(ctx context.Context, tx postgres.Tx) error {
		before, err := s.deps.Store.lockAny(ctx, tx, patch.ID)
		if err == nil && before.DeleteTime != nil {
			err = fault.NotFound("organization")
		}
		if err != nil {
			return err
		}
		if err := fault.CheckEtag("organization", etag, before.Etag()); err != nil {
			return err
		}
		if after, err = fields.Apply(before, patch, mask); err != nil {
			return err
		}
		if err := after.Validate(); err != nil {
			return err
		}
		after.Revision, after.UpdateTime = before.Revision+1, clock.Stamp(s.deps.Clock)
		if err := s.deps.Store.save(ctx, tx, after); err != nil {
			return err
		}
		return s.deps.Trail.Append(ctx, tx, audit.Event{
			OrganizationID: after.ID, Action: "auth.organization.updated", ResourceType: "organization", ResourceID: after.ID,
			Changes: fields.Changes(before, after),
		})
	})
	if err != nil {
		return nil, err
	}
	return encode(after), nil
}

// Validate checks what the contract cannot express.
func (o Organization) Validate() error {
	if o.DisplayName == "" {
		return fault.Invalid("organization.displayName", "must not be empty")
	}
	return nil
}
