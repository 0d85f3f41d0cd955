package oauthclient

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse/gatehouse/platform/entity"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// decode returns the client of a message.
func decode(in *authv1.OAuthClient) Client {
	return Client{
		Meta: entity.Meta{ID: in.GetId()}, DisplayName: in.GetDisplayName(), RedirectURIs: in.GetRedirectUris(),
		PostLogoutRedirectURIs: in.GetPostLogoutRedirectUris(), GrantTypes: in.GetGrantTypes(),
		Scopes: in.GetScopes(), MembersOnly: in.GetMembersOnly(),
	}
}

// encode returns a client as the contract has it.
func encode(c Client) *authv1.OAuthClient {
	return &authv1.OAuthClient{
		Id: c.ID, DisplayName: c.DisplayName, RedirectUris: c.RedirectURIs, PostLogoutRedirectUris: c.PostLogoutRedirectURIs,
		GrantTypes: c.GrantTypes, Scopes: c.Scopes, Confidential: c.Confidential(), MembersOnly: c.MembersOnly,
		CreateTime: timestamppb.New(c.CreateTime), UpdateTime: timestamppb.New(c.UpdateTime), Etag: c.Etag(),
	}
}
