package gateway

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"

	"github.com/gatehouse/gatehouse/platform/fault"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// A browser signs in by an identity provider in three steps: it opens the start
// route, which sends it to the provider with a cookie that only this browser has; it
// comes back to the callback, with that cookie and what the provider says; and it is
// sent on to where it wanted to go, signed in. Without the cookie what comes back is
// worth nothing, so that nobody can have another's browser signed in as themselves.
const (
	// attemptCookie holds the attempt's secret. It must come with a navigation from
	// another site, which the session's cookies must not.
	attemptCookie = "gh_attempt"
	providersPath = authPath + "/providers"
	attemptLife   = 10 * time.Minute

	startRoute    = providersPath + "/{provider}/start"
	callbackRoute = providersPath + "/{provider}/callback"
	// challengePath asks for the second factor.
	challengePath = "/account/challenge"
)

// What an attempt is for.
const (
	toSignIn = "sign-in"
	toLink   = "link"
)

// browserAttempt is what a browser has of an attempt.
type browserAttempt struct{ purpose, secret, returnTo string }

// text is the attempt in a cookie, of characters that a cookie may have.
func (a browserAttempt) text() string {
	return strings.Join([]string{a.purpose, a.secret, base64.RawURLEncoding.EncodeToString([]byte(a.returnTo))}, ".")
}

// attemptOf reads a browser's attempt; false when it has none.
func attemptOf(r *http.Request) (browserAttempt, bool) {
	parts := strings.Split(cookieValue(r, attemptCookie), ".")
	if len(parts) != 3 || (parts[0] != toSignIn && parts[0] != toLink) {
		return browserAttempt{}, false
	}
	returnTo, err := base64.RawURLEncoding.DecodeString(parts[2])
	return browserAttempt{purpose: parts[0], secret: parts[1], returnTo: string(returnTo)}, err == nil
}

// setAttempt moves the secret of an attempt into its cookie.
func (g *Gateway) setAttempt(w http.ResponseWriter, purpose string, attempt *authv1.ProviderAttempt) {
	value := browserAttempt{purpose: purpose, secret: attempt.GetSecret(), returnTo: attempt.GetReturnTo()}.text()
	http.SetCookie(w, g.attemptCookie(value, attemptLife))
	attempt.Secret = ""
}

func (g *Gateway) attemptCookie(value string, life time.Duration) *http.Cookie {
	c := g.cookie(attemptCookie, value, providersPath, life) //nolint:gosec // plain HTTP is for local alone
	c.SameSite, c.HttpOnly = http.SameSiteLaxMode, true
	return c
}

// localPath returns where on this origin a browser is sent at last: the path that was
// asked for if it is one, as the contract has it, or else the start page. A browser
// takes a backslash for a slash, leaves control characters out, and goes to another
// host for a path that begins with two slashes.
func localPath(path string) string {
	doubtful := strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f })
	if doubtful || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") {
		return "/"
	}
	return path
}

// providerRoutes are the routes that browsers navigate to.
func (g *Gateway) providerRoutes() map[string]runtime.HandlerFunc {
	return map[string]runtime.HandlerFunc{
		"GET " + startRoute:     g.navigation(startRoute, g.startProvider),
		"GET " + callbackRoute:  g.navigation(callbackRoute, g.finishProvider),
		"POST " + callbackRoute: g.navigation(callbackRoute, g.turnAround),
	}
}

// navigation is a route that answers a person, by a page when it fails.
func (g *Gateway) navigation(route string, serve func(ctx context.Context, w http.ResponseWriter, r *http.Request, provider string) error) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
		exchangeOf(r.Context()).route = route
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		if err := serve(ctx, w, r, params["provider"]); err != nil {
			problem := fault.From(err)
			exchangeOf(r.Context()).fault = problem
			g.showPage(w, r, g.site.NotSignedIn(problem.Detail()), formPolicy, fault.SpecOf(problem.Reason()).HTTPStatus)
		}
	}
}

// startProvider sends a browser to a provider.
func (g *Gateway) startProvider(ctx context.Context, w http.ResponseWriter, r *http.Request, provider string) error {
	query, err := parseValues(r.URL.RawQuery)
	if err != nil {
		return err
	}
	attempt, err := authv1.NewProviderServiceClient(g.auth.conn).BeginProviderSignIn(ctx, &authv1.BeginProviderSignInRequest{
		Provider: provider, ReturnTo: query.Get("returnTo"),
	})
	if err != nil {
		return err //nolint:wrapcheck // a status, which becomes a fault
	}
	g.setAttempt(w, toSignIn, attempt)
	sendOn(w, attempt.GetAuthorizationUrl())
	return nil
}

// turnAround takes an answer that a provider sends by a form, from its own page, and
// has the browser come back with it by itself: only then does it bring the cookie.
func (g *Gateway) turnAround(_ context.Context, w http.ResponseWriter, r *http.Request, _ string) error {
	sent, err := readValues(w, r)
	if err != nil {
		return err
	}
	query := url.Values{}
	for _, name := range []string{"state", "code", "iss", "error"} {
		if sent.Has(name) {
			query.Set(name, sent.Get(name))
		}
	}
	sendOn(w, r.URL.Path+"?"+query.Encode())
	return nil
}

// finishProvider takes what a provider says, and sends the browser on.
func (g *Gateway) finishProvider(ctx context.Context, w http.ResponseWriter, r *http.Request, provider string) error {
	attempt, found := attemptOf(r)
	http.SetCookie(w, g.attemptCookie("", -1))
	query, err := parseValues(r.URL.RawQuery)
	if err != nil {
		return err
	}
	if !found || query.Get("state") == "" || query.Get("code") == "" {
		return fault.Wrap(errors.New("gateway: the provider answers "+printable(query.Get("error"))),
			faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED, "this browser has not begun to sign in, or you did not agree to it there")
	}
	to := localPath(attempt.returnTo)
	if attempt.purpose == toLink {
		_, err := authv1.NewIdentityServiceClient(g.auth.conn).FinishIdentity(ctx, &authv1.FinishIdentityRequest{
			Provider: provider, State: query.Get("state"), Secret: attempt.secret, Code: query.Get("code"), Iss: query.Get("iss"),
		})
		if err != nil {
			return err //nolint:wrapcheck // a status, which becomes a fault
		}
		sendOn(w, to)
		return nil
	}
	tokens, err := authv1.NewProviderServiceClient(g.auth.conn).FinishProviderSignIn(ctx, &authv1.FinishProviderSignInRequest{
		Provider: provider, State: query.Get("state"), Secret: attempt.secret, Code: query.Get("code"), Iss: query.Get("iss"),
	})
	if err != nil {
		return err //nolint:wrapcheck // a status, which becomes a fault
	}
	return g.signIn(ctx, w, r, tokens, to)
}

// signIn gives a browser the session of tokens, or asks for what it still lacks.
func (g *Gateway) signIn(ctx context.Context, w http.ResponseWriter, r *http.Request, tokens *authv1.TokenResponse, to string) error {
	if challenge := tokens.GetMfaChallenge(); challenge != nil {
		sendOn(w, challengePath+"?"+url.Values{
			"code": {challenge.GetId()}, "returnTo": {to}, "methods": {strings.Join(challenge.GetMethods(), ",")},
		}.Encode())
		return nil
	}
	exchangeOf(ctx).cookies = &cookies{generation: generationOf(r)}
	if err := g.setCookies(ctx, w, tokens); err != nil {
		return err
	}
	if strings.HasPrefix(to, pathAuthorize+"?") {
		if err := g.keepLogin(w, r, "Bearer "+tokens.GetAccessToken()); err != nil {
			return err
		}
	}
	sendOn(w, to)
	return nil
}

// sendOn has a browser go on elsewhere, by GET.
func sendOn(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}
