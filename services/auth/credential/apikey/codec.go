package apikey

import (
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// decode returns the key of a message.
func decode(message *authv1.ApiKey) Key {
	k := Key{DisplayName: message.GetDisplayName(), Scopes: slices.Sorted(slices.Values(message.GetScopes()))}
	if message.GetExpireTime() != nil {
		at := message.GetExpireTime().AsTime().Truncate(time.Microsecond)
		k.ExpireTime = &at
	}
	return k
}

// encode returns a key as the contract has it.
func encode(k Key) *authv1.ApiKey {
	out := &authv1.ApiKey{
		Id: k.ID, DisplayName: k.DisplayName, Prefix: k.Prefix, Scopes: k.Scopes,
		CreateTime: timestamppb.New(k.CreateTime), OrganizationId: k.OrganizationID,
	}
	if k.ExpireTime != nil {
		out.ExpireTime = timestamppb.New(*k.ExpireTime)
	}
	if k.LastUsed != nil {
		out.LastUsedTime = timestamppb.New(*k.LastUsed)
	}
	return out
}
