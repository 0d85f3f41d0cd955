package oauthclient

import (
	"context"
	"errors"
	"slices"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/authz"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/room"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/token/revocation"
	"github.com/gatehouse/gatehouse/services/auth/token/securetoken"
)

// maxPerOrganization is the number of clients that an organization may register.
const maxPerOrganization = 100

// Deps is what the room needs.
type Deps struct {
	Store       *Store
	Authorizer  *authz.Authorizer
	Revocations *revocation.Store
	Trail       *audit.Trail
	Clock       clock.Clock
}

// Service implements the RPCs of OAuth clients.
type Service struct {
	authv1.UnsafeOAuthClientServiceServer

	deps Deps
}

// New returns the room.
func New(d Deps) (*Service, error) {
	if err := deps.Check("oauthclient", d); err != nil {
		return nil, err
	}
	return &Service{deps: d}, nil
}

// Register adds the room's RPCs to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	authv1.RegisterOAuthClientServiceServer(server, s)
}

// Tables returns the tables that the room owns.
func (s *Service) Tables() []room.Table {
	return []room.Table{{Name: "oauth_clients"}}
}

// CreateOAuthClient implements the RPC.
func (s *Service) CreateOAuthClient(ctx context.Context, req *authv1.CreateOAuthClientRequest) (*authv1.OAuthClientWithSecret, error) {
	caller, err := identity.RequireFresh(ctx, s.deps.Clock, identity.MaxAuthAge)
	if err != nil {
		return nil, err
	}
	c, now, secret := decode(req.GetOauthClient()), clock.Stamp(s.deps.Clock), ""
	if req.GetOauthClient().GetConfidential() {
		secret, c.SecretHash = securetoken.New()
	}
	if len(c.GrantTypes) == 0 {
		c.GrantTypes = []string{GrantAuthorizationCode, GrantRefreshToken}
	}
	if err := errors.Join(c.Validate(), c.CheckScopes(s.deps.Authorizer.Allowed(caller))); err != nil {
		return nil, err
	}
	c.OrganizationID, c.ID, c.Revision, c.CreateTime, c.UpdateTime = caller.OrganizationID, id.New(), 1, now, now
	err = s.deps.Store.inTx(ctx, c.OrganizationID, func(ctx context.Context, tx postgres.Tx) error {
		n, err := s.deps.Store.count(ctx, tx, c.OrganizationID)
		if err != nil {
			return err
		}
		if n >= maxPerOrganization {
			return fault.New(faultv1.Reason_REASON_CONFLICT, "the organization has %d OAuth clients: delete one first", n)
		}
		if err := s.deps.Store.insert(ctx, tx, c); err != nil {
			return err
		}
		return s.record(ctx, tx, c, "created", nil)
	})
	if err != nil {
		return nil, err
	}
	return &authv1.OAuthClientWithSecret{OauthClient: encode(c), Secret: secret}, nil
}

// GetOAuthClient implements the RPC.
func (s *Service) GetOAuthClient(ctx context.Context, req *authv1.GetOAuthClientRequest) (*authv1.OAuthClient, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	c, err := s.deps.Store.get(ctx, caller.OrganizationID, req.GetId())
	if err != nil {
		return nil, err
	}
	return encode(c), nil
}

// ListOAuthClients implements the RPC.
func (s *Service) ListOAuthClients(ctx context.Context, req *authv1.ListOAuthClientsRequest) (*authv1.ListOAuthClientsResponse, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	items, next, err := s.deps.Store.list(ctx, caller.OrganizationID, paging.From(req))
	if err != nil {
		return nil, err
	}
	out := &authv1.ListOAuthClientsResponse{NextPageToken: next}
	for _, c := range items {
		out.OauthClients = append(out.OauthClients, encode(c))
	}
	return out, nil
}

// UpdateOAuthClient implements the RPC.
func (s *Service) UpdateOAuthClient(ctx context.Context, req *authv1.UpdateOAuthClientRequest) (*authv1.OAuthClient, error) {
	caller, err := identity.RequireFresh(ctx, s.deps.Clock, identity.MaxAuthAge)
	if err != nil {
		return nil, err
	}
	patch := decode(req.GetOauthClient())
	mask := fields.Mask(patch, req.GetUpdateMask().GetPaths())
	c, err := s.change(ctx, caller, req.GetOauthClient().GetId(), rpcserver.Etag(ctx, req.GetOauthClient().GetEtag()), "updated",
		func(ctx context.Context, tx postgres.Tx, before Client) (Client, error) {
			after, err := before.Apply(patch, mask)
			if err == nil && slices.Contains(mask, "scopes") {
				err = after.CheckScopes(s.deps.Authorizer.Allowed(caller))
			}
			if err == nil && before.NarrowedBy(after) {
				err = s.deps.Revocations.RevokeClient(ctx, tx, before.ID)
			}
			return after, err
		})
	if err != nil {
		return nil, err
	}
	return encode(c), nil
}

// RotateOAuthClientSecret implements the RPC.
func (s *Service) RotateOAuthClientSecret(ctx context.Context, req *authv1.RotateOAuthClientSecretRequest) (*authv1.OAuthClientWithSecret, error) {
	caller, err := identity.RequireFresh(ctx, s.deps.Clock, identity.MaxAuthAge)
	if err != nil {
		return nil, err
	}
	secret, hash := securetoken.New()
	c, err := s.change(ctx, caller, req.GetId(), "", "secret_rotated",
		func(ctx context.Context, tx postgres.Tx, before Client) (Client, error) {
			if !before.Confidential() {
				return before, fault.New(faultv1.Reason_REASON_CONFLICT, "a public client has no secret")
			}
			before.SecretHash = hash
			return before, s.deps.Revocations.RevokeUser(ctx, tx, before.ID)
		})
	if err != nil {
		return nil, err
	}
	return &authv1.OAuthClientWithSecret{OauthClient: encode(c), Secret: secret}, nil
}

// DeleteOAuthClient implements the RPC.
func (s *Service) DeleteOAuthClient(ctx context.Context, req *authv1.DeleteOAuthClientRequest) (*authv1.DeleteOAuthClientResponse, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	err = s.deps.Store.inTx(ctx, caller.OrganizationID, func(ctx context.Context, tx postgres.Tx) error {
		c, err := s.deps.Store.lock(ctx, tx, caller.OrganizationID, req.GetId())
		if err != nil {
			return err
		}
		if err := fault.CheckEtag(kind, rpcserver.Etag(ctx, req.GetEtag()), c.Etag()); err != nil {
			return err
		}
		if err := s.deps.Store.remove(ctx, tx, c, s.deps.Clock.Now()); err != nil {
			return err
		}
		if err := s.deps.Revocations.RevokeClient(ctx, tx, c.ID); err != nil {
			return err
		}
		return s.record(ctx, tx, c, "deleted", nil)
	})
	if err != nil {
		return nil, err
	}
	return &authv1.DeleteOAuthClientResponse{}, nil
}

// change reads a client, edits it for a recently signed-in caller, and saves it with
// its audit row in one transaction.
func (s *Service) change(ctx context.Context, caller *identity.Principal, clientID, etag, verb string,
	edit func(ctx context.Context, tx postgres.Tx, before Client) (Client, error),
) (after Client, err error) {
	err = s.deps.Store.inTx(ctx, caller.OrganizationID, func(ctx context.Context, tx postgres.Tx) error {
		before, err := s.deps.Store.lock(ctx, tx, caller.OrganizationID, clientID)
		if err != nil {
			return err
		}
		if err := fault.CheckEtag(kind, etag, before.Etag()); err != nil {
			return err
		}
		if after, err = edit(ctx, tx, before); err != nil {
			return err
		}
		if err := after.RequireCovered(s.deps.Authorizer.Allowed(caller)); err != nil {
			return err
		}
		after.Revision, after.UpdateTime = before.Revision+1, clock.Stamp(s.deps.Clock)
		if err := s.deps.Store.save(ctx, tx, after); err != nil {
			return err
		}
		return s.record(ctx, tx, after, verb, fields.Changes(before, after))
	})
	return after, err
}

func (s *Service) record(ctx context.Context, tx postgres.Tx, c Client, verb string, changes map[string]audit.Change) error {
	return s.deps.Trail.Append(ctx, tx, audit.Event{
		OrganizationID: c.OrganizationID, Action: "auth." + resourceType + "." + verb, ResourceType: resourceType, ResourceID: c.ID,
		Changes: changes,
	})
}
