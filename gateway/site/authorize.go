package site

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse/gatehouse/gateway/pages"
	"github.com/gatehouse/gatehouse/platform/fault"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// The paths of the OAuth provider. The pages need no script.
const (
	pathAuthorize    = "/oauth2/authorize"
	pathSignIn       = "/oauth2/sign-in"
	pathSecondFactor = "/oauth2/second-factor"
	pathConsent      = "/oauth2/consent"
	pathLogin        = "/oauth2/login"
	pathEndSession   = "/oauth2/end-session"
	pathToken        = "/oauth2/token" //nolint:gosec // a path
	pathIntrospect   = "/oauth2/introspect"
	pathRevoke       = "/oauth2/revoke"
	pathUserInfo     = "/oauth2/userinfo"
)

// authorization serves the pages of the OAuth provider.
type authorization struct {
	view    view
	session session
	// guard refuses the forms of other sites.
	guard *http.CrossOriginProtection
}

func (a authorization) client() authv1.OAuthServiceClient {
	return authv1.NewOAuthServiceClient(a.session.auth)
}

// authorize handles an authorization request (RFC 6749 section 4.1.1).
func (a authorization) authorize(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		// The form of another site, with which browsers send no cookie. Continue with GET.
		values, err := readForm(w, r)
		if err != nil {
			a.view.refuse(w, r, err)
			return
		}
		http.Redirect(w, r, pathAuthorize+"?"+values.Encode(), http.StatusSeeOther)
		return
	}
	response, err := a.ask(r.Context(), r.URL.RawQuery, cookieValue(r, loginCookie))
	if err != nil {
		a.view.refuse(w, r, err)
		return
	}
	switch outcome := response.GetOutcome().(type) {
	case *authv1.AuthorizeResponse_RedirectUri:
		redirectToClient(w, outcome.RedirectUri)
	case *authv1.AuthorizeResponse_SignIn:
		a.showSignIn(w, r, http.StatusOK, outcome.SignIn, pages.SignIn{Request: r.URL.RawQuery})
	case *authv1.AuthorizeResponse_Consent:
		a.view.showOAuth(w, r, http.StatusOK, a.view.pages.Consent(outcome.Consent), outcome.Consent.GetDestination())
	}
}

// ask calls the auth service, which decides on an authorization request for the user
// of a login. The login may be "".
func (a authorization) ask(ctx context.Context, query, login string) (*authv1.AuthorizeResponse, error) {
	values, err := parseValues(query)
	if err != nil {
		return nil, err
	}
	p, err := single(values)
	if err != nil {
		return nil, err
	}
	return a.client().Authorize(ctx, &authv1.AuthorizeRequest{
		Login: login, ClientId: p["client_id"], RedirectUri: p["redirect_uri"], ResponseType: p["response_type"],
		ResponseMode: p["response_mode"], Scope: p["scope"], State: p["state"], Nonce: p["nonce"],
		CodeChallenge: p["code_challenge"], CodeChallengeMethod: p["code_challenge_method"], Prompt: p["prompt"],
		MaxAge: p["max_age"], RequestObject: p["request"] + p["request_uri"],
	})
}

// signIn receives the email address and the password of the sign-in page.
func (a authorization) signIn(w http.ResponseWriter, r *http.Request) {
	a.submitSignIn(w, r, func(values url.Values) (*authv1.TokenResponse, error) {
		return authv1.NewSessionServiceClient(a.session.auth).SignIn(r.Context(), &authv1.SignInRequest{
			Email: values.Get("email"), Password: values.Get("password"),
		})
	})
}

// secondFactor receives the code of a second factor.
func (a authorization) secondFactor(w http.ResponseWriter, r *http.Request) {
	a.submitSignIn(w, r, func(values url.Values) (*authv1.TokenResponse, error) {
		return authv1.NewSessionServiceClient(a.session.auth).SignInMfa(r.Context(), &authv1.SignInMfaRequest{
			ChallengeId: values.Get("challenge"), Code: strings.ReplaceAll(values.Get("code"), " ", ""),
		})
	})
}

// submitSignIn signs a browser in with what its page sent, and continues with the
// authorization request.
func (a authorization) submitSignIn(w http.ResponseWriter, r *http.Request, signIn func(url.Values) (*authv1.TokenResponse, error)) {
	values, err := readOwnForm(a.guard, w, r)
	if err != nil {
		a.view.refuse(w, r, err)
		return
	}
	// The page is only for a valid request.
	response, err := a.ask(r.Context(), values.Get("request"), "")
	if err != nil {
		a.view.refuse(w, r, err)
		return
	}
	prompt := response.GetSignIn()
	if prompt == nil {
		redirectToClient(w, response.GetRedirectUri())
		return
	}
	page := pages.SignIn{Request: values.Get("request"), Email: values.Get("email"), Methods: values["method"]}
	tokens, err := signIn(values)
	if err != nil {
		problem := a.view.problem(r, err)
		page.Problem = problem.Detail()
		if problem.Reason() == faultv1.Reason_REASON_FACTOR_INVALID {
			page.Challenge = values.Get("challenge")
		}
		a.showSignIn(w, r, statusOf(problem), prompt, page)
		return
	}
	if tokens.GetMfaChallenge() != nil {
		page.Challenge, page.Methods = tokens.GetMfaChallenge().GetId(), tokens.GetMfaChallenge().GetMethods()
		a.showSignIn(w, r, http.StatusOK, prompt, page)
		return
	}
	if err := a.session.openLogin(r.Context(), w, "Bearer "+tokens.GetAccessToken()); err != nil {
		a.view.refuse(w, r, err)
		return
	}
	redirect(w, signedIn(values.Get("request")))
}

func (a authorization) showSignIn(w http.ResponseWriter, r *http.Request, status int, prompt *authv1.SignInPrompt, page pages.SignIn) {
	page.Client, page.ReturnTo = prompt.GetClientDisplayName(), signedIn(page.Request)
	config, err := authv1.NewConfigServiceClient(a.session.auth).GetConfig(r.Context(), &authv1.GetConfigRequest{})
	if err != nil {
		a.view.refuse(w, r, err)
		return
	}
	page.Providers = config.GetProviders()
	a.view.showOAuth(w, r, status, a.view.pages.SignIn(page), prompt.GetDestination())
}

// signedIn returns the address that continues with an authorization request after
// the user has signed in. The request no longer asks for a sign-in.
func signedIn(query string) string {
	values, err := url.ParseQuery(query)
	if err != nil {
		return pathAuthorize // ask refuses it
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

// login opens a login at the OAuth provider for the session of a page of this site,
// where the user has signed in.
func (a authorization) login(w http.ResponseWriter, r *http.Request) {
	if err := a.guard.Check(r); err != nil {
		a.view.fail(w, r, fault.Wrap(err, faultv1.Reason_REASON_PERMISSION_DENIED, "only a page of this site may call this path"))
		return
	}
	if err := a.session.openLogin(r.Context(), w, r.Header.Get("Authorization")); err != nil {
		a.view.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// consent receives the decision of the user. No other site can send this form,
// because only its own page has the ticket.
func (a authorization) consent(w http.ResponseWriter, r *http.Request) {
	values, err := readOwnForm(a.guard, w, r)
	if err != nil {
		a.view.refuse(w, r, err)
		return
	}
	decided, err := a.client().DecideConsent(r.Context(), &authv1.DecideConsentRequest{
		Login: cookieValue(r, loginCookie), Ticket: values.Get("ticket"), Allow: values.Get("decision") == "allow",
	})
	if err != nil {
		a.view.refuse(w, r, err)
		return
	}
	redirectToClient(w, decided.GetRedirectUri())
}

// endSession signs the browser out (OpenID Connect RP-Initiated Logout 1.0).
func (a authorization) endSession(w http.ResponseWriter, r *http.Request) {
	values, err := parseValues(r.URL.RawQuery)
	if r.Method == http.MethodPost {
		values, err = readForm(w, r)
	}
	if err != nil {
		a.view.refuse(w, r, err)
		return
	}
	confirmed := r.Method == http.MethodPost && values.Get("confirm") == "yes" && a.guard.Check(r) == nil
	values.Del("confirm")
	p, err := single(values)
	if err != nil {
		a.view.refuse(w, r, err)
		return
	}
	ended, err := a.client().EndLogin(r.Context(), &authv1.EndLoginRequest{
		Login: cookieValue(r, loginCookie), IdTokenHint: p["id_token_hint"], ClientId: p["client_id"],
		PostLogoutRedirectUri: p["post_logout_redirect_uri"], State: p["state"], Confirmed: confirmed,
	})
	switch {
	case err != nil:
		a.view.refuse(w, r, err)
	case ended.GetConfirm():
		a.view.showOAuth(w, r, http.StatusOK, a.view.pages.SignOut(p), ended.GetDestination())
	default:
		a.session.cookies.setLogin(w, "", -1)
		if ended.GetRedirectUri() != "" {
			redirectToClient(w, ended.GetRedirectUri())
			return
		}
		a.view.showOAuth(w, r, http.StatusOK, a.view.pages.SignedOut(), "")
	}
}
