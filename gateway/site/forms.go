package site

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/a-h/templ"
	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/gateway/pages"
	"github.com/gatehouse/gatehouse/platform/fault"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// maxCode bounds the code in a link, in bytes.
const maxCode = 256

// formPage is a page to which a link in an email leads, or with which a browser signs in.
type formPage struct {
	// show returns the page.
	show   func(pages.Site, pages.Link) templ.Component
	policy string
	// submit does what the form is for. When it returns tokens, the browser is signed
	// in. It is nil for a page without a form.
	submit func(ctx context.Context, auth grpc.ClientConnInterface, values url.Values) (*authv1.TokenResponse, error)
}

func submitVerify(ctx context.Context, auth grpc.ClientConnInterface, values url.Values) (*authv1.TokenResponse, error) {
	_, err := authv1.NewEmailServiceClient(auth).VerifyEmail(ctx, &authv1.VerifyEmailRequest{Token: values.Get("code")})
	return nil, err
}

func submitReset(ctx context.Context, auth grpc.ClientConnInterface, values url.Values) (*authv1.TokenResponse, error) {
	_, err := authv1.NewEmailServiceClient(auth).ResetPassword(ctx, &authv1.ResetPasswordRequest{
		Token: values.Get("code"), Password: values.Get("password"),
	})
	return nil, err
}

func submitSignIn(ctx context.Context, auth grpc.ClientConnInterface, values url.Values) (*authv1.TokenResponse, error) {
	return authv1.NewSessionServiceClient(auth).FinishEmailSignIn(ctx, &authv1.FinishEmailSignInRequest{
		Credential: &authv1.FinishEmailSignInRequest_Token{Token: values.Get("code")},
	})
}

func submitChallenge(ctx context.Context, auth grpc.ClientConnInterface, values url.Values) (*authv1.TokenResponse, error) {
	return authv1.NewSessionServiceClient(auth).SignInMfa(ctx, &authv1.SignInMfaRequest{
		ChallengeId: values.Get("code"), Code: strings.TrimSpace(values.Get("factor")),
	})
}

// forms serves the forms below /account/.
type forms struct {
	view    view
	session session
	guard   *http.CrossOriginProtection
}

// serve returns the handler of a form: GET shows it, POST submits it.
func (f forms) serve(form formPage) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			f.submit(w, r, form)
			return
		}
		link := linkOf(r.URL.Query())
		link.Invalid = link.Code == "" || len(link.Code) > maxCode
		f.show(w, r, http.StatusOK, form, link)
	}
}

// submit submits a form and shows the result.
func (f forms) submit(w http.ResponseWriter, r *http.Request, form formPage) {
	values, err := readOwnForm(f.guard, w, r)
	if err != nil {
		f.view.fail(w, r, err)
		return
	}
	tokens, err := form.submit(r.Context(), f.session.auth, values)
	if err == nil && tokens != nil {
		err = f.session.signIn(w, r, tokens, localPath(values.Get("returnTo")))
	}
	if err != nil {
		problem := f.view.problem(r, err)
		f.show(w, r, statusOf(problem), form, withProblem(linkOf(values), problem))
		return
	}
	if tokens == nil {
		f.show(w, r, http.StatusOK, form, pages.Link{Done: true})
	}
}

func (f forms) show(w http.ResponseWriter, r *http.Request, status int, form formPage, link pages.Link) {
	f.view.show(w, r, status, form.show(f.view.pages, link), form.policy)
}

// linkOf returns the values with which a page was opened or its form was sent.
func linkOf(values url.Values) pages.Link {
	return pages.Link{Code: values.Get("code"), ReturnTo: localPath(values.Get("returnTo")), Methods: values.Get("methods")}
}

// withProblem adds what was wrong to a link.
func withProblem(link pages.Link, problem *fault.Fault) pages.Link {
	link.Problem, link.Invalid = problem.Detail()+".", problem.Reason() == faultv1.Reason_REASON_TOKEN_INVALID
	for _, v := range problem.Violations() {
		switch v.Field {
		case "password":
			link.Problem = "The password " + strings.TrimPrefix(v.Message, "value ") + "."
		case "token":
			link.Invalid = true
		}
	}
	return link
}
