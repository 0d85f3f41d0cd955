package useradmin

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/audit"
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
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
)

// Accounts creates and ends accounts.
type Accounts struct {
	// Create creates an account outside of sign-up, with a confirmed address.
	Create func(ctx context.Context, email, password, displayName string) (user.User, error)
	// Delete deletes an account, in a transaction in the user's scope, and records it
	// in an organization.
	Delete func(ctx context.Context, tx postgres.Tx, organizationID string, u user.User) error
	// Disable ends the access of a user, in a transaction in the user's scope.
	Disable func(ctx context.Context, tx postgres.Tx, userID string) error
}

// Deps is what the room needs.
type Deps struct {
	DB       *postgres.DB
	Tokens   *paging.Tokens
	Users    *user.Store
	Accounts Accounts
	Trail    *audit.Trail
	Clock    clock.Clock
}

// Service implements the RPCs of users.
type Service struct {
	authv1.UnsafeUserServiceServer

	deps  Deps
	store *store
}

// New builds the room.
func New(d Deps) (*Service, error) {
	if err := errors.Join(deps.Check("useradmin", d), deps.Check("useradmin", d.Accounts)); err != nil {
		return nil, err
	}
	return &Service{deps: d, store: newStore(d.DB, d.Tokens)}, nil
}

// Register adds the room's RPCs to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	authv1.RegisterUserServiceServer(server, s)
}

// Tables returns no table: the room owns none.
func (s *Service) Tables() []room.Table { return nil }

// ListUsers implements the RPC.
func (s *Service) ListUsers(ctx context.Context, req *authv1.ListUsersRequest) (*authv1.ListUsersResponse, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	items, next, err := s.store.list(ctx, caller.UserID, paging.From(req))
	if err != nil {
		return nil, err
	}
	out := &authv1.ListUsersResponse{NextPageToken: next}
	for _, u := range items {
		out.Users = append(out.Users, u.Message())
	}
	return out, nil
}

// GetUser implements the RPC.
func (s *Service) GetUser(ctx context.Context, req *authv1.GetUserRequest) (*authv1.User, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	u, err := s.store.get(ctx, caller.UserID, req.GetId())
	if err != nil {
		return nil, err
	}
	return u.Message(), nil
}

// CreateUser implements the RPC.
func (s *Service) CreateUser(ctx context.Context, req *authv1.CreateUserRequest) (*authv1.User, error) {
	u, err := s.deps.Accounts.Create(ctx, req.GetEmail(), req.GetPassword(), req.GetDisplayName())
	if err != nil {
		return nil, err
	}
	return u.Message(), nil
}

// UpdateUser implements the RPC.
func (s *Service) UpdateUser(ctx context.Context, req *authv1.UpdateUserRequest) (*authv1.User, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	patch := user.User{
		DisplayName: strings.TrimSpace(req.GetUser().GetDisplayName()), Locale: req.GetUser().GetLocale(), Disabled: req.GetUser().GetDisabled(),
	}
	mask := fields().Mask(patch, req.GetUpdateMask().GetPaths())
	var after user.User
	err = s.change(ctx, caller, req.GetUser().GetId(), func(ctx context.Context, tx postgres.Tx, home string, before user.User) error {
		if after, err = apply(before, patch, mask); err != nil {
			return err
		}
		if err := fault.CheckEtag("account", rpcserver.Etag(ctx, req.GetUser().GetEtag()), before.Etag()); err != nil {
			return err
		}
		if after.Disabled && !before.Disabled {
			if after.ID == caller.UserID {
				return ownAccount("disable")
			}
			if err := s.deps.Accounts.Disable(ctx, tx, after.ID); err != nil {
				return err
			}
		}
		after.Revision, after.UpdateTime = before.Revision+1, clock.Stamp(s.deps.Clock)
		if err := postgres.Enter(ctx, tx, postgres.Scope{OrganizationID: home, UserID: after.ID}); err != nil {
			return err
		}
		if err := s.deps.Users.Save(ctx, tx, after); err != nil {
			return err
		}
		return s.deps.Trail.Append(ctx, tx, audit.Event{
			OrganizationID: home, Action: "auth.user.updated", ResourceType: resourceType, ResourceID: after.ID,
			Changes: fields().Changes(before, after),
		})
	})
	if err != nil {
		return nil, err
	}
	return after.Message(), nil
}

// DeleteUser implements the RPC.
func (s *Service) DeleteUser(ctx context.Context, req *authv1.DeleteUserRequest) (*authv1.DeleteUserResponse, error) {
	caller, err := identity.RequireFresh(ctx, s.deps.Clock, identity.MaxAuthAge)
	if err != nil {
		return nil, err
	}
	if req.GetId() == caller.UserID {
		return nil, ownAccount("delete")
	}
	if err := s.change(ctx, caller, req.GetId(), s.deps.Accounts.Delete); err != nil {
		return nil, err
	}
	return &authv1.DeleteUserResponse{}, nil
}

// change edits a user in a transaction in the user's scope. It passes to edit the
// organization in which the user's sessions start.
func (s *Service) change(ctx context.Context, operator *identity.Principal, userID string,
	edit func(ctx context.Context, tx postgres.Tx, home string, u user.User) error,
) error {
	if !id.Valid(userID) {
		return fault.NotFound(resourceType)
	}
	// The database checks that the caller is an operator, before the scope becomes the user's.
	if _, err := s.store.get(ctx, operator.UserID, userID); err != nil {
		return err
	}
	return s.deps.Users.InTx(ctx, userID, func(ctx context.Context, tx postgres.Tx) error {
		u, err := s.deps.Users.Lock(ctx, tx, userID)
		if err != nil {
			return err
		}
		home, err := s.deps.Users.HomeOrganization(ctx, tx, userID)
		if err != nil {
			return err
		}
		return edit(ctx, tx, home, u)
	})
}
