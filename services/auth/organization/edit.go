package organization

import (
	"context"
	"strings"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/user"
)

// maxPerUser bounds how many organizations a user makes or belongs to by making
// one: the own account shows as many.
const maxPerUser = 100

// CreateOrganization implements the RPC.
func (s *Service) CreateOrganization(ctx context.Context, req *authv1.CreateOrganizationRequest) (*authv1.Organization, error) {
	caller, err := identity.RequireSelf(ctx)
	if err != nil {
		return nil, err
	}
	now := clock.Stamp(s.clock)
	o := Organization{
		ID: id.New(), DisplayName: strings.TrimSpace(req.GetOrganization().GetDisplayName()), Revision: 1, CreateTime: now, UpdateTime: now,
	}
	if err := o.Validate(); err != nil {
		return nil, err
	}
	owner := Member{
		OrganizationID: o.ID, User: user.User{ID: caller.UserID}, Roles: []string{RoleOwner}, CreateTime: now, UpdateTime: now,
	}
	err = s.store.create(ctx, o, owner, func(ctx context.Context, tx postgres.Tx) error {
		return s.trail.Append(ctx, tx, audit.Event{
			OrganizationID: o.ID, Action: "auth.organization.created", ResourceType: "organization", ResourceID: o.ID,
		})
	})
	if err != nil {
		return nil, err
	}
	return o.message(), nil
}

// UpdateOrganization implements the RPC.
func (s *Service) UpdateOrganization(ctx context.Context, req *authv1.UpdateOrganizationRequest) (*authv1.Organization, error) {
	patch := req.GetOrganization()
	if _, err := ActingIn(ctx, patch.GetId()); err != nil {
		return nil, err
	}
	etag, mask := rpcserver.Etag(ctx, patch.GetEtag()), req.GetUpdateMask().GetPaths()
	var after Organization
	err := s.store.InTx(ctx, patch.GetId(), func(ctx context.Context, tx postgres.Tx) error {
		before, err := s.store.GetLocked(ctx, tx, patch.GetId())
		if err == nil && before.DeleteTime != nil {
			err = fault.NotFound("organization")
		}
		if err != nil {
			return err
		}
		if err := before.CheckEtag(etag); err != nil {
			return err
		}
		if after, err = before.Apply(patch.GetDisplayName(), mask); err != nil {
			return err
		}
		after.Revision, after.UpdateTime = before.Revision+1, clock.Stamp(s.clock)
		if err := s.store.Save(ctx, tx, after); err != nil {
			return err
		}
		return s.trail.Append(ctx, tx, audit.Event{
			OrganizationID: after.ID, Action: "auth.organization.updated", ResourceType: "organization", ResourceID: after.ID,
			Changes: map[string]audit.Change{"displayName": {Before: before.DisplayName, After: after.DisplayName}},
		})
	})
	if err != nil {
		return nil, err
	}
	return after.message(), nil
}

// Validate checks what the contract cannot say.
func (o Organization) Validate() error {
	if o.DisplayName == "" {
		return fault.Invalid("organization.displayName", "must not be empty")
	}
	return nil
}

// CheckEtag refuses a change that builds on another state than the present one.
// An empty etag builds on whatever stands.
func (o Organization) CheckEtag(etag string) error {
	if etag != "" && etag != o.Etag() {
		return fault.New(faultv1.Reason_REASON_ETAG_MISMATCH, "the organization changed since it was read")
	}
	return nil
}

// Apply returns o with the fields of the mask changed.
func (o Organization) Apply(displayName string, mask []string) (Organization, error) {
	for _, path := range mask {
		if path != "display_name" {
			return o, fault.Invalid("updateMask", "%q is not a field that can be changed", path)
		}
		o.DisplayName = strings.TrimSpace(displayName)
	}
	return o, o.Validate()
}
