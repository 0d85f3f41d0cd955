package role

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// decode returns the role of a message.
func decode(in *authv1.Role) Role {
	return Role{
		ID: in.GetId(), DisplayName: strings.TrimSpace(in.GetDisplayName()), Description: in.GetDescription(),
		Permissions: slices.Sorted(slices.Values(in.GetPermissions())),
	}
}

// encode returns a role as the contract has it.
func encode(r Role) *authv1.Role {
	return &authv1.Role{
		Id: r.ID, DisplayName: r.DisplayName, Description: r.Description, Permissions: r.Permissions,
		CreateTime: timestamppb.New(r.CreateTime), UpdateTime: timestamppb.New(r.UpdateTime), Etag: r.Etag(),
	}
}

// reply returns the response for a role, or the error.
func reply(r Role, err error) (*authv1.Role, error) {
	if err != nil {
		return nil, err
	}
	return encode(r), nil
}
