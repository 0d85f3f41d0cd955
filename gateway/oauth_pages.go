package gateway

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"
	"google.golang.org/grpc/metadata"

	"github.com/gatehouse/gatehouse/gateway/pages"
	"github.com/gatehouse/gatehouse/platform/fault"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// loginCookie says who is signed in at the provider's pages. Browsers bring it along
// when a client's page sends them here, and to nothing else of ours.
const loginCookie = "gh_oauth"

// authorize answers an authorization request (RFC 6749 section 4.1.1).
func (g *Gateway) authorize(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		// By another site's form, with which no cookie comes: as if by a link.
		values, err := readValues(w, r)
		if err != nil {
			g.refuseOnPage(w, r, err)
			return
		}
		http.Redirect(w, r, pathAuthorize+"?"+values.Encode(), http.StatusSeeOther)
		return
	}
	outcome, err := g.askProvider(r, r.URL.RawQuery, cookieValue(r, loginCookie))
	if err != nil {
		g.refuseOnPage(w, r, err)
		return
	}
	switch outcome := outcome.GetOutcome().(type) {
	case *authv1.AuthorizeResponse_RedirectUri:
		redirectOut(w, outcome.RedirectUri)
	case *authv1.AuthorizeResponse_SignIn:
		g.showSignIn(w, r, http.StatusOK, outcome.SignIn, pages.SignIn{Request: r.URL.RawQuery})
	case *authv1.AuthorizeResponse_Consent:
		g.showOAuth(w, r, http.StatusOK, g.site.Consent(outcome.Consent), outcome.Consent.GetDestination())
	}
}

// askProvider has auth decide on a request, for whoever is signed in by a login.
func (g *Gateway) askProvider(r *http.Request, query, login string) (*authv1.AuthorizeResponse, error) {
	values, err := parseValues(query)
	if err != nil {
		return nil, err
	}
	p, err := once(values)
	if err != nil {
		return nil, err
	}
	return g.provider().Authorize(r.Context(), &authv1.AuthorizeRequest{ //nolint:wrapcheck // a status, which becomes a fault
		Login: login, ClientId: p["client_id"], RedirectUri: p["redirect_uri"], ResponseType: p["response_type"],
		ResponseMode: p["response_mode"], Scope: p["scope"], State: p["state"], Nonce: p["nonce"],
		CodeChallenge: p["code_challenge"], CodeChallengeMethod: p["code_challenge_method"], Prompt: p["prompt"],
		MaxAge: p["max_age"], RequestObject: p["request"] + p["request_uri"],
	})
}

// signInPage takes the address and password of the sign-in page.
func (g *Gateway) signInPage(w http.ResponseWriter, r *http.Request) {
	g.takeSignIn(w, r, func(values url.Values) (*authv1.TokenResponse, error) {
		return g.sessions().SignIn(r.Context(), &authv1.SignInRequest{Email: values.Get("email"), Password: values.Get("password")})
	})
}

// secondFactorPage takes the code that a sign-in lacked.
func (g *Gateway) secondFactorPage(w http.ResponseWriter, r *http.Request) {
	g.takeSignIn(w, r, func(values url.Values) (*authv1.TokenResponse, error) {
		return g.sessions().SignInMfa(r.Context(), &authv1.SignInMfaRequest{
			ChallengeId: values.Get("challenge"), Code: strings.ReplaceAll(values.Get("code"), " ", ""),
		})
	})
}

// takeSignIn signs a browser in by what its page sent, and goes on with the request
// that it was for.
func (g *Gateway) takeSignIn(w http.ResponseWriter, r *http.Request, signIn func(url.Values) (*authv1.TokenResponse, error)) {
	values, err := g.readForm(w, r)
	if err != nil {
		g.refuseOnPage(w, r, err)
		return
	}
	// Only a request that is right leads to the page, and on from it.
	outcome, err := g.askProvider(r, values.Get("request"), "")
	if err != nil {
		g.refuseOnPage(w, r, err)
		return
	}
	prompt := outcome.GetSignIn()
	if prompt == nil {
		redirectOut(w, outcome.GetRedirectUri())
		return
	}
	page := pages.SignIn{Request: values.Get("request"), Email: values.Get("email"), Methods: values["method"]}
	tokens, err := signIn(values)
	if err != nil {
		problem := fault.From(err)
		exchangeOf(r.Context()).fault = problem
		page.Problem = problem.Detail()
		if problem.Reason() == faultv1.Reason_REASON_FACTOR_INVALID {
			page.Challenge = values.Get("challenge")
		}
		g.showSignIn(w, r, fault.SpecOf(problem.Reason()).HTTPStatus, prompt, page)
		return
	}
	if tokens.GetMfaChallenge() != nil {
		page.Challenge, page.Methods = tokens.GetMfaChallenge().GetId(), tokens.GetMfaChallenge().GetMethods()
		g.showSignIn(w, r, http.StatusOK, prompt, page)
		return
	}
	if err := g.keepLogin(w, r, "Bearer "+tokens.GetAccessToken()); err != nil {
		g.refuseOnPage(w, r, err)
		return
	}
	sendOn(w, signedIn(values.Get("request")))
}

func (g *Gateway) sessions() authv1.SessionServiceClient {
	return authv1.NewSessionServiceClient(g.auth.conn)
}

// login makes a session that a page of ours has the browser's at the provider's
// pages, for who signed in elsewhere on this origin.
func (g *Gateway) login(w http.ResponseWriter, r *http.Request) {
	if err := g.forms.origin.Check(r); err != nil {
		g.fail(w, r, fault.Wrap(err, faultv1.Reason_REASON_PERMISSION_DENIED, "this is for this site's own pages alone"))
		return
	}
	if err := g.keepLogin(w, r, r.Header.Get("Authorization")); err != nil {
		g.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// keepLogin makes the session of an access token the browser's.
func (g *Gateway) keepLogin(w http.ResponseWriter, r *http.Request, authorization string) error {
	ctx := metadata.AppendToOutgoingContext(r.Context(), "authorization", authorization)
	opened, err := g.provider().OpenLogin(ctx, &authv1.OpenLoginRequest{})
	if err != nil {
		return err //nolint:wrapcheck // a status, which becomes a fault
	}
	g.setLogin(w, opened.GetLogin(), time.Duration(opened.GetExpiresIn())*time.Second)
	return nil
}

func (g *Gateway) setLogin(w http.ResponseWriter, value string, life time.Duration) {
	c := g.cookie(loginCookie, value, "/oauth2", life) //nolint:gosec // Secure wherever there is TLS
	// Lax: a client's page is another site, and sends the browser here.
	c.HttpOnly, c.SameSite = true, http.SameSiteLaxMode
	http.SetCookie(w, c)
}

// signedIn goes on with a request whose user has signed in, which it asks for no
// more.
func signedIn(query string) string {
	values, err := url.ParseQuery(query)
	if err != nil {
		return pathAuthorize // askProvider refuses it
	}
	prompts := slices.DeleteFunc(strings.Fields(values.Get("prompt")), func(p string) bool { return p == "login" || p == "select_account" })
	if values.Del("prompt"); len(prompts) > 0 {
		values.Set("prompt", strings.Join(prompts, " "))
	}
	if values.Get("max_age") == "0" { // the same as prompt=login
		values.Del("max_age")
	}
	return pathAuthorize + "?" + values.Encode()
}

// consentPage takes the user's answer. The ticket is known to its page alone, so
// that no other site's form can give it.
func (g *Gateway) consentPage(w http.ResponseWriter, r *http.Request) {
	values, err := g.readForm(w, r)
	if err != nil {
		g.refuseOnPage(w, r, err)
		return
	}
	decided, err := g.provider().DecideConsent(r.Context(), &authv1.DecideConsentRequest{
		Login: cookieValue(r, loginCookie), Ticket: values.Get("ticket"), Allow: values.Get("decision") == "allow",
	})
	if err != nil {
		g.refuseOnPage(w, r, err)
		return
	}
	redirectOut(w, decided.GetRedirectUri())
}

// endSession signs the browser out (OpenID Connect RP-Initiated Logout 1.0).
func (g *Gateway) endSession(w http.ResponseWriter, r *http.Request) {
	values, err := parseValues(r.URL.RawQuery)
	if r.Method == http.MethodPost {
		values, err = readValues(w, r)
	}
	if err != nil {
		g.refuseOnPage(w, r, err)
		return
	}
	confirmed := r.Method == http.MethodPost && values.Get("confirm") == "yes" && g.forms.origin.Check(r) == nil
	values.Del("confirm")
	p, err := once(values)
	if err != nil {
		g.refuseOnPage(w, r, err)
		return
	}
	ended, err := g.provider().EndLogin(r.Context(), &authv1.EndLoginRequest{
		Login: cookieValue(r, loginCookie), IdTokenHint: p["id_token_hint"], ClientId: p["client_id"],
		PostLogoutRedirectUri: p["post_logout_redirect_uri"], State: p["state"], Confirmed: confirmed,
	})
	switch {
	case err != nil:
		g.refuseOnPage(w, r, err)
	case ended.GetConfirm():
		g.showOAuth(w, r, http.StatusOK, g.site.SignOut(p), ended.GetDestination())
	default:
		g.setLogin(w, "", -1)
		if ended.GetRedirectUri() != "" {
			redirectOut(w, ended.GetRedirectUri())
			return
		}
		g.showOAuth(w, r, http.StatusOK, g.site.SignedOut(), "")
	}
}

func (g *Gateway) showSignIn(w http.ResponseWriter, r *http.Request, status int, prompt *authv1.SignInPrompt, page pages.SignIn) {
	page.Client, page.ReturnTo = prompt.GetClientDisplayName(), signedIn(page.Request)
	offer, err := authv1.NewConfigServiceClient(g.auth.conn).GetConfig(r.Context(), &authv1.GetConfigRequest{})
	if err != nil {
		g.refuseOnPage(w, r, err)
		return
	}
	page.Providers = offer.GetProviders()
	g.showOAuth(w, r, status, g.site.SignIn(page), prompt.GetDestination())
}

// showOAuth answers a page whose form may lead to the destination, where the
// client's answer goes: browsers hold redirects after a form to the policy too.
func (g *Gateway) showOAuth(w http.ResponseWriter, r *http.Request, status int, page templ.Component, destination string) {
	policy := scriptPolicy
	if destination != "" {
		policy = strings.Replace(policy, "form-action 'self'", "form-action 'self' "+destination, 1)
	}
	g.showPage(w, r, page, policy, status)
}

// refuseOnPage says on a page what is wrong, and sends nobody anywhere.
func (g *Gateway) refuseOnPage(w http.ResponseWriter, r *http.Request, err error) {
	problem := fault.From(err)
	exchangeOf(r.Context()).fault = problem
	fault.SetRetryAfter(w.Header(), problem)
	g.showOAuth(w, r, fault.SpecOf(problem.Reason()).HTTPStatus, g.site.Refused(problem.Detail()), "")
}

// redirectOut sends a browser to a client. It is no link of a page: whatever the
// URI holds, nothing of it is escaped or written out.
func redirectOut(w http.ResponseWriter, uri string) {
	w.Header().Set("Location", uri)
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(http.StatusSeeOther)
}

// cookieValue is the one cookie of a name. Of two, one was set by a neighboring host
// for all of the domain, and may be anybody's.
func cookieValue(r *http.Request, name string) string {
	cookies := r.CookiesNamed(name)
	if len(cookies) != 1 {
		return ""
	}
	return cookies[0].Value
}
