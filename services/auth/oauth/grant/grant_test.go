package grant_test

import (
	"slices"
	"testing"

	"github.com/gatehouse/gatehouse/platform/id"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
	"github.com/gatehouse/gatehouse/services/auth/oauth/grant"
)

func TestGrant_Covers(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name            string
		granted, wanted []string
		want            bool
	}{
		{"all scopes", []string{"chat.read", "openid"}, []string{"openid", "chat.read"}, true},
		{"some scopes", []string{"chat.read", "openid"}, []string{"openid"}, true},
		{"no scope", nil, nil, true},
		{"a scope that was not granted", []string{"openid"}, []string{"openid", "chat.read"}, false},
		{"a longer scope", []string{"chat.rea"}, []string{"chat.read"}, false},
	} {
		if got := (grant.Grant{Scopes: tc.granted}).Covers(tc.wanted); got != tc.want {
			t.Errorf("%s: %t, want %t", tc.name, got, tc.want)
		}
	}
}

func TestListGrants_ReturnsOwnGrants(t *testing.T) {
	t.Parallel()
	c := authtest.SetupConsented(t)
	list, err := c.Grants.ListGrants(c.User, &authv1.ListGrantsRequest{})
	authtest.Must(t, err)
	if len(list.GetGrants()) != 1 {
		t.Fatalf("listed %v", list)
	}
	g := list.GetGrants()[0]
	if g.GetClientId() != c.Client.GetOauthClient().GetId() || g.GetClientDisplayName() != "Reader" ||
		!slices.Equal(slices.Sorted(slices.Values(g.GetScopes())), []string{"chat.read", "chat.write", "openid"}) {
		t.Errorf("the grant is %v", g)
	}
	other, _ := c.SignUp(t, "eve@example.org")
	list, err = c.Grants.ListGrants(authtest.With(t.Context(), other), &authv1.ListGrantsRequest{})
	authtest.Must(t, err)
	if len(list.GetGrants()) != 0 {
		t.Errorf("another user listed %v", list)
	}
}

func TestDeleteGrant_RevokesTokensOfClient(t *testing.T) {
	t.Parallel()
	c := authtest.SetupConsented(t)
	tokens, err := c.Exchange(t)
	authtest.Must(t, err)
	list, err := c.Grants.ListGrants(c.User, &authv1.ListGrantsRequest{})
	authtest.Must(t, err)
	grantID := list.GetGrants()[0].GetId()
	other, _ := c.SignUp(t, "eve@example.org")
	_, err = c.Grants.DeleteGrant(authtest.With(t.Context(), other), &authv1.DeleteGrantRequest{Id: grantID})
	authtest.WantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	if !c.Active(t, tokens.GetAccessToken()) || !c.Active(t, tokens.GetRefreshToken()) {
		t.Error("another user revoked the grant")
	}
	_, err = c.Grants.DeleteGrant(c.User, &authv1.DeleteGrantRequest{Id: grantID})
	authtest.Must(t, err)
	if c.Active(t, tokens.GetAccessToken()) || c.Active(t, tokens.GetRefreshToken()) {
		t.Error("the tokens of the client are still active")
	}
	for _, unknown := range []string{grantID, id.New()} {
		_, err = c.Grants.DeleteGrant(c.User, &authv1.DeleteGrantRequest{Id: unknown})
		authtest.WantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	}
}
