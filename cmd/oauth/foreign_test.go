package oauth_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/pkg/client/rp"
	"github.com/zitadel/oidc/v3/pkg/client/rs"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/gatehouse/gatehouse/cmd/internal/relying"
)

// allGrantTypes returns every grant type that the provider supports.
func allGrantTypes() []string {
	return []string{"authorization_code", "refresh_token", "client_credentials"}
}

// The OAuth 2.0 client of the Go project completes every flow.
func TestGoOAuth2Client_EveryFlow_Succeeds(t *testing.T) {
	t.Parallel()
	p := start(t)
	c := p.register(t, map[string]any{"grantTypes": allGrantTypes()})
	ada := p.SignUp(t, "ada@example.com")
	endpoint := oauth2.Endpoint{AuthURL: p.URL + "/oauth2/authorize", TokenURL: p.URL + "/oauth2/token"}
	for name, style := range map[string]oauth2.AuthStyle{"Basic": oauth2.AuthStyleInHeader, "form": oauth2.AuthStyleInParams} {
		endpoint.AuthStyle = style
		config := &oauth2.Config{ClientID: c.ID, ClientSecret: c.Secret, Endpoint: endpoint, RedirectURL: relying.RedirectURI, Scopes: []string{"openid", "chat.read"}}
		verifier := oauth2.GenerateVerifier()
		b := p.browser(t)
		to := b.Agree(t, b.SignIn(t, b.Get(t, config.AuthCodeURL("s", oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("prompt", "consent"))), ada))
		token, err := config.Exchange(t.Context(), to.Query().Get("code"), oauth2.VerifierOption(verifier))
		must(t, err)
		if token.Extra("scope") != "chat.read openid" || p.status(t, token.AccessToken, "/v1/conversations") != http.StatusOK {
			t.Errorf("%s: %+v", name, token)
		}
		// The source refreshes a token that seems to be expired.
		token.Expiry = time.Now().Add(-time.Minute)
		next, err := config.TokenSource(t.Context(), token).Token()
		must(t, err)
		if next.AccessToken == token.AccessToken || next.RefreshToken == token.RefreshToken {
			t.Errorf("%s: not refreshed", name)
		}
		own := clientcredentials.Config{ClientID: c.ID, ClientSecret: c.Secret, TokenURL: endpoint.TokenURL, AuthStyle: style}
		got, err := own.Token(t.Context())
		must(t, err)
		if p.status(t, got.AccessToken, "/v1/conversations") != http.StatusOK || p.status(t, got.AccessToken, "/v1/me") != http.StatusForbidden {
			t.Errorf("%s: client credentials are not limited to their scopes", name)
		}
	}
	_, err := (&clientcredentials.Config{ClientID: c.ID, ClientSecret: "wrong", TokenURL: endpoint.TokenURL}).Token(t.Context())
	if refused := new(oauth2.RetrieveError); !errors.As(err, &refused) || refused.ErrorCode != "invalid_client" {
		t.Errorf("a wrong secret: %v", err)
	}
}

// A certified relying party discovers the provider, verifies ID tokens and signs out.
func TestZitadelRelyingParty_EveryFlow_Succeeds(t *testing.T) {
	t.Parallel()
	p := start(t)
	const afterwards = "https://app.example/bye"
	c := p.register(t, map[string]any{"grantTypes": allGrantTypes(), "postLogoutRedirectUris": []string{afterwards}})
	ada := p.SignUp(t, "ada@example.com")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	party, err := rp.NewRelyingPartyOIDC(ctx, p.URL, c.ID, c.Secret, relying.RedirectURI, []string{"openid", "email", "profile"}, rp.WithSigningAlgsFromDiscovery())
	must(t, err)
	verifier, challenge := relying.PKCE()
	b := p.browser(t)
	to := b.Agree(t, b.SignIn(t, b.Get(t, rp.AuthURL("s", party, rp.WithCodeChallenge(challenge))), ada))
	tokens, err := rp.CodeExchange[*oidc.IDTokenClaims](ctx, to.Query().Get("code"), party, rp.WithCodeVerifier(verifier))
	must(t, err)
	if claims := tokens.IDTokenClaims; claims.Subject != ada.UserID || claims.Email != "ada@example.com" || claims.GetAuthTime().IsZero() {
		t.Errorf("ID token: %+v", claims)
	}
	who, err := rp.Userinfo[*oidc.UserInfo](ctx, tokens.AccessToken, "Bearer", ada.UserID, party)
	must(t, err)
	if who.Email != "ada@example.com" || who.Name == "" {
		t.Errorf("userinfo: %+v", who)
	}
	next, err := rp.RefreshTokens[*oidc.IDTokenClaims](ctx, party, tokens.RefreshToken, "", "")
	must(t, err)
	server, err := rs.NewResourceServerClientCredentials(ctx, p.URL, c.ID, c.Secret)
	must(t, err)
	introspected, err := rs.Introspect[*oidc.IntrospectionResponse](ctx, server, next.AccessToken)
	must(t, err)
	if !introspected.Active || introspected.Subject != ada.UserID {
		t.Errorf("introspection: %+v", introspected)
	}
	itself, err := rp.NewRelyingPartyOIDC(ctx, p.URL, c.ID, c.Secret, relying.RedirectURI, []string{"chat.read"})
	must(t, err)
	own, err := rp.ClientCredentials(ctx, itself, url.Values{})
	must(t, err)
	if p.status(t, own.AccessToken, "/v1/conversations") != http.StatusOK {
		t.Error("client credentials do not work")
	}
	must(t, rp.RevokeToken(ctx, party, next.RefreshToken, "refresh_token"))
	if p.active(t, c, next.AccessToken) {
		t.Error("the token is active after its revocation")
	}
	out, err := rp.EndSession(ctx, party, tokens.IDToken, afterwards, "a state", "", nil)
	must(t, err)
	if out.String() != afterwards+"?state=a+state" {
		t.Errorf("signed out to %s", out)
	}
}

// A request to the end-session endpoint ends the sign-in of the browser: at once if it has an ID
// token of this sign-in, otherwise after the user confirms. It redirects only to a registered URI.
func TestEndSession_IDTokenOrConfirmation_SignsTheBrowserOut(t *testing.T) {
	t.Parallel()
	p := start(t)
	const afterwards = "https://app.example/bye"
	c := p.register(t, map[string]any{"postLogoutRedirectUris": []string{afterwards}})
	ada, eve := p.SignUp(t, "ada@example.com"), p.SignUp(t, "eve@example.com")
	verifier, challenge := relying.PKCE()
	b := p.browser(t)
	to := b.Agree(t, b.SignIn(t, b.Get(t, p.authorizeURL(c, challenge)), ada))
	mine := p.exchange(t, c, to.Query().Get("code"), verifier)
	code, verifier := p.code(t, c, eve)
	hers := p.exchange(t, c, code, verifier)
	signedIn := func() bool {
		return relying.Sent(t, b.Get(t, p.authorizeURL(c, challenge, "prompt", "none"))).Query().Get("error") == ""
	}
	end := func(pairs ...string) string {
		values := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			values.Set(pairs[i], pairs[i+1])
		}
		return p.URL + "/oauth2/end-session?" + values.Encode()
	}
	for name, target := range map[string]string{
		"elsewhere":               end("post_logout_redirect_uri", "https://evil.example/", "client_id", c.ID),
		"to the redirect URI":     end("post_logout_redirect_uri", relying.RedirectURI, "client_id", c.ID),
		"with a made-up token":    end("id_token_hint", "a.b.c"),
		"with an access token":    end("id_token_hint", mine.AccessToken),
		"for no client":           end("post_logout_redirect_uri", afterwards),
		"for another's client id": end("id_token_hint", mine.IDToken, "client_id", eve.UserID, "post_logout_redirect_uri", afterwards),
	} {
		if got := b.Get(t, target); got.Status != http.StatusBadRequest || got.Location != "" || !signedIn() {
			t.Errorf("signing out %s: %d to %q", name, got.Status, got.Location)
		}
	}
	for name, target := range map[string]string{"by a bare link": end(), "by another's token": end("id_token_hint", hers.IDToken)} {
		if got := b.Get(t, target); got.Status != http.StatusOK || !strings.Contains(got.Body, `name="confirm"`) || !signedIn() {
			t.Errorf("%s: %d", name, got.Status)
		}
	}
	asked := b.Get(t, end("post_logout_redirect_uri", afterwards, "client_id", c.ID, "state", "x"))
	form := asked.Form()
	form.Set("confirm", "yes")
	if got := b.PostFrom(t, "https://evil.example", "/oauth2/end-session", form); got.Location != "" || !signedIn() {
		t.Errorf("the form of another site signs out: %d", got.Status)
	}
	if got := b.Post(t, "/oauth2/end-session", form); got.Location != afterwards+"?state=x" || signedIn() {
		t.Errorf("confirmed: %d to %q", got.Status, got.Location)
	}
	b.SignIn(t, b.Get(t, p.authorizeURL(c, challenge)), ada)
	if got := b.Get(t, end("id_token_hint", mine.IDToken, "post_logout_redirect_uri", afterwards)); got.Location != afterwards || signedIn() {
		t.Errorf("by an ID token: %d to %q", got.Status, got.Location)
	}
}
