package oauth_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"testing"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

// consented is a user who gave a grant to a client, with a code of it.
type consented struct {
	*authtest.Bundle
	oauth   authv1.OAuthServiceClient
	clients authv1.OAuthClientServiceClient
	grants  authv1.GrantServiceClient
	asAda   context.Context
	// gateway calls as the gateway does.
	gateway context.Context
	client  *authv1.OAuthClientWithSecret
	code    string
}

func setupConsent(t *testing.T) *consented {
	t.Helper()
	return consentOn(t, authtest.Setup(t))
}

func consentOn(t *testing.T, b *authtest.Bundle) *consented {
	t.Helper()
	c := &consented{Bundle: b, gateway: b.AsService(t, "auth")}
	c.oauth, c.grants = authv1.NewOAuthServiceClient(c.Conn), authv1.NewGrantServiceClient(c.Conn)
	c.clients = authv1.NewOAuthClientServiceClient(c.Conn)
	tokens, _ := c.SignUp(t, "ada@example.org")
	c.asAda = authtest.With(t.Context(), tokens)
	var err error
	c.client, err = c.clients.CreateOAuthClient(c.asAda, &authv1.CreateOAuthClientRequest{OauthClient: &authv1.OAuthClient{
		DisplayName: "Reader", Confidential: true, RedirectUris: []string{authtest.AppURI}, Scopes: []string{"openid", "chat.read", "chat.write"},
		GrantTypes: []string{"authorization_code", "refresh_token", "client_credentials"},
	}})
	authtest.Must(t, err)
	login, err := c.oauth.OpenLogin(c.asAda, &authv1.OpenLoginRequest{})
	authtest.Must(t, err)
	sum := sha256.Sum256([]byte(authtest.CodeVerifier))
	asked, err := c.oauth.Authorize(c.gateway, &authv1.AuthorizeRequest{
		Login: login.GetLogin(), ClientId: c.client.GetOauthClient().GetId(), RedirectUri: authtest.AppURI, ResponseType: "code",
		CodeChallenge: base64.RawURLEncoding.EncodeToString(sum[:]), CodeChallengeMethod: "S256",
	})
	authtest.Must(t, err)
	decided, err := c.oauth.DecideConsent(c.gateway, &authv1.DecideConsentRequest{
		Login: login.GetLogin(), Ticket: asked.GetConsent().GetTicket(), Allow: true,
	})
	authtest.Must(t, err)
	to, err := url.Parse(decided.GetRedirectUri())
	authtest.Must(t, err)
	c.code = to.Query().Get("code")
	return c
}

func (c *consented) credentials() *authv1.ClientCredentials {
	return &authv1.ClientCredentials{ClientId: c.client.GetOauthClient().GetId(), ClientSecret: c.client.GetSecret()}
}

func (c *consented) exchange(t *testing.T) (*authv1.OAuthTokens, error) {
	t.Helper()
	return c.oauth.IssueToken(c.gateway, &authv1.IssueTokenRequest{
		Client: c.credentials(), GrantType: "authorization_code", Code: c.code, RedirectUri: authtest.AppURI, CodeVerifier: authtest.CodeVerifier,
	})
}

func (c *consented) refresh(t *testing.T, tokens *authv1.OAuthTokens) (*authv1.OAuthTokens, error) {
	t.Helper()
	return c.oauth.IssueToken(c.gateway, &authv1.IssueTokenRequest{
		Client: c.credentials(), GrantType: "refresh_token", RefreshToken: tokens.GetRefreshToken(),
	})
}

func (c *consented) clientCredentials(t *testing.T) (*authv1.OAuthTokens, error) {
	t.Helper()
	return c.oauth.IssueToken(c.gateway, &authv1.IssueTokenRequest{Client: c.credentials(), GrantType: "client_credentials"})
}

// wantDead fails the test when a client has usable tokens with the rights from before.
func (c *consented) wantDead(t *testing.T, tokens *authv1.OAuthTokens, err error) {
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
	if again, err := c.refresh(t, tokens); err == nil {
		t.Errorf("refreshed to %q", again.GetScope())
	}
}

// endsOfClients returns the changes that remove rights from a client or end its
// sessions.
func endsOfClients() map[string]authtest.Change[*consented] {
	return map[string]authtest.Change[*consented]{
		"consent": {Action: "auth.grant.deleted", Do: func(_ context.Context, c *consented) error {
			list, err := c.grants.ListGrants(c.asAda, &authv1.ListGrantsRequest{})
			if err != nil {
				return err
			}
			_, err = c.grants.DeleteGrant(c.asAda, &authv1.DeleteGrantRequest{Id: list.GetGrants()[0].GetId()})
			return err
		}},
		"client": {Action: "auth.oauth_client.deleted", Do: func(_ context.Context, c *consented) error {
			_, err := c.clients.DeleteOAuthClient(c.asAda, &authv1.DeleteOAuthClientRequest{Id: c.client.GetOauthClient().GetId()})
			return err
		}},
		"scopes": {Action: "auth.oauth_client.updated", Do: func(_ context.Context, c *consented) error {
			_, err := c.clients.UpdateOAuthClient(c.asAda, &authv1.UpdateOAuthClientRequest{
				OauthClient: &authv1.OAuthClient{Id: c.client.GetOauthClient().GetId(), Scopes: []string{"email"}},
				UpdateMask:  &fieldmaskpb.FieldMask{Paths: []string{"scopes"}},
			})
			return err
		}},
		"sessions": {Action: "auth.session.revoked", Do: func(_ context.Context, c *consented) error {
			_, err := c.UserSessions.EndUserSessions(c.asAda, &authv1.EndUserSessionsRequest{})
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
			c := setupConsent(t)
			tokens, err := authtest.RaceWith(t, c.Bundle, end.Action, func() error { return end.Do(t.Context(), c) },
				func() (*authv1.OAuthTokens, error) { return c.exchange(t) })
			c.wantDead(t, tokens, err)
		})
		t.Run(name+" after a code", func(t *testing.T) {
			t.Parallel()
			c := setupConsent(t)
			var tokens *authv1.OAuthTokens
			_, err := authtest.RaceWith(t, c.Bundle, "auth.session.created", func() (err error) {
				tokens, err = c.exchange(t)
				return err
			}, func() (struct{}, error) { return struct{}{}, end.Do(t.Context(), c) })
			authtest.Must(t, err)
			c.wantDead(t, tokens, nil)
		})
		t.Run(name+" before a refresh", func(t *testing.T) {
			t.Parallel()
			c := setupConsent(t)
			opened, err := c.exchange(t)
			authtest.Must(t, err)
			tokens, err := authtest.RaceWith(t, c.Bundle, end.Action, func() error { return end.Do(t.Context(), c) },
				func() (*authv1.OAuthTokens, error) { return c.refresh(t, opened) })
			c.wantDead(t, tokens, err)
		})
	}
	for _, name := range []string{"client", "scopes"} {
		end := endsOfClients()[name]
		t.Run(name+" before a token of its own", func(t *testing.T) {
			t.Parallel()
			c := setupConsent(t)
			tokens, err := authtest.RaceWith(t, c.Bundle, end.Action, func() error { return end.Do(t.Context(), c) },
				func() (*authv1.OAuthTokens, error) { return c.clientCredentials(t) })
			c.wantDead(t, tokens, err)
		})
	}
}
