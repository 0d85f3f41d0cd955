// Package oauth is the room of the OAuth 2.0 and OpenID Connect provider. It issues
// tokens to the clients of package oauthclient. With them a client acts for a user who
// consented, or for its own organization.
//
// It implements the subset that RFC 9700 recommends: the authorization code flow with
// PKCE (S256, for every client), refresh tokens and client credentials, but neither the
// implicit nor the password grant. One SQL statement uses up everything that can be
// used once (package migrations), so a second use of a code or ticket finds nothing. A
// code that is presented again, like a refresh token, may have been stolen, and ends
// the session that it opened.
//
// The endpoints and pages are those of the gateway.
package oauth

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/proto/catalog"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/oauth/oauthclient"
)

const (
	// CodeTTL is how long an authorization code can be exchanged.
	CodeTTL = time.Minute
	// consentTTL is how long a user may take to answer a consent request.
	consentTTL = 10 * time.Minute
)

// describeScopes returns the descriptions of the scopes for users.
func describeScopes() map[string]string {
	out := map[string]string{
		oauthclient.ScopeOpenID:        "Know that it is you.",
		oauthclient.ScopeProfile:       "See your name, language and organizations.",
		oauthclient.ScopeEmail:         "See your e-mail address.",
		oauthclient.ScopeOfflineAccess: "Stay allowed while you are away.",
	}
	for _, p := range catalog.Permissions() {
		out[p.GetName()] = p.GetDescription()
	}
	return out
}

func invalidClient() error {
	return fault.New(faultv1.Reason_REASON_OAUTH_INVALID_CLIENT, "the client is unknown or its credentials are wrong")
}

// parseScopes reads a scope parameter. Without one, the result is all that the client
// is registered for (RFC 6749 section 3.3).
func parseScopes(parameter string, registered []string) ([]string, error) {
	requested := strings.Fields(parameter)
	if len(requested) == 0 {
		return registered, nil
	}
	slices.Sort(requested)
	requested = slices.Compact(requested)
	for _, scope := range requested {
		if !slices.Contains(registered, scope) {
			return nil, fault.New(faultv1.Reason_REASON_OAUTH_INVALID_SCOPE, "%q is not a scope that can be requested here", scope)
		}
	}
	return requested, nil
}

// addParameters adds the parameters that have a value to the query of a redirect URI.
func addParameters(redirectURI string, parameters map[string]string) (string, error) {
	u, err := url.Parse(redirectURI)
	if err != nil {
		return "", fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "the redirect URI cannot be read")
	}
	query := u.Query()
	for name, value := range parameters {
		if value != "" {
			query.Set(name, value)
		}
	}
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// displayOrigin returns the origin of a registered URI, or the scheme of a program's
// own.
func displayOrigin(uri string) string {
	u, err := url.Parse(uri)
	switch {
	case err != nil || u.Scheme == "":
		return ""
	case u.Scheme == "http" || u.Scheme == "https":
		return u.Scheme + "://" + u.Host
	default:
		return u.Scheme + ":"
	}
}

func invalidRequest(detail string) error {
	return fault.New(faultv1.Reason_REASON_OAUTH_INVALID_REQUEST, "%s", detail)
}

func invalidGrant() error {
	return fault.New(faultv1.Reason_REASON_OAUTH_INVALID_GRANT,
		"the code or token is wrong, was used, has expired, is another client's, or does not fit its verifier or redirect URI")
}
