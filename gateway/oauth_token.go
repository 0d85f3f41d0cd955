package gateway

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc/metadata"

	"github.com/gatehouse/gatehouse/platform/fault"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// token answers a token request (RFC 6749 section 3.2).
func (g *Gateway) token(w http.ResponseWriter, r *http.Request) {
	p, client, err := readClient(w, r)
	if err != nil {
		g.refuseClient(w, r, err)
		return
	}
	tokens, err := g.provider().IssueToken(r.Context(), &authv1.IssueTokenRequest{
		Client: client, GrantType: p["grant_type"], Code: p["code"], RedirectUri: p["redirect_uri"],
		CodeVerifier: p["code_verifier"], RefreshToken: p["refresh_token"], Scope: p["scope"],
	})
	if err != nil {
		g.refuseClient(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, struct {
		AccessToken  string `json:"access_token"`
		TokenType    string `json:"token_type"`
		ExpiresIn    int32  `json:"expires_in"`
		RefreshToken string `json:"refresh_token,omitempty"`
		IDToken      string `json:"id_token,omitempty"`
		Scope        string `json:"scope"`
	}{tokens.GetAccessToken(), "Bearer", tokens.GetExpiresIn(), tokens.GetRefreshToken(), tokens.GetIdToken(), tokens.GetScope()})
}

// introspect tells a client about a token (RFC 7662).
func (g *Gateway) introspect(w http.ResponseWriter, r *http.Request) {
	p, client, err := readClient(w, r)
	if err != nil {
		g.refuseClient(w, r, err)
		return
	}
	told, err := g.provider().IntrospectToken(r.Context(), &authv1.ClientTokenRequest{Client: client, Token: p["token"]})
	if err != nil {
		g.refuseClient(w, r, err)
		return
	}
	if !told.GetActive() {
		writeJSON(w, http.StatusOK, map[string]bool{"active": false})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"active": true, "scope": told.GetScope(), "client_id": client.GetClientId(), "token_type": told.GetTokenType(),
		"exp": told.GetExp(), "iat": told.GetIat(), "sub": told.GetSub(), "org": told.GetOrg(), "iss": g.config.PublicURL,
	})
}

// revokeToken ends a token (RFC 7009).
func (g *Gateway) revokeToken(w http.ResponseWriter, r *http.Request) {
	p, client, err := readClient(w, r)
	if err == nil && p["token"] == "" {
		err = fault.New(faultv1.Reason_REASON_OAUTH_INVALID_REQUEST, "token is missing")
	}
	if err == nil {
		_, err = g.provider().RevokeToken(r.Context(), &authv1.ClientTokenRequest{Client: client, Token: p["token"]})
	}
	if err != nil {
		g.refuseClient(w, r, err)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// userInfo answers who a token speaks for (OpenID Connect Core 1.0 section 5.3).
func (g *Gateway) userInfo(w http.ResponseWriter, r *http.Request) {
	ctx := metadata.AppendToOutgoingContext(r.Context(), "authorization", r.Header.Get("Authorization"))
	u, err := g.provider().GetUserInfo(ctx, &authv1.GetUserInfoRequest{})
	if err != nil {
		g.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, struct {
		Sub           string  `json:"sub"`
		Name          *string `json:"name,omitempty"`
		Locale        *string `json:"locale,omitempty"`
		UpdatedAt     *int64  `json:"updated_at,omitempty"`
		Email         *string `json:"email,omitempty"`
		EmailVerified *bool   `json:"email_verified,omitempty"`
	}{u.GetSub(), u.Name, u.Locale, u.UpdatedAt, u.Email, u.EmailVerified})
}

// readClient reads the form that a client's program sent, and how it authenticates:
// by header or by form, not both (RFC 6749 section 2.3.1).
func readClient(w http.ResponseWriter, r *http.Request) (map[string]string, *authv1.ClientCredentials, error) {
	values, err := readValues(w, r)
	if err != nil {
		return nil, nil, err
	}
	p, err := once(values)
	if err != nil {
		return nil, nil, err
	}
	header := r.Header.Get("Authorization")
	if header == "" {
		return p, &authv1.ClientCredentials{ClientId: p["client_id"], ClientSecret: p["client_secret"]}, nil
	}
	client, ok := basicClient(header)
	if !ok || p["client_secret"] != "" || p["client_id"] != "" && p["client_id"] != client.GetClientId() {
		return nil, nil, fault.New(faultv1.Reason_REASON_OAUTH_INVALID_CLIENT, "the client authenticates in one way, by Basic or by form")
	}
	return p, client, nil
}

// basicClient reads a client's id and secret, each of which is encoded as in a form.
func basicClient(header string) (*authv1.ClientCredentials, bool) {
	scheme, rest, _ := strings.Cut(header, " ")
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest))
	if err != nil || !strings.EqualFold(scheme, "Basic") {
		return nil, false
	}
	name, secret, found := strings.Cut(string(raw), ":")
	id, errID := url.QueryUnescape(name)
	password, errSecret := url.QueryUnescape(secret)
	if !found || errID != nil || errSecret != nil || !utf8.ValidString(id+password) {
		return nil, false
	}
	return &authv1.ClientCredentials{ClientId: id, ClientSecret: password}, true
}

// refuseClient answers an error as clients read it (RFC 6749 section 5.2).
func (g *Gateway) refuseClient(w http.ResponseWriter, r *http.Request, err error) {
	problem := fault.From(err)
	exchangeOf(r.Context()).fault = problem
	status := fault.SpecOf(problem.Reason()).HTTPStatus
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="gatehouse"`)
	}
	fault.SetRetryAfter(w.Header(), problem)
	writeJSON(w, status, map[string]string{"error": oauthError(problem.Reason(), status), "error_description": ascii(problem.Detail())})
}

// oauthError is the code of a reason in RFC 6749 section 5.2.
func oauthError(reason faultv1.Reason, status int) string {
	codes := map[faultv1.Reason]string{
		faultv1.Reason_REASON_OAUTH_INVALID_CLIENT:         "invalid_client",
		faultv1.Reason_REASON_OAUTH_INVALID_GRANT:          "invalid_grant",
		faultv1.Reason_REASON_OAUTH_UNAUTHORIZED_CLIENT:    "unauthorized_client",
		faultv1.Reason_REASON_OAUTH_UNSUPPORTED_GRANT_TYPE: "unsupported_grant_type",
		faultv1.Reason_REASON_OAUTH_INVALID_SCOPE:          "invalid_scope",
	}
	switch code, known := codes[reason]; {
	case known:
		return code
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		return "temporarily_unavailable"
	case status >= http.StatusInternalServerError:
		return "server_error"
	default:
		return "invalid_request"
	}
}

// ascii leaves what an error description may hold.
func ascii(text string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return '\''
		}
		return c
	}, text)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	raw, err := json.Marshal(body)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	defer writeDeadline(w)()
	w.WriteHeader(status)
	_, _ = w.Write(raw) // a client that goes away is its own business
}
