package usersession

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// encode returns a session as the contract has it. current is the id of the caller's
// session.
func encode(s Session, current string) *authv1.UserSession {
	return &authv1.UserSession{
		Id: s.ID, Current: s.ID == current, OrganizationId: s.OrganizationID,
		UserAgent: s.UserAgent, IpAddress: s.IPAddress, CreateTime: timestamppb.New(s.CreateTime),
		LastUsedTime: timestamppb.New(s.LastUsedTime), ExpireTime: timestamppb.New(s.ExpireTime),
	}
}
