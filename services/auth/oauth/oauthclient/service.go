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
	"github.com/gatehouse/gatehouse/platform/entity"
	"github.com/gatehouse/gatehouse/platform/fault"
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

	deps   Deps
	writer *entity.Writer[Client]
}

// New builds the room.
func New(d Deps) (*Service, error) {
	if err := deps.Check("oauthclient", d); err != nil {
		return nil, err
	}
	writer, err := entity.NewWriter(kind, entity.WriterDeps[Client]{Rows: d.Store, Trail: d.Trail, Clock: d.Clock})
	if err != nil {
		return nil, err
	}
	return &Service{deps: d, writer: writer}, nil
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
	c, secret := decode(req.GetOauthClient()), ""
	if req.GetOauthClient().GetConfidential() {
		secret, c.SecretHash = securetoken.New()
	}
	if len(c.GrantTypes) == 0 {
		c.GrantTypes = []string{GrantAuthorizationCode, GrantRefreshToken}
	}
	if err := errors.Join(c.Validate(), c.CheckScopes(s.deps.Authorizer.Allowed(caller))); err != nil {
		return nil, err
	}
	c, err = s.writer.Create(ctx, caller.OrganizationID, c, s.writer.AtMost(maxPerOrganization, s.deps.Store.count))
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
	c, err := s.deps.Store.Get(ctx, caller.OrganizationID, req.GetId())
	return entity.Reply(encode, c, err)
}

// ListOAuthClients implements the RPC.
func (s *Service) ListOAuthClients(ctx context.Context, req *authv1.ListOAuthClientsRequest) (*authv1.ListOAuthClientsResponse, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	items, next, err := s.deps.Store.Page(ctx, caller.OrganizationID, paging.From(req), "")
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
	mask := kind.Fields.Mask(patch, req.GetUpdateMask().GetPaths())
	c, err := s.change(ctx, caller, entity.Change[Client]{
		ID: patch.ID, Etag: rpcserver.Etag(ctx, req.GetOauthClient().GetEtag()), Verb: "updated",
		Edit: func(ctx context.Context, tx postgres.Tx, before Client) (Client, error) {
			after, err := before.Apply(patch, mask)
			if err == nil && slices.Contains(mask, "scopes") {
				err = after.CheckScopes(s.deps.Authorizer.Allowed(caller))
			}
			if err == nil && before.NarrowedBy(after) {
				err = s.deps.Revocations.RevokeClient(ctx, tx, before.ID)
			}
			return after, err
		},
	})
	return entity.Reply(encode, c, err)
}

// RotateOAuthClientSecret implements the RPC.
func (s *Service) RotateOAuthClientSecret(ctx context.Context, req *authv1.RotateOAuthClientSecretRequest) (*authv1.OAuthClientWithSecret, error) {
	caller, err := identity.RequireFresh(ctx, s.deps.Clock, identity.MaxAuthAge)
	if err != nil {
		return nil, err
	}
	secret, hash := securetoken.New()
	c, err := s.change(ctx, caller, entity.Change[Client]{
		ID: req.GetId(), Verb: "secret_rotated",
		Edit: func(ctx context.Context, tx postgres.Tx, before Client) (Client, error) {
			if !before.Confidential() {
				return before, fault.New(faultv1.Reason_REASON_CONFLICT, "a public client has no secret")
			}
			before.SecretHash = hash
			return before, s.deps.Revocations.RevokeUser(ctx, tx, before.ID)
		},
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
	err = s.writer.Delete(ctx, caller.OrganizationID, entity.Removal[Client]{
		ID: req.GetId(), Etag: rpcserver.Etag(ctx, req.GetEtag()),
		Then: func(ctx context.Context, tx postgres.Tx, c Client) error {
			if err := s.deps.Store.deleteGrants(ctx, tx, c, s.deps.Clock.Now()); err != nil {
				return err
			}
			return s.deps.Revocations.RevokeClient(ctx, tx, c.ID)
		},
	})
	if err != nil {
		return nil, err
	}
	return &authv1.DeleteOAuthClientResponse{}, nil
}

// change edits a client for a caller that has all of its permissions.
func (s *Service) change(ctx context.Context, caller *identity.Principal, c entity.Change[Client]) (Client, error) {
	edit := c.Edit
	c.Edit = func(ctx context.Context, tx postgres.Tx, before Client) (Client, error) {
		after, err := edit(ctx, tx, before)
		if err != nil {
			return before, err
		}
		return after, after.RequireCovered(s.deps.Authorizer.Allowed(caller))
	}
	return s.writer.Change(ctx, caller.OrganizationID, c)
}
