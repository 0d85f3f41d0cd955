package invitation

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// encode returns an invitation as the contract has it.
func encode(i Invitation, now time.Time) *authv1.Invitation {
	return &authv1.Invitation{
		Id: i.ID, Email: i.Email, Roles: i.Roles, State: i.state(now), InviterId: i.InviterID,
		ExpireTime: timestamppb.New(i.ExpireTime), CreateTime: timestamppb.New(i.CreateTime),
	}
}
