package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/origin"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// Pages in a browser keep their session in a cookie that no script can read: a
// script that got into the page could carry a refresh token away, but not a
// cookie. Only what makes, refreshes and ends sessions takes it, so that no other
// request is made with it by a foreign page.
const (
	// refreshCookie holds the refresh token; the browser sends it below authPath
	// alone.
	refreshCookie = "gh_refresh"
	authPath      = "/v1/auth"
	// generationCookie counts the refresh tokens. Pages may read it: one that finds
	// it moved on waits for the new token instead of sending the old one, which
	// would end the session.
	generationCookie = "gh_gen"
	// csrfHeader is one that no foreign page's form can send.
	csrfHeader = "X-Gatehouse-Csrf"
	// cookieLife is the life of a session without a new sign-in.
	cookieLife = 30 * 24 * time.Hour
)

// browserSession is what a request says of its session.
type browserSession struct {
	Session      string `json:"session"`
	RefreshToken string `json:"refreshToken"`
}

// takeCookie prepares a request that keeps its session in a cookie: it checks
// where it comes from, and gives it the token that the page cannot see.
func (g *Gateway) takeCookie(r *http.Request, route *route) error {
	x := exchangeOf(r.Context())
	if !keepsSession(route) || !bytes.Contains(x.body, []byte(authv1.TokenResponse_COOKIE.String())) {
		return nil
	}
	var asked browserSession
	_ = json.Unmarshal(x.body, &asked) // what is wrong with the body is told by whoever decodes all of it
	if asked.Session != authv1.TokenResponse_COOKIE.String() {
		return nil
	}
	origin := r.Header.Get("Origin")
	if origin != "" && !g.ownOrigin(r, origin) {
		return fault.New(faultv1.Reason_REASON_PERMISSION_DENIED, "pages of this origin may not keep a session here")
	}
	x.cookies = &cookies{generation: generationOf(r)}
	if !needsToken(route) || asked.RefreshToken != "" {
		return nil
	}
	if r.Header.Get(csrfHeader) != "1" || origin == "" {
		return fault.New(faultv1.Reason_REASON_PERMISSION_DENIED, "a request with the cookie needs the header X-Gatehouse-CSRF: 1 and an allowed origin")
	}
	token := cookieValue(r, refreshCookie)
	if token == "" {
		return fault.New(faultv1.Reason_REASON_REFRESH_TOKEN_INVALID, "sign in again")
	}
	return withRefreshToken(r, x, token)
}

// keepsSession tells whether a route's request says how its session is kept.
func keepsSession(route *route) bool {
	field := route.input.Fields().ByName("session")
	return field != nil && field.Enum() == authv1.TokenResponse_COOKIE.Descriptor()
}

// needsToken tells whether a route's request holds a refresh token.
func needsToken(route *route) bool {
	return route.input.Fields().ByName("refresh_token") != nil
}

// ownOrigin tells whether a request comes from a page of this installation: one
// of the listed origins, or of the host that it was sent to, which the cookie is
// bound to.
func (g *Gateway) ownOrigin(r *http.Request, from string) bool {
	if _, listed := g.origins[from]; listed {
		return true
	}
	u, err := url.Parse(from)
	return err == nil && origin.Valid(from) && strings.EqualFold(u.Host, r.Host)
}

// withRefreshToken adds the token to the body.
func withRefreshToken(r *http.Request, x *exchange, token string) error {
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

func generationOf(r *http.Request) uint64 {
	cookie, err := r.Cookie(generationCookie)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseUint(cookie.Value, 10, 32)
	if err != nil {
		return 0 // somebody wrote into it; any number that moves on will do
	}
	return n
}

// cookies say that an answer's secret goes into a cookie.
type cookies struct{ generation uint64 }

// setCookies moves the secret of an answer into its cookie, or takes the cookies back
// at sign-out.
func (g *Gateway) setCookies(ctx context.Context, w http.ResponseWriter, message proto.Message) error {
	x := exchangeOf(ctx)
	if x.cookies == nil {
		return nil
	}
	switch answer := message.(type) {
	case *authv1.TokenResponse:
		if answer.GetRefreshToken() == "" {
			return nil // a challenge: there is no session yet
		}
		http.SetCookie(w, g.cookie(refreshCookie, answer.GetRefreshToken(), authPath, cookieLife))
		http.SetCookie(w, g.cookie(generationCookie, strconv.FormatUint(x.cookies.generation+1, 10), "/", cookieLife))
		answer.RefreshToken = ""
	case *authv1.ProviderAttempt:
		purpose := toSignIn
		if x.method.service == authv1.IdentityService_ServiceDesc.ServiceName {
			purpose = toLink
		}
		g.setAttempt(w, purpose, answer)
	case *authv1.SignOutResponse:
		http.SetCookie(w, g.cookie(refreshCookie, "", authPath, -1))
		http.SetCookie(w, g.cookie(generationCookie, "", "/", -1))
	}
	return nil
}

// cookie is one of a session; a negative life takes it back.
func (g *Gateway) cookie(name, value, path string, life time.Duration) *http.Cookie {
	c := &http.Cookie{ //nolint:gosec // plain HTTP is for local alone, and pages read the generation
		Name: name, Value: value, Path: path, MaxAge: int(life.Seconds()), SameSite: http.SameSiteStrictMode,
		Secure: strings.HasPrefix(g.config.PublicURL, "https://"), HttpOnly: name == refreshCookie,
	}
	if life < 0 {
		c.MaxAge = -1
	}
	return c
}
