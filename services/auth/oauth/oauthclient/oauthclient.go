// Package oauthclient is the room of OAuth clients: third-party programs that an
// organization has registered. A client acts for users who consent, or for itself.
//
// A client is public when it cannot keep a secret (on a phone, in a browser) and
// confidential when it can. PKCE protects both (RFC 9700 section 2.1.1). Package oauth
// issues their tokens.
package oauthclient

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/gatehouse/gatehouse/platform/entity"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/patch"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// The grant types that a client can be registered for (RFC 6749).
const (
	GrantAuthorizationCode = "authorization_code"
	GrantRefreshToken      = "refresh_token"
	GrantClientCredentials = "client_credentials"
)

// The scopes of OpenID Connect. Every other scope is a permission.
const (
	ScopeOpenID        = "openid"
	ScopeProfile       = "profile"
	ScopeEmail         = "email"
	ScopeOfflineAccess = "offline_access"
)

// OpenIDScopes returns the scopes that are not permissions.
func OpenIDScopes() []string {
	return []string{ScopeOpenID, ScopeProfile, ScopeEmail, ScopeOfflineAccess}
}

// Client is an OAuth client.
type Client struct {
	entity.Meta

	DisplayName            string   `db:"display_name,patch"`
	RedirectURIs           []string `db:"redirect_uris,patch"`
	PostLogoutRedirectURIs []string `db:"post_logout_redirect_uris,patch"`
	GrantTypes             []string `db:"grant_types,patch"`
	Scopes                 []string `db:"scopes,patch"`
	MembersOnly            bool     `db:"members_only,patch"`
	// SecretHash is the SHA-256 of a confidential client's secret. It is nil for a
	// public client.
	SecretHash []byte `db:"secret_hash"`
	// OrganizationName is set where a client is found by its id alone.
	OrganizationName string
}

// kind declares how clients are stored, listed and changed.
var kind = entity.Kind[Client]{ //nolint:gochecknoglobals // a constant table
	Service: "auth", Type: "oauth_client", Title: "OAuth client", Brief: true,
	Table:  postgres.MustTable[Client]("oauth_clients"),
	Fields: patch.Of[Client](),
	List: paging.List{
		Name: "oauth clients",
		ID:   "id",
		Fields: map[string]paging.Field{
			"displayName": {Column: "display_name", Type: paging.String, Filter: true, Order: true},
			"createTime":  {Column: "created_at", Type: paging.Time, Filter: true, Order: true},
		},
		DefaultOrder: "createTime desc",
	},
}

// Confidential reports whether the client authenticates with a secret.
func (c Client) Confidential() bool { return c.SecretHash != nil }

// Validate checks what the contract cannot express.
func (c Client) Validate() error {
	if strings.TrimSpace(c.DisplayName) == "" {
		return fault.Invalid("oauthClient.displayName", "must not be empty")
	}
	if len(c.Scopes) == 0 {
		return fault.Invalid("oauthClient.scopes", "must not be empty")
	}
	if err := c.validateGrants(); err != nil {
		return err
	}
	for i, uri := range c.RedirectURIs {
		if err := checkRedirect(uri); err != nil {
			return fault.Invalid(fmt.Sprintf("oauthClient.redirectUris[%d]", i), "%v", err)
		}
	}
	for i, uri := range c.PostLogoutRedirectURIs {
		if err := checkRedirect(uri); err != nil {
			return fault.Invalid(fmt.Sprintf("oauthClient.postLogoutRedirectUris[%d]", i), "%v", err)
		}
	}
	return nil
}

// validateGrants checks that the grant types fit together.
func (c Client) validateGrants() error {
	switch {
	case len(c.GrantTypes) == 0:
		return fault.Invalid("oauthClient.grantTypes", "must not be empty")
	case c.AllowsGrant(GrantAuthorizationCode) && len(c.RedirectURIs) == 0:
		return fault.Invalid("oauthClient.redirectUris", "must not be empty for authorization_code")
	case c.AllowsGrant(GrantRefreshToken) && !c.AllowsGrant(GrantAuthorizationCode):
		return fault.Invalid("oauthClient.grantTypes", "refresh_token needs authorization_code")
	case c.AllowsGrant(GrantClientCredentials) && !c.Confidential():
		return fault.Invalid("oauthClient.grantTypes", "client_credentials needs a confidential client")
	default:
		return nil
	}
}

// CheckScopes refuses a scope that is neither one of OpenID Connect nor a permission of
// the caller who registers the client.
func (c Client) CheckScopes(permissions []string) error {
	for _, scope := range c.Scopes {
		if !slices.Contains(OpenIDScopes(), scope) && !slices.Contains(permissions, scope) {
			return fault.Invalid("oauthClient.scopes", "%q is not one of your permissions", scope)
		}
	}
	return nil
}

// RequireCovered refuses a caller with fewer permissions than the client has. The
// client's secret, and the addresses to which its codes are sent, are worth as much as
// its tokens.
func (c Client) RequireCovered(permissions []string) error {
	for _, scope := range c.Scopes {
		if !slices.Contains(OpenIDScopes(), scope) && !slices.Contains(permissions, scope) {
			return fault.New(faultv1.Reason_REASON_PERMISSION_DENIED,
				"you cannot change a client that has more permissions than you: you lack %s", scope)
		}
	}
	return nil
}

// NarrowedBy reports whether a change removes something on which the client's tokens
// depend.
func (c Client) NarrowedBy(after Client) bool {
	lost := func(before, after []string) bool {
		return slices.ContainsFunc(before, func(item string) bool { return !slices.Contains(after, item) })
	}
	return lost(c.Scopes, after.Scopes) || lost(c.GrantTypes, after.GrantTypes) || after.MembersOnly && !c.MembersOnly
}

// AllowsGrant reports whether the client is registered for a grant type.
func (c Client) AllowsGrant(grantType string) bool { return slices.Contains(c.GrantTypes, grantType) }

// hostPattern matches a host with or without a port. It is stricter than the grammar of
// URIs, because pages put the host into their content security policy.
var hostPattern = regexp.MustCompile(`^([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?$`)

// checkRedirect refuses addresses to which users must not be sent (RFC 8252 section 7,
// RFC 9700 section 2.1).
func checkRedirect(uri string) error {
	u, err := url.Parse(uri)
	switch {
	case err != nil || u.Scheme == "":
		return errors.New("must be an absolute URI")
	case strings.ContainsAny(uri, "#*\\ \t\r\n") || u.User != nil:
		return errors.New("must have no fragment, user, wildcard or space")
	case (u.Scheme == "https" || u.Scheme == "http") && !hostPattern.MatchString(u.Host):
		return errors.New("must name a host")
	case u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	case strings.Contains(u.Scheme, "."):
		return nil
	default:
		return errors.New("must be https, http on a loopback address, or a scheme in reverse domain notation")
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// AllowsRedirect reports whether users may be sent to a URI. It must be registered
// exactly so. Only the port may differ, where the URI leads to a program on the user's
// own machine (RFC 8252 section 7.3).
func (c Client) AllowsRedirect(uri string) bool {
	if slices.Contains(c.RedirectURIs, uri) {
		return true
	}
	requested, err := url.Parse(uri)
	if err != nil || !isLoopbackIP(requested) {
		return false
	}
	return slices.ContainsFunc(c.RedirectURIs, func(registered string) bool {
		known, err := url.Parse(registered)
		return err == nil && isLoopbackIP(known) && withoutPort(uri, requested) == withoutPort(registered, known)
	})
}

// isLoopbackIP reports whether a URI has a literal loopback address. A name could
// resolve to another address.
func isLoopbackIP(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "http" && ip != nil && ip.IsLoopback()
}

// withoutPort removes the port from a URI's text, and nothing else.
func withoutPort(uri string, u *url.URL) string {
	if u.Port() == "" {
		return uri
	}
	// Within the host, as the address itself may contain the same text: [::1]:1.
	return strings.Replace(uri, u.Host, strings.TrimSuffix(u.Host, ":"+u.Port()), 1)
}

// Apply returns c with the fields of the mask set from the patch.
func (c Client) Apply(patch Client, mask []string) (Client, error) {
	after, err := kind.Fields.Apply(c, patch, mask)
	if err != nil {
		return c, err
	}
	return after, after.Validate()
}
