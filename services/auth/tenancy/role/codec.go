package role

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

func decode(in *authv1.Role) Role {
	return Role{
		ID: in.GetId(), DisplayName: strings.TrimSpace(in.GetDisplayName()), Description: in.GetDescription(),
		Permissions: slices.Sorted(slices.Values(in.GetPermissions())),
	}
}

func encode(r Role) *authv1.Role {
	return &authv1.Role{
		Id: r.ID, DisplayName: r.DisplayName, Description: r.Description, Permissions: r.Permissions,
		CreateTime: timestamppb.New(r.CreateTime), UpdateTime: timestamppb.New(r.UpdateTime), Etag: r.Etag(),
	}
}

func reply(r Role, err error) (*authv1.Role, error) {
	if err != nil {
		return nil, err
	}
	return encode(r), nil
}
