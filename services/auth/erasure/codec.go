package erasure

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse/gatehouse/platform/erasure"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// encode returns an erasure as the contract has it.
func encode(e erasure.Erasure) *authv1.Erasure {
	return &authv1.Erasure{Id: e.ID, UserId: e.UserID, OrganizationId: e.OrganizationID, Time: timestamppb.New(e.Time)}
}
