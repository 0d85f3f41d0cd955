package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse/gatehouse/platform/fault"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// Where the OAuth provider answers. The pages are for people and need no script;
// the rest is for programs.
const (
	pathAuthorize  = "/oauth2/authorize"
	pathSignIn     = "/oauth2/sign-in"
	pathSecond     = "/oauth2/second-factor"
	pathConsent    = "/oauth2/consent"
	pathLogin      = "/oauth2/login"
	pathEndSession = "/oauth2/end-session"
	pathToken      = "/oauth2/token" //nolint:gosec // a path
	pathIntrospect = "/oauth2/introspect"
	pathRevoke     = "/oauth2/revoke"
	pathUserInfo   = "/oauth2/userinfo"
)

// endpoint is one path of the provider.
type endpoint struct {
	methods []string
	serve   func(w http.ResponseWriter, r *http.Request)
}

func (g *Gateway) oauthEndpoints() map[string]endpoint {
	// No HEAD: what these do, asking for their headers alone must not.
	pages, programs := []string{http.MethodGet, http.MethodPost}, []string{http.MethodPost}
	return map[string]endpoint{
		pathAuthorize:  {pages, g.authorize},
		pathSignIn:     {programs, g.signInPage},
		pathSecond:     {programs, g.secondFactorPage},
		pathConsent:    {programs, g.consentPage},
		pathLogin:      {programs, g.login},
		pathEndSession: {pages, g.endSession},
		pathToken:      {programs, g.token},
		pathIntrospect: {programs, g.introspect},
		pathRevoke:     {programs, g.revokeToken},
		pathUserInfo:   {pages, g.userInfo},
	}
}

// serveOAuth answers when the path is one of the provider's, and reports whether it
// is.
func (g *Gateway) serveOAuth(w http.ResponseWriter, r *http.Request) bool {
	e, ok := g.oauth[r.URL.Path]
	if !ok {
		return false
	}
	exchangeOf(r.Context()).route = r.URL.Path
	switch {
	case slices.Contains(e.methods, r.Method):
		w.Header().Set("Cache-Control", "no-store")
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		e.serve(w, r.WithContext(ctx))
	case r.Method == http.MethodOptions:
		w.Header().Set("Allow", strings.Join(e.methods, ", "))
		w.WriteHeader(http.StatusNoContent)
	default:
		allowed := strings.Join(e.methods, ", ")
		w.Header().Set("Allow", allowed)
		g.fail(w, r, fault.New(faultv1.Reason_REASON_METHOD_NOT_ALLOWED, "this path has %s", allowed))
	}
	return true
}

func (g *Gateway) provider() authv1.OAuthServiceClient {
	return authv1.NewOAuthServiceClient(g.auth.conn)
}

// metadataPage is what clients read before anything else (OpenID Connect Discovery
// 1.0, RFC 8414).
func metadataPage(publicURL string) (document, error) {
	at := func(path string) string { return publicURL + path }
	ways := []string{"client_secret_basic", "client_secret_post"}
	body, err := json.Marshal(map[string]any{
		"issuer":                                         publicURL,
		"authorization_endpoint":                         at(pathAuthorize),
		"token_endpoint":                                 at(pathToken),
		"introspection_endpoint":                         at(pathIntrospect),
		"revocation_endpoint":                            at(pathRevoke),
		"userinfo_endpoint":                              at(pathUserInfo),
		"end_session_endpoint":                           at(pathEndSession),
		"jwks_uri":                                       at("/.well-known/jwks.json"),
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query"},
		"grant_types_supported":                          []string{"authorization_code", "refresh_token", "client_credentials"},
		"code_challenge_methods_supported":               []string{"S256"},
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          []string{"EdDSA"},
		"token_endpoint_auth_methods_supported":          append(slices.Clone(ways), "none"),
		"introspection_endpoint_auth_methods_supported":  ways,
		"revocation_endpoint_auth_methods_supported":     append(slices.Clone(ways), "none"),
		"scopes_supported":                               []string{"openid", "profile", "email", "offline_access"},
		"claims_supported":                               []string{"sub", "name", "locale", "updated_at", "email", "email_verified", "auth_time", "amr", "sid"},
		"prompt_values_supported":                        []string{"none", "login", "consent", "select_account"},
		"request_parameter_supported":                    false,
		"request_uri_parameter_supported":                false,
		"authorization_response_iss_parameter_supported": true,
	})
	if err != nil {
		return document{}, fmt.Errorf("pages: %w", err)
	}
	return document{contentType: "application/json", body: body}, nil
}

// once returns the parameters of a request that must not repeat any (RFC 6749
// section 3.1).
func once(values url.Values) (map[string]string, error) {
	out := make(map[string]string, len(values))
	for name, all := range values {
		if len(all) != 1 {
			return nil, fault.New(faultv1.Reason_REASON_OAUTH_INVALID_REQUEST, "the parameter %.64q is repeated", name)
		}
		out[name] = all[0]
	}
	return out, nil
}
