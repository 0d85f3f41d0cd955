package serviceaccount

import (
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse/gatehouse/platform/entity"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

func decode(in *authv1.ServiceAccount) ServiceAccount {
	return ServiceAccount{
		Meta: entity.Meta{ID: in.GetId()}, DisplayName: strings.TrimSpace(in.GetDisplayName()), Roles: in.GetRoles(), Disabled: in.GetDisabled(),
	}
}

func encode(a ServiceAccount) *authv1.ServiceAccount {
	return &authv1.ServiceAccount{
		Id: a.ID, DisplayName: a.DisplayName, Roles: a.Roles, Disabled: a.Disabled,
		CreateTime: timestamppb.New(a.CreateTime), UpdateTime: timestamppb.New(a.UpdateTime), Etag: a.Etag(),
	}
}
