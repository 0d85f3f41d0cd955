package grant

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// encode returns a grant as the contract has it.
func encode(g Grant) *authv1.Grant {
	return &authv1.Grant{
		Id: g.ID, ClientId: g.ClientID, ClientDisplayName: g.ClientName, OrganizationId: g.OrganizationID, Scopes: g.Scopes,
		CreateTime: timestamppb.New(g.CreateTime), UpdateTime: timestamppb.New(g.UpdateTime),
	}
}
