package publishablekey

import (
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse/gatehouse/platform/entity"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

func decode(in *authv1.PublishableKey) Key {
	return Key{
		Meta: entity.Meta{ID: in.GetId()}, DisplayName: strings.TrimSpace(in.GetDisplayName()), Origins: in.GetOrigins(), Disabled: in.GetDisabled(),
	}
}

func encode(k Key) *authv1.PublishableKey {
	return &authv1.PublishableKey{
		Id: k.ID, DisplayName: k.DisplayName, Key: k.Key, Origins: k.Origins, Disabled: k.Disabled,
		CreateTime: timestamppb.New(k.CreateTime), UpdateTime: timestamppb.New(k.UpdateTime), Etag: k.Etag(),
	}
}
