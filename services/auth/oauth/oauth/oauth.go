// Package oauth is the room of the OAuth 2.0 and OpenID Connect provider: it gives
// the clients of package oauthclient tokens by which they act for users who let
// them, or for their own organization.
//
// It is the narrow part that RFC 9700 leaves: authorization code with PKCE (S256,
// for every client), refresh and client credentials; no implicit and no password
// grant. Whatever can be used once is used up by one SQL statement (package
// migrations): a code or ticket that comes twice finds nothing. A code that comes
// back, as a refresh token does, has two holders, and ends the session that it
// opened.
//
// The endpoints and pages themselves are the gateway's.
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
	// consentTTL is how long a user may think about the question.
	consentTTL = 10 * time.Minute
)

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

// parseScopes reads a scope parameter. Without one it is all that the client is
// registered for (RFC 6749 section 3.3).
func parseScopes(parameter string, registered []string) ([]string, error) {
	asked := strings.Fields(parameter)
	if len(asked) == 0 {
		return registered, nil
	}
	slices.Sort(asked)
	asked = slices.Compact(asked)
	for _, scope := range asked {
		if !slices.Contains(registered, scope) {
			return nil, fault.New(faultv1.Reason_REASON_OAUTH_INVALID_SCOPE, "%q is no scope that may be asked for here", scope)
		}
	}
	return asked, nil
}

// addParameters adds parameters that have a value to a redirect URI, beside those that it
// has.
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

// destination is the origin of a registered URI, or the scheme of a program's own.
func destination(uri string) string {
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
