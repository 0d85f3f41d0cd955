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
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
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
	mine, err := s.store.get(ctx, p.UserID)
	if fault.Is(err, faultv1.Reason_REASON_NOT_FOUND) || (err == nil && mine.user.Disabled) {
		return nil, identity.Unauthenticated()
	}
	if err != nil {
		return nil, err
	}
	return s.encode(p, mine), nil
}

func (s *Service) encode(p *identity.Principal, mine profile) *authv1.Me {
	u := mine.user
	me := &authv1.Me{
		Id: u.ID, Email: u.Email, EmailVerified: u.EmailVerified, DisplayName: u.DisplayName, Locale: u.Locale,
		CreateTime: timestamppb.New(u.CreateTime), UpdateTime: timestamppb.New(u.UpdateTime), Etag: u.Etag(),
		OrganizationId: p.OrganizationID, Roles: p.Roles, Permissions: s.authorizer.Permissions(p.Roles),
	}
	for _, m := range mine.memberships {
		me.Organizations = append(me.Organizations, &authv1.OrganizationMembership{
			Id: m.OrganizationID, DisplayName: m.DisplayName, Roles: m.Roles,
		})
	}
	return me
}
