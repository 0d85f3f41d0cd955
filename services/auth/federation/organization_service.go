package federation

import (
	"context"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
)

// permission is the permission to change providers.
const permission = "identity_providers.write"

// ListIdentityProviders implements the RPC.
func (s *Service) ListIdentityProviders(ctx context.Context, req *authv1.ListIdentityProvidersRequest) (*authv1.ListIdentityProvidersResponse, error) {
	if _, err := organization.RequireActing(ctx, req.GetOrganizationId()); err != nil {
		return nil, err
	}
	items, next, err := s.deps.Store.listProviders(ctx, req.GetOrganizationId(), paging.From(req))
	if err != nil {
		return nil, err
	}
	out := &authv1.ListIdentityProvidersResponse{NextPageToken: next}
	for _, p := range items {
		out.IdentityProviders = append(out.IdentityProviders, encodeProvider(p))
	}
	return out, nil
}

// GetIdentityProvider implements the RPC.
func (s *Service) GetIdentityProvider(ctx context.Context, req *authv1.GetIdentityProviderRequest) (*authv1.IdentityProvider, error) {
	if _, err := organization.RequireActing(ctx, req.GetOrganizationId()); err != nil {
		return nil, err
	}
	p, err := s.deps.Store.getProvider(ctx, req.GetOrganizationId(), req.GetId())
	if err != nil {
		return nil, err
	}
	return encodeProvider(p), nil
}

// CreateIdentityProvider implements the RPC.
func (s *Service) CreateIdentityProvider(ctx context.Context, req *authv1.CreateIdentityProviderRequest) (*authv1.IdentityProvider, error) {
	caller, err := s.requireAdministrator(ctx, req.GetOrganizationId())
	if err != nil {
		return nil, err
	}
	p := decodeProvider(req.GetIdentityProvider())
	p.OrganizationID, p.ID, p.Revision, p.CreateTime = caller.OrganizationID, id.New(), 1, clock.Stamp(s.deps.Clock)
	p.UpdateTime, p.sealed = p.CreateTime, s.box.Seal([]byte(req.GetIdentityProvider().GetClientSecret()), p.ID)
	if err := p.Validate(); err != nil {
		return nil, err
	}
	err = s.withRights(ctx, caller, func(ctx context.Context, tx postgres.Tx, holder organization.Grant) error {
		if err := s.coverRole(ctx, tx, holder, p); err != nil {
			return err
		}
		n, err := s.deps.Store.countProviders(ctx, tx, p.OrganizationID)
		if err != nil {
			return err
		}
		if n >= maxProviders {
			return fault.New(faultv1.Reason_REASON_CONFLICT, "the organization has %d identity providers: remove one first", n)
		}
		if err := s.deps.Store.insertProvider(ctx, tx, p); err != nil {
			return err
		}
		return s.recordProvider(ctx, tx, p, "created", map[string]audit.Change{"issuer": {After: p.Issuer}, "role": {After: p.Role}})
	})
	if err != nil {
		return nil, err
	}
	return encodeProvider(p), nil
}

// UpdateIdentityProvider implements the RPC.
func (s *Service) UpdateIdentityProvider(ctx context.Context, req *authv1.UpdateIdentityProviderRequest) (*authv1.IdentityProvider, error) {
	caller, err := s.requireAdministrator(ctx, req.GetOrganizationId())
	if err != nil {
		return nil, err
	}
	patch, mask := decodeProvider(req.GetIdentityProvider()), req.GetUpdateMask().GetPaths()
	etag := rpcserver.Etag(ctx, req.GetIdentityProvider().GetEtag())
	var after OrganizationProvider
	err = s.withRights(ctx, caller, func(ctx context.Context, tx postgres.Tx, holder organization.Grant) error {
		before, err := s.lockProvider(ctx, tx, holder, caller.OrganizationID, patch.ID)
		if err != nil {
			return err
		}
		if err := fault.CheckEtag(kindProvider, etag, before.Etag()); err != nil {
			return err
		}
		var secret bool
		if after, secret, err = before.Apply(patch, mask); err != nil {
			return err
		}
		if err := s.coverRole(ctx, tx, holder, after); err != nil {
			return err
		}
		changes := fields.Changes(before, after)
		if secret {
			changes[fieldSecret] = audit.Change{} // the secret itself is not recorded
			after.sealed = s.box.Seal([]byte(req.GetIdentityProvider().GetClientSecret()), after.ID)
		}
		after.Revision, after.UpdateTime = before.Revision+1, clock.Stamp(s.deps.Clock)
		if err := s.deps.Store.saveProvider(ctx, tx, after); err != nil {
			return err
		}
		return s.recordProvider(ctx, tx, after, "updated", changes)
	})
	if err != nil {
		return nil, err
	}
	return encodeProvider(after), nil
}

// DeleteIdentityProvider implements the RPC.
func (s *Service) DeleteIdentityProvider(ctx context.Context, req *authv1.DeleteIdentityProviderRequest) (*authv1.DeleteIdentityProviderResponse, error) {
	caller, err := s.requireAdministrator(ctx, req.GetOrganizationId())
	if err != nil {
		return nil, err
	}
	err = s.withRights(ctx, caller, func(ctx context.Context, tx postgres.Tx, holder organization.Grant) error {
		p, err := s.lockProvider(ctx, tx, holder, caller.OrganizationID, req.GetId())
		if err != nil {
			return err
		}
		if err := s.deps.Store.removeProvider(ctx, tx, p.OrganizationID, p.ID); err != nil {
			return err
		}
		return s.recordProvider(ctx, tx, p, "deleted", nil)
	})
	if err != nil {
		return nil, err
	}
	return &authv1.DeleteIdentityProviderResponse{}, nil
}

// requireAdministrator returns the caller of a change of an organization's providers.
// The caller acts in the organization and signed in recently.
func (s *Service) requireAdministrator(ctx context.Context, organizationID string) (*identity.Principal, error) {
	if _, err := organization.RequireActing(ctx, organizationID); err != nil {
		return nil, err
	}
	return s.requireFactor(ctx)
}

// withRights runs a change of an organization's providers in one transaction, under the
// organization's lock. It passes the caller's current rights to the change.
func (s *Service) withRights(ctx context.Context, caller *identity.Principal,
	change func(ctx context.Context, tx postgres.Tx, holder organization.Grant) error,
) error {
	scope := postgres.Scope{OrganizationID: caller.OrganizationID, UserID: caller.UserID}
	return s.deps.Store.inTx(ctx, scope, func(ctx context.Context, tx postgres.Tx) error {
		holder, err := s.deps.Rights.OfCaller(ctx, tx, caller)
		if err != nil {
			return err
		}
		if err := holder.Require(permission); err != nil {
			return err
		}
		return change(ctx, tx, holder)
	})
}

// lockProvider locks and returns a provider for a change. Control of a provider's
// issuer is enough to join with its role. So a caller may not change a provider whose
// role gives more than the caller has.
func (s *Service) lockProvider(ctx context.Context, tx postgres.Tx, holder organization.Grant, organizationID, providerID string) (OrganizationProvider, error) {
	p, err := s.deps.Store.lockProvider(ctx, tx, organizationID, providerID)
	if err != nil {
		return p, err
	}
	return p, s.coverRole(ctx, tx, holder, p)
}

// coverRole refuses a provider whose role gives more than the holder has.
func (s *Service) coverRole(ctx context.Context, tx postgres.Tx, holder organization.Grant, p OrganizationProvider) error {
	given, err := s.deps.Rights.OfRoles(ctx, tx, p.OrganizationID, "identityProvider.role", []string{p.Role})
	if err != nil {
		return err
	}
	return holder.Cover(given)
}

func (s *Service) recordProvider(ctx context.Context, tx postgres.Tx, p OrganizationProvider, verb string, changes map[string]audit.Change) error {
	return s.deps.Trail.Append(ctx, tx, audit.Event{
		OrganizationID: p.OrganizationID, Action: "auth.identity_provider." + verb, ResourceType: "identity_provider", ResourceID: p.ID, Changes: changes,
	})
}
