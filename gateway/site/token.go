package site

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/gatehouse/gatehouse/platform/fault"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// tokens serves the OAuth endpoints for programs.
type tokens struct {
	auth grpc.ClientConnInterface
	// issuer is the public URL of the gateway.
	issuer string
	view   view
}

func (t tokens) client() authv1.OAuthServiceClient { return authv1.NewOAuthServiceClient(t.auth) }

// issue handles a token request (RFC 6749 section 3.2).
func (t tokens) issue(w http.ResponseWriter, r *http.Request) {
	p, client, err := readClient(w, r)
	if err != nil {
		t.refuse(w, r, err)
		return
	}
	issued, err := t.client().IssueToken(r.Context(), &authv1.IssueTokenRequest{
		Client: client, GrantType: p["grant_type"], Code: p["code"], RedirectUri: p["redirect_uri"],
		CodeVerifier: p["code_verifier"], RefreshToken: p["refresh_token"], Scope: p["scope"],
	})
	if err != nil {
		t.refuse(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, struct {
		AccessToken  string `json:"access_token"`
		TokenType    string `json:"token_type"`
		ExpiresIn    int32  `json:"expires_in"`
		RefreshToken string `json:"refresh_token,omitempty"`
		IDToken      string `json:"id_token,omitempty"`
		Scope        string `json:"scope"`
	}{issued.GetAccessToken(), "Bearer", issued.GetExpiresIn(), issued.GetRefreshToken(), issued.GetIdToken(), issued.GetScope()})
}

// introspect describes a token to a client (RFC 7662).
func (t tokens) introspect(w http.ResponseWriter, r *http.Request) {
	p, client, err := readClient(w, r)
	if err != nil {
		t.refuse(w, r, err)
		return
	}
	token, err := t.client().IntrospectToken(r.Context(), &authv1.ClientTokenRequest{Client: client, Token: p["token"]})
	if err != nil {
		t.refuse(w, r, err)
		return
	}
	if !token.GetActive() {
		writeJSON(w, http.StatusOK, map[string]bool{"active": false})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"active": true, "scope": token.GetScope(), "client_id": client.GetClientId(), "token_type": token.GetTokenType(),
		"exp": token.GetExp(), "iat": token.GetIat(), "sub": token.GetSub(), "org": token.GetOrg(), "iss": t.issuer,
	})
}

// revoke revokes a token (RFC 7009).
func (t tokens) revoke(w http.ResponseWriter, r *http.Request) {
	p, client, err := readClient(w, r)
	if err == nil && p["token"] == "" {
		err = fault.New(faultv1.Reason_REASON_OAUTH_INVALID_REQUEST, "token is missing")
	}
	if err == nil {
		_, err = t.client().RevokeToken(r.Context(), &authv1.ClientTokenRequest{Client: client, Token: p["token"]})
	}
	if err != nil {
		t.refuse(w, r, err)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// userInfo describes the user of an access token (OpenID Connect Core 1.0 section
// 5.3).
func (t tokens) userInfo(w http.ResponseWriter, r *http.Request) {
	ctx := metadata.AppendToOutgoingContext(r.Context(), "authorization", r.Header.Get("Authorization"))
	u, err := t.client().GetUserInfo(ctx, &authv1.GetUserInfoRequest{})
	if err != nil {
		t.view.fail(w, r, err)
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

// readClient returns the form that an OAuth client sent, and the credentials of the
// client. They are in a header or in the form, not in both (RFC 6749 section 2.3.1).
func readClient(w http.ResponseWriter, r *http.Request) (map[string]string, *authv1.ClientCredentials, error) {
	values, err := readForm(w, r)
	if err != nil {
		return nil, nil, err
	}
	p, err := single(values)
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

// basicClient reads the id and the secret of a client from a header. Both are encoded
// as in a form.
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

// refuse responds with an error of OAuth (RFC 6749 section 5.2).
func (t tokens) refuse(w http.ResponseWriter, r *http.Request, err error) {
	problem := t.view.problem(r, err)
	status := statusOf(problem)
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="gatehouse"`)
	}
	fault.SetRetryAfter(w.Header(), problem)
	writeJSON(w, status, map[string]string{"error": oauthError(problem.Reason(), status), "error_description": ascii(problem.Detail())})
}

// oauthError returns the error code of OAuth for a reason (RFC 6749 section 5.2).
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

// ascii replaces the characters that an error description may not have.
func ascii(text string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return '\''
		}
		return c
	}, text)
}
