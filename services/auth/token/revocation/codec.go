package revocation

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse/gatehouse/platform/revocation"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// encode returns a revocation as the contract has it.
func encode(r revocation.Revocation) *authv1.Revocation {
	return &authv1.Revocation{
		Id: r.ID, SessionId: r.SessionID, UserId: r.UserID, OrganizationId: r.OrganizationID, ClientId: r.ClientID, Time: timestamppb.New(r.Time),
	}
}
