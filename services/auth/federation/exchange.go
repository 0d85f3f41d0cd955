package federation

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/gatehouse/gatehouse/platform/egress"
	"github.com/gatehouse/gatehouse/platform/id"
)

// tenantPlaceholder stands for the tenant in Microsoft's issuer.
const tenantPlaceholder = "{tenantid}"

// redeem exchanges a code for the user's profile.
func (c *connection) redeem(ctx context.Context, redirectURI, code, iss, secret string) (identityProfile, error) {
	if (c.sendsIss || iss != "") && !c.matchesIssuer(iss) {
		return identityProfile{}, refused(fmt.Errorf("federation: the response has the issuer %q, not %q", iss, c.issuer))
	}
	config := c.oauth
	config.RedirectURL = redirectURI
	if c.provider.Kind == Apple {
		var err error
		if config.ClientSecret, err = appleSecret(c.provider, c.clock.Now()); err != nil {
			return identityProfile{}, refused(err)
		}
	}
	ctx = oidc.ClientContext(ctx, c.client)
	token, err := config.Exchange(ctx, code, oauth2.VerifierOption(derive(secret, purposeVerifier)))
	if err != nil {
		return identityProfile{}, exchangeError(err)
	}
	if c.openID == nil {
		return c.fetchGitHubProfile(ctx, token)
	}
	claims, err := c.verify(ctx, token, derive(secret, purposeNonce))
	if err != nil {
		return identityProfile{}, err
	}
	return c.profile(claims), nil
}

// matchesIssuer reports whether an issuer is the provider. For Microsoft, any tenant
// matches.
func (c *connection) matchesIssuer(issuer string) bool {
	before, after, open := strings.Cut(c.issuer, tenantPlaceholder)
	if c.provider.Kind != Microsoft || !open {
		return issuer == c.issuer
	}
	tenant, begins := strings.CutPrefix(issuer, before)
	tenant, ends := strings.CutSuffix(tenant, after)
	return begins && ends && id.Valid(tenant)
}

// exchangeError returns the fault of a refused code, or else of a provider that does
// not work.
func exchangeError(err error) error {
	var answered *oauth2.RetrieveError
	if errors.As(err, &answered) && answered.Response != nil && answered.Response.StatusCode < 500 {
		return refused(err)
	}
	if egress.Denied(err) || errors.As(err, new(*url.Error)) || answered != nil {
		return unreachable(err)
	}
	return refused(err)
}

// claims are the claims that are read from a token and from userinfo.
type claims struct {
	Issuer        string       `json:"iss"`
	Subject       string       `json:"sub"`
	Party         string       `json:"azp"`
	Email         string       `json:"email"`
	EmailVerified flexibleBool `json:"email_verified"`
	Name          string       `json:"name"`
	// Tenant and DomainVerified are Microsoft's.
	Tenant         string       `json:"tid"`
	DomainVerified flexibleBool `json:"xms_edov"`
}

// flexibleBool is a boolean that some providers write as a string or a number.
type flexibleBool bool

// UnmarshalJSON implements [json.Unmarshaler].
func (l *flexibleBool) UnmarshalJSON(raw []byte) error {
	text := strings.Trim(string(raw), `"`)
	*l = text == "true" || text == "1"
	return nil
}

// verify returns the claims of an ID token, with those of userinfo when the token has
// no address.
func (c *connection) verify(ctx context.Context, token *oauth2.Token, nonce string) (claims, error) {
	var out claims
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return out, refused(errors.New("federation: no ID token"))
	}
	keys := &watchedKeys{KeySet: c.keys}
	verified, err := oidc.NewVerifier(c.issuer, keys, &c.verification).Verify(ctx, raw)
	if keys.failed != nil {
		return out, unreachable(keys.failed)
	}
	if err != nil {
		return out, refused(err)
	}
	if err := verified.Claims(&out); err != nil {
		return out, refused(err)
	}
	if err := c.check(verified, out, token.AccessToken, nonce); err != nil {
		return out, refused(err)
	}
	if out.Email != "" || c.openID.UserInfoEndpoint() == "" || c.provider.Kind == Microsoft {
		return out, nil
	}
	return c.fetchUserInfo(ctx, token, out)
}

// watchedKeys separates keys that cannot be read from a signature that matches none of
// them: a token that could not be checked is not a wrong token.
type watchedKeys struct {
	oidc.KeySet

	failed error
}

// VerifySignature implements [oidc.KeySet].
func (k *watchedKeys) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	payload, err := k.KeySet.VerifySignature(ctx, token)
	if err != nil && strings.HasPrefix(err.Error(), "fetching keys") { // the library has no typed error
		k.failed = err
	}
	return payload, err
}

// check does the checks of OpenID Connect Core section 3.1.3.7 beside signature,
// audience and time.
func (c *connection) check(verified *oidc.IDToken, got claims, accessToken, nonce string) error {
	if subtle.ConstantTimeCompare([]byte(verified.Nonce), []byte(nonce)) != 1 {
		return errors.New("federation: the token belongs to another attempt")
	}
	if (len(verified.Audience) > 1 || got.Party != "") && got.Party != c.provider.ClientID {
		return fmt.Errorf("federation: the token is for %q", got.Party)
	}
	if verified.AccessTokenHash != "" {
		if err := verified.VerifyAccessToken(accessToken); err != nil {
			return fmt.Errorf("federation: %w", err)
		}
	}
	if c.provider.Kind == Microsoft {
		// Any tenant may sign in, each with its own issuer.
		if !c.matchesIssuer(verified.Issuer) || !strings.Contains(verified.Issuer, "/"+got.Tenant+"/") || !id.Valid(got.Tenant) {
			return fmt.Errorf("federation: the issuer %q is not that of tenant %q", verified.Issuer, got.Tenant)
		}
	}
	return nil
}

// fetchUserInfo adds the claims that userinfo returns for the same subject.
func (c *connection) fetchUserInfo(ctx context.Context, token *oauth2.Token, out claims) (claims, error) {
	info, err := c.openID.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return out, unreachable(err)
	}
	var got claims
	if err := info.Claims(&got); err != nil {
		return out, unreachable(err)
	}
	if got.Subject != out.Subject {
		return out, refused(errors.New("federation: userinfo has another subject"))
	}
	out.Email, out.EmailVerified = got.Email, got.EmailVerified
	if out.Name == "" {
		out.Name = got.Name
	}
	return out, nil
}

// profile returns the profile of verified claims.
func (c *connection) profile(got claims) identityProfile {
	// The issuer as configured, because Google has two spellings.
	out := identityProfile{issuer: c.issuer, subject: got.Subject, email: got.Email, verified: bool(got.EmailVerified), name: got.Name}
	if c.provider.Kind == Microsoft {
		// The tenant's own claim about the address does not count.
		out.issuer, out.verified = got.Issuer, bool(got.DomainVerified)
	}
	return out
}

// origin returns the scheme and the host of a URL.
func origin(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return text
	}
	return u.Scheme + "://" + u.Host
}
