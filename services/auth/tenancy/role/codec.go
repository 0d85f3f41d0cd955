package role

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse/gatehouse/platform/entity"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

func decode(in *authv1.Role) Role {
	return Role{
		Meta: entity.Meta{ID: in.GetId()}, DisplayName: strings.TrimSpace(in.GetDisplayName()), Description: in.GetDescription(),
		Permissions: slices.Sorted(slices.Values(in.GetPermissions())),
	}
}

func encode(r Role) *authv1.Role {
	return &authv1.Role{
		Id: r.ID, DisplayName: r.DisplayName, Description: r.Description, Permissions: r.Permissions,
		CreateTime: timestamppb.New(r.CreateTime), UpdateTime: timestamppb.New(r.UpdateTime), Etag: r.Etag(),
	}
}
