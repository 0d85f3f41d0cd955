package account

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse/gatehouse/platform/identity"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// encode returns the caller's account as the contract has it.
func (s *Service) encode(p *identity.Principal, mine profile) *authv1.Me {
	u := mine.user
	me := &authv1.Me{
		Id: u.ID, Email: u.Email, EmailVerified: u.EmailVerified, DisplayName: u.DisplayName, Locale: u.Locale,
		CreateTime: timestamppb.New(u.CreateTime), UpdateTime: timestamppb.New(u.UpdateTime), Etag: u.Etag(),
		OrganizationId: p.OrganizationID, Roles: p.Roles, Permissions: s.deps.Authorizer.Allowed(p),
	}
	for _, m := range mine.memberships {
		me.Organizations = append(me.Organizations, &authv1.OrganizationMembership{
			Id: m.OrganizationID, DisplayName: m.DisplayName, Roles: m.Roles,
		})
	}
	return me
}
