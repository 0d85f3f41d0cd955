package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/gatehouse/gatehouse/gateway/site"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/origin"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// csrfHeader is a header that the form of a foreign page cannot send.
const csrfHeader = "X-Gatehouse-Csrf"

// browserSessions moves the refresh tokens of browsers between the messages of the REST
// routes and cookies.
type browserSessions struct {
	origins origins
	cookies site.Cookies
}

// cookieSession is a session that its browser keeps in cookies.
type cookieSession struct {
	// generation is the number of the browser's refresh token.
	generation uint64
}

// sessionFields are the fields of a request about its session.
type sessionFields struct {
	Session      string `json:"session"`
	RefreshToken string `json:"refreshToken"`
}

// prepare handles a request that keeps its session in a cookie. It checks the origin of
// the request, and adds the refresh token from the cookie, which the page cannot read.
func (b browserSessions) prepare(r *http.Request, route *route) error {
	x := exchangeOf(r.Context())
	if !keepsSession(route) || !bytes.Contains(x.body, []byte(authv1.TokenResponse_COOKIE.String())) {
		return nil
	}
	var fields sessionFields
	_ = json.Unmarshal(x.body, &fields) // the decoder of the whole body reports its errors
	if fields.Session != authv1.TokenResponse_COOKIE.String() {
		return nil
	}
	from := r.Header.Get("Origin")
	if from != "" && !b.trusts(r, from) {
		return fault.New(faultv1.Reason_REASON_PERMISSION_DENIED, "pages of this origin may not keep a session here")
	}
	x.session = &cookieSession{generation: site.Generation(r)}
	if !needsToken(route) || fields.RefreshToken != "" {
		return nil
	}
	if r.Header.Get(csrfHeader) != "1" || from == "" {
		return fault.New(faultv1.Reason_REASON_PERMISSION_DENIED, "a request with the cookie needs the header X-Gatehouse-CSRF: 1 and an allowed origin")
	}
	token := site.RefreshToken(r)
	if token == "" {
		return fault.New(faultv1.Reason_REASON_REFRESH_TOKEN_INVALID, "sign in again")
	}
	return addRefreshToken(r, x, token)
}

// keepsSession reports whether the request of a route states how its session is kept.
func keepsSession(route *route) bool {
	field := route.input.Fields().ByName("session")
	return field != nil && field.Enum() == authv1.TokenResponse_COOKIE.Descriptor()
}

// needsToken reports whether the request of a route has a refresh token.
func needsToken(route *route) bool {
	return route.input.Fields().ByName("refresh_token") != nil
}

// trusts reports whether pages of an origin belong to this installation: the origin is
// listed, or it is that of the host to which the request was sent. The cookie is bound
// to that host.
func (b browserSessions) trusts(r *http.Request, from string) bool {
	if b.origins[from] {
		return true
	}
	u, err := url.Parse(from)
	return err == nil && origin.Valid(from) && strings.EqualFold(u.Host, r.Host)
}

// addRefreshToken adds a token to the body of a request.
func addRefreshToken(r *http.Request, x *exchange, token string) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(x.body, &fields); err != nil {
		return fault.Wrap(err, faultv1.Reason_REASON_INVALID_ARGUMENT, "the body is not JSON")
	}
	raw, err := json.Marshal(token)
	if err != nil {
		return fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "the request cannot be made")
	}
	fields["refreshToken"] = raw
	body, err := json.Marshal(fields)
	if err != nil {
		return fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "the request cannot be made")
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return nil
}

// respond moves the secret of a response into a cookie. At sign-out it deletes the
// cookies. grpc-gateway calls it before it encodes the response.
func (b browserSessions) respond(ctx context.Context, w http.ResponseWriter, message proto.Message) error {
	x := exchangeOf(ctx)
	if x.session == nil {
		return nil
	}
	switch response := message.(type) {
	case *authv1.TokenResponse:
		if response.GetRefreshToken() == "" {
			return nil // a challenge: there is no session yet
		}
		b.cookies.SetSession(w, response.GetRefreshToken(), x.session.generation)
		response.RefreshToken = ""
	case *authv1.ProviderAttempt:
		purpose := site.ToSignIn
		if x.method.service == authv1.IdentityService_ServiceDesc.ServiceName {
			purpose = site.ToLink
		}
		b.cookies.SetAttempt(w, purpose, response)
	case *authv1.SignOutResponse:
		b.cookies.DeleteSession(w)
	}
	return nil
}
