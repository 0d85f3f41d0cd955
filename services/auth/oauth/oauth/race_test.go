package oauth_test

import (
	"context"
	"testing"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

// wantDead fails the test when a client has usable tokens with the rights from before.
func wantDead(t *testing.T, c *authtest.Consented, tokens *authv1.OAuthTokens, err error) {
	t.Helper()
	if err != nil {
		return // the change came first
	}
	p, err := c.Verifier.Access(t.Context(), tokens.GetAccessToken())
	authtest.Must(t, err)
	revoked := false
	found, err := c.Service.Revocations(t.Context(), p.AuthTime)
	authtest.Must(t, err)
	for _, f := range found {
		revoked = revoked || f.SessionID == p.SessionID || !p.IssueTime.After(f.Time) && (f.ClientID == p.ClientID || f.UserID == p.UserID)
	}
	if !revoked {
		t.Errorf("a token with %v is still valid", p.Scopes)
	}
	if tokens.GetRefreshToken() == "" {
		return
	}
	if again, err := c.RefreshTokens(t, tokens); err == nil {
		t.Errorf("refreshed to %q", again.GetScope())
	}
}

// endsOfClients returns the changes that remove rights from a client or end its
// sessions.
func endsOfClients() map[string]authtest.Change[*authtest.Consented] {
	return map[string]authtest.Change[*authtest.Consented]{
		"consent": {Action: "auth.grant.deleted", Do: func(_ context.Context, c *authtest.Consented) error {
			list, err := c.Grants.ListGrants(c.User, &authv1.ListGrantsRequest{})
			if err != nil {
				return err
			}
			_, err = c.Grants.DeleteGrant(c.User, &authv1.DeleteGrantRequest{Id: list.GetGrants()[0].GetId()})
			return err
		}},
		"client": {Action: "auth.oauth_client.deleted", Do: func(_ context.Context, c *authtest.Consented) error {
			_, err := c.Clients.DeleteOAuthClient(c.User, &authv1.DeleteOAuthClientRequest{Id: c.Client.GetOauthClient().GetId()})
			return err
		}},
		"scopes": {Action: "auth.oauth_client.updated", Do: func(_ context.Context, c *authtest.Consented) error {
			_, err := c.Clients.UpdateOAuthClient(c.User, &authv1.UpdateOAuthClientRequest{
				OauthClient: &authv1.OAuthClient{Id: c.Client.GetOauthClient().GetId(), Scopes: []string{"email"}},
				UpdateMask:  &fieldmaskpb.FieldMask{Paths: []string{"scopes"}},
			})
			return err
		}},
		"sessions": {Action: "auth.session.revoked", Do: func(_ context.Context, c *authtest.Consented) error {
			_, err := c.UserSessions.EndUserSessions(c.User, &authv1.EndUserSessionsRequest{})
			return err
		}},
	}
}

// S21: whatever ends a client's access, a code that is exchanged at the same time and a
// token that is then issued do not outlast it, whichever comes first.
func TestS21ConcurrentTokensEndWithClient(t *testing.T) {
	t.Parallel()
	for name, end := range endsOfClients() {
		t.Run(name+" before a code", func(t *testing.T) {
			t.Parallel()
			c := authtest.SetupConsented(t)
			tokens, err := authtest.RaceWith(t, c.Bundle, end.Action, func() error { return end.Do(t.Context(), c) },
				func() (*authv1.OAuthTokens, error) { return c.Exchange(t) })
			wantDead(t, c, tokens, err)
		})
		t.Run(name+" after a code", func(t *testing.T) {
			t.Parallel()
			c := authtest.SetupConsented(t)
			var tokens *authv1.OAuthTokens
			_, err := authtest.RaceWith(t, c.Bundle, "auth.session.created", func() (err error) {
				tokens, err = c.Exchange(t)
				return err
			}, func() (struct{}, error) { return struct{}{}, end.Do(t.Context(), c) })
			authtest.Must(t, err)
			wantDead(t, c, tokens, nil)
		})
		t.Run(name+" before a refresh", func(t *testing.T) {
			t.Parallel()
			c := authtest.SetupConsented(t)
			opened, err := c.Exchange(t)
			authtest.Must(t, err)
			tokens, err := authtest.RaceWith(t, c.Bundle, end.Action, func() error { return end.Do(t.Context(), c) },
				func() (*authv1.OAuthTokens, error) { return c.RefreshTokens(t, opened) })
			wantDead(t, c, tokens, err)
		})
	}
	for _, name := range []string{"client", "scopes"} {
		end := endsOfClients()[name]
		t.Run(name+" before a token of its own", func(t *testing.T) {
			t.Parallel()
			c := authtest.SetupConsented(t)
			tokens, err := authtest.RaceWith(t, c.Bundle, end.Action, func() error { return end.Do(t.Context(), c) },
				func() (*authv1.OAuthTokens, error) { return c.OwnToken(t) })
			wantDead(t, c, tokens, err)
		})
	}
}
