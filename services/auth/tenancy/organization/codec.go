package organization

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// encode returns an organization as the contract has it.
func encode(o Organization) *authv1.Organization {
	out := &authv1.Organization{
		Id: o.ID, DisplayName: o.DisplayName, Personal: o.Personal, CreateTime: timestamppb.New(o.CreateTime),
		UpdateTime: timestamppb.New(o.UpdateTime), Etag: o.Etag(), State: authv1.Organization_ACTIVE,
	}
	if o.DeleteTime != nil && o.PurgeTime != nil {
		out.State = authv1.Organization_DELETED
		out.DeleteTime, out.PurgeTime = timestamppb.New(*o.DeleteTime), timestamppb.New(*o.PurgeTime)
	}
	return out
}

// encodeMember returns a member as the contract has it.
func encodeMember(m Member) *authv1.Member {
	return &authv1.Member{
		UserId: m.User.ID, User: m.User.Message(), Roles: m.Roles,
		CreateTime: timestamppb.New(m.CreateTime), UpdateTime: timestamppb.New(m.UpdateTime),
	}
}
