package site

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/gatehouse/gatehouse/gateway/internal/httpio"
	"github.com/gatehouse/gatehouse/platform/fault"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// providers signs browsers in at identity providers, in three steps:
//
//  1. The browser opens the start route. It is redirected to the provider, with a
//     cookie that only this browser has.
//  2. The provider redirects it to the callback. The browser sends the cookie and what
//     the provider returned.
//  3. It is signed in, and redirected to the page that it wanted.
//
// Without the cookie, what the provider returned is refused. So an attacker cannot
// sign another person's browser in to the attacker's account.
type providers struct {
	view    view
	session session
}

// navigate returns the handler of a step. When the step fails, it shows a page.
func (p providers) navigate(step func(w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := step(w, r); err != nil {
			problem := p.view.problem(r, err)
			p.view.show(w, r, statusOf(problem), p.view.pages.NotSignedIn(problem.Detail()), formPolicy)
		}
	}
}

// start redirects a browser to a provider.
func (p providers) start(w http.ResponseWriter, r *http.Request) error {
	query, err := parseValues(r.URL.RawQuery)
	if err != nil {
		return err
	}
	attempt, err := p.client().BeginProviderSignIn(r.Context(), &authv1.BeginProviderSignInRequest{
		Provider: r.PathValue("provider"), ReturnTo: query.Get("returnTo"),
	})
	if err != nil {
		return err
	}
	p.session.cookies.SetAttempt(w, ToSignIn, attempt)
	redirect(w, attempt.GetAuthorizationUrl())
	return nil
}

// repeat receives what a provider returns by a form on the provider's page. It has the
// browser send the same with GET, because a browser sends no cookie with a form of
// another site.
func (p providers) repeat(w http.ResponseWriter, r *http.Request) error {
	sent, err := readForm(w, r)
	if err != nil {
		return err
	}
	query := url.Values{}
	for _, name := range []string{"state", "code", "iss", "error"} {
		if sent.Has(name) {
			query.Set(name, sent.Get(name))
		}
	}
	redirect(w, r.URL.Path+"?"+query.Encode())
	return nil
}

// finish receives what a provider returned, and redirects the browser.
func (p providers) finish(w http.ResponseWriter, r *http.Request) error {
	attempt, found := attemptOf(r)
	p.session.cookies.deleteAttempt(w)
	query, err := parseValues(r.URL.RawQuery)
	if err != nil {
		return err
	}
	if !found || query.Get("state") == "" || query.Get("code") == "" {
		return fault.Wrap(errors.New("gateway: the provider returned the error "+httpio.Printable(query.Get("error"))),
			faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED, "this browser has not begun to sign in, or you did not agree to it there")
	}
	ctx, provider, to := r.Context(), r.PathValue("provider"), localPath(attempt.returnTo)
	if attempt.purpose == ToLink {
		_, err := authv1.NewIdentityServiceClient(p.session.auth).FinishIdentity(ctx, &authv1.FinishIdentityRequest{
			Provider: provider, State: query.Get("state"), Secret: attempt.secret, Code: query.Get("code"), Iss: query.Get("iss"),
		})
		if err != nil {
			return err
		}
		redirect(w, to)
		return nil
	}
	tokens, err := p.client().FinishProviderSignIn(ctx, &authv1.FinishProviderSignInRequest{
		Provider: provider, State: query.Get("state"), Secret: attempt.secret, Code: query.Get("code"), Iss: query.Get("iss"),
	})
	if err != nil {
		return err
	}
	return p.session.signIn(w, r, tokens, to)
}

func (p providers) client() authv1.ProviderServiceClient {
	return authv1.NewProviderServiceClient(p.session.auth)
}
