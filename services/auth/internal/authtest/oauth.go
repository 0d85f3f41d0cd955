package authtest

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"testing"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

const (
	// AppURI is the redirect URI of the OAuth client.
	AppURI = "https://app.example/callback"
	// CodeVerifier is the PKCE verifier of its codes.
	CodeVerifier = "a verifier that is long enough for anybody, really"
)

// Consented is a user who gave a grant to an OAuth client, with a code of the client.
type Consented struct {
	*Bundle
	OAuth   authv1.OAuthServiceClient
	Clients authv1.OAuthClientServiceClient
	Grants  authv1.GrantServiceClient
	// User calls as the user does, and Gateway as the gateway does.
	User, Gateway context.Context //nolint:containedctx // both end with the test
	// Client is the OAuth client with its secret.
	Client *authv1.OAuthClientWithSecret
	Code   string
}

// SetupConsented starts the service with a user who gave a grant to an OAuth client.
func SetupConsented(t *testing.T) *Consented {
	t.Helper()
	return ConsentedOn(t, Setup(t))
}

// ConsentedOn registers an OAuth client, and lets the user Ada give it a grant.
func ConsentedOn(t *testing.T, b *Bundle) *Consented {
	t.Helper()
	c := &Consented{Bundle: b, Gateway: b.AsService(t, "auth")}
	c.OAuth, c.Grants = authv1.NewOAuthServiceClient(c.Conn), authv1.NewGrantServiceClient(c.Conn)
	c.Clients = authv1.NewOAuthClientServiceClient(c.Conn)
	tokens, _ := c.SignUp(t, Ada)
	c.User = With(t.Context(), tokens)
	var err error
	c.Client, err = c.Clients.CreateOAuthClient(c.User, &authv1.CreateOAuthClientRequest{OauthClient: &authv1.OAuthClient{
		DisplayName: "Reader", Confidential: true, RedirectUris: []string{AppURI}, Scopes: []string{"openid", "chat.read", "chat.write"},
		GrantTypes: []string{"authorization_code", "refresh_token", "client_credentials"},
	}})
	Must(t, err)
	login, err := c.OAuth.OpenLogin(c.User, &authv1.OpenLoginRequest{})
	Must(t, err)
	sum := sha256.Sum256([]byte(CodeVerifier))
	response, err := c.OAuth.Authorize(c.Gateway, &authv1.AuthorizeRequest{
		Login: login.GetLogin(), ClientId: c.Client.GetOauthClient().GetId(), RedirectUri: AppURI, ResponseType: "code",
		CodeChallenge: base64.RawURLEncoding.EncodeToString(sum[:]), CodeChallengeMethod: "S256",
	})
	Must(t, err)
	decided, err := c.OAuth.DecideConsent(c.Gateway, &authv1.DecideConsentRequest{
		Login: login.GetLogin(), Ticket: response.GetConsent().GetTicket(), Allow: true,
	})
	Must(t, err)
	to, err := url.Parse(decided.GetRedirectUri())
	Must(t, err)
	c.Code = to.Query().Get("code")
	return c
}

// Credentials returns the credentials of the client.
func (c *Consented) Credentials() *authv1.ClientCredentials {
	return &authv1.ClientCredentials{ClientId: c.Client.GetOauthClient().GetId(), ClientSecret: c.Client.GetSecret()}
}

// Exchange exchanges the code for tokens.
func (c *Consented) Exchange(t *testing.T) (*authv1.OAuthTokens, error) {
	t.Helper()
	return c.OAuth.IssueToken(c.Gateway, &authv1.IssueTokenRequest{
		Client: c.Credentials(), GrantType: "authorization_code", Code: c.Code, RedirectUri: AppURI, CodeVerifier: CodeVerifier,
	})
}

// RefreshTokens uses the client's refresh token.
func (c *Consented) RefreshTokens(t *testing.T, tokens *authv1.OAuthTokens) (*authv1.OAuthTokens, error) {
	t.Helper()
	return c.OAuth.IssueToken(c.Gateway, &authv1.IssueTokenRequest{
		Client: c.Credentials(), GrantType: "refresh_token", RefreshToken: tokens.GetRefreshToken(),
	})
}

// OwnToken returns a token with which the client acts for itself.
func (c *Consented) OwnToken(t *testing.T) (*authv1.OAuthTokens, error) {
	t.Helper()
	return c.OAuth.IssueToken(c.Gateway, &authv1.IssueTokenRequest{Client: c.Credentials(), GrantType: "client_credentials"})
}

// Active reports whether introspection finds a token active.
func (c *Consented) Active(t *testing.T, token string) bool {
	t.Helper()
	out, err := c.OAuth.IntrospectToken(c.Gateway, &authv1.ClientTokenRequest{Client: c.Credentials(), Token: token})
	Must(t, err)
	return out.GetActive()
}
