// Package account is the signed-in user's own account: who it is, and what its
// credential allows where it acts.
//
// Roles and permissions are those of the credential, since every service judges
// a call by them; a change of roles takes effect with the next refresh.
package account

import (
	"context"
	"errors"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse/gatehouse/platform/authz"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/organization"
	"github.com/gatehouse/gatehouse/services/auth/user"
)

// Service implements the RPCs of the own account.
type Service struct {
	authv1.UnsafeAccountServiceServer

	store      *Store
	authorizer *authz.Authorizer
}

// NewService returns the service.
func NewService(store *Store, authorizer *authz.Authorizer) (*Service, error) {
	if store == nil || authorizer == nil {
		return nil, errors.New("account: every dependency is required")
	}
	return &Service{store: store, authorizer: authorizer}, nil
}

// GetMe implements the RPC.
func (s *Service) GetMe(ctx context.Context, _ *authv1.GetMeRequest) (*authv1.Me, error) {
	p, ok := identity.FromContext(ctx)
	if !ok {
		return nil, identity.Unauthenticated()
	}
	var u user.User
	var memberships []organization.Membership
	err := s.store.InTx(ctx, p.UserID, func(ctx context.Context, tx postgres.Tx) error {
		var err error
		if u, err = s.store.users.Get(ctx, tx, p.UserID); err != nil {
			return err
		}
		memberships, err = s.store.organizations.Memberships(ctx, tx, p.UserID)
		return err
	})
	if fault.Is(err, faultv1.Reason_REASON_NOT_FOUND) || (err == nil && u.Disabled) {
		return nil, identity.Unauthenticated()
	}
	if err != nil {
		return nil, err
	}
	return s.encode(p, u, memberships), nil
}

func (s *Service) encode(p *identity.Principal, u user.User, memberships []organization.Membership) *authv1.Me {
	me := &authv1.Me{
		Id: u.ID, Email: u.Email, EmailVerified: u.EmailVerified, DisplayName: u.DisplayName, Locale: u.Locale,
		CreateTime: timestamppb.New(u.CreateTime), UpdateTime: timestamppb.New(u.UpdateTime), Etag: u.Etag(),
		OrganizationId: p.OrganizationID, Roles: p.Roles, Permissions: s.authorizer.Permissions(p.Roles),
	}
	for _, m := range memberships {
		me.Organizations = append(me.Organizations, &authv1.OrganizationMembership{
			Id: m.OrganizationID, DisplayName: m.DisplayName, Roles: m.Roles,
		})
	}
	return me
}
