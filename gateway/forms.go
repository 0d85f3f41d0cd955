package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/a-h/templ"
	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/gateway/pages"
	"github.com/gatehouse/gatehouse/platform/fault"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// formLimit is the largest body of a form.
	formLimit = 8 << 10
	// maxCode bounds the code in a link.
	maxCode = 256
	// formPolicy is for pages with a form, which need no script.
	formPolicy = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
	// scriptPolicy is for one with a script of ours too.
	scriptPolicy = formPolicy + "; script-src 'self'; connect-src 'self'"
)

// form is a page that links in mails lead to, or a sign-in in a browser. Showing it
// calls nothing, since programs follow links too; sending its form does. Where that
// answers tokens, the browser is signed in and sent on.
type form struct {
	show   func(pages.Site, pages.Link) templ.Component
	policy string
	submit func(ctx context.Context, auth grpc.ClientConnInterface, values url.Values) (*authv1.TokenResponse, error)
}

// methods are what the page takes.
func (f form) methods() string {
	if f.submit == nil {
		return "GET, HEAD"
	}
	return "GET, HEAD, POST"
}

// forms are the pages with forms.
type forms struct {
	byPath map[string]form
	// origin refuses forms that another site's page sends.
	origin *http.CrossOriginProtection
}

func newForms() *forms {
	return &forms{
		origin: http.NewCrossOriginProtection(),
		byPath: map[string]form{
			"/account/verify":  {show: pages.Site.Verify, policy: formPolicy, submit: submitVerify},
			"/account/reset":   {show: pages.Site.Reset, policy: formPolicy, submit: submitReset},
			"/account/sign-in": {show: pages.Site.SignInByLink, policy: formPolicy, submit: submitSignIn},
			// Only shows the code: it is for an app in which somebody is signed in.
			"/account/invitation": {show: pages.Site.Invitation, policy: formPolicy},
			challengePath:         {show: pages.Site.Challenge, policy: scriptPolicy, submit: submitChallenge},
		},
	}
}

func submitVerify(ctx context.Context, auth grpc.ClientConnInterface, values url.Values) (*authv1.TokenResponse, error) {
	_, err := authv1.NewEmailServiceClient(auth).VerifyEmail(ctx, &authv1.VerifyEmailRequest{Token: values.Get("code")})
	return nil, err //nolint:wrapcheck // a status, which becomes a fault
}

func submitReset(ctx context.Context, auth grpc.ClientConnInterface, values url.Values) (*authv1.TokenResponse, error) {
	_, err := authv1.NewEmailServiceClient(auth).ResetPassword(ctx, &authv1.ResetPasswordRequest{
		Token: values.Get("code"), Password: values.Get("password"),
	})
	return nil, err //nolint:wrapcheck // a status, which becomes a fault
}

func submitSignIn(ctx context.Context, auth grpc.ClientConnInterface, values url.Values) (*authv1.TokenResponse, error) {
	return authv1.NewSessionServiceClient(auth).FinishEmailSignIn(ctx, &authv1.FinishEmailSignInRequest{ //nolint:wrapcheck // a status, which becomes a fault
		Credential: &authv1.FinishEmailSignInRequest_Token{Token: values.Get("code")},
	})
}

func submitChallenge(ctx context.Context, auth grpc.ClientConnInterface, values url.Values) (*authv1.TokenResponse, error) {
	return authv1.NewSessionServiceClient(auth).SignInMfa(ctx, &authv1.SignInMfaRequest{ //nolint:wrapcheck // a status, which becomes a fault
		ChallengeId: values.Get("code"), Code: strings.TrimSpace(values.Get("factor")),
	})
}

// serveForm answers when the path is a form's, and reports whether it is.
func (g *Gateway) serveForm(w http.ResponseWriter, r *http.Request) bool {
	f, ok := g.forms.byPath[r.URL.Path]
	if !ok {
		return false
	}
	exchangeOf(r.Context()).route = r.URL.Path
	method := r.Method
	if method == http.MethodPost && f.submit == nil {
		method = "" // like any other that is not allowed
	}
	switch method {
	case http.MethodGet, http.MethodHead:
		data := filled(r.URL.Query())
		data.Gone = data.Code == "" || len(data.Code) > maxCode
		g.showForm(w, r, f, http.StatusOK, data)
	case http.MethodPost:
		g.takeForm(w, r, f)
	case http.MethodOptions:
		w.Header().Set("Allow", f.methods())
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Allow", f.methods())
		g.fail(w, r, fault.New(faultv1.Reason_REASON_METHOD_NOT_ALLOWED, "this path has %s", f.methods()))
	}
	return true
}

// takeForm does what a form asks for, and shows what became of it.
func (g *Gateway) takeForm(w http.ResponseWriter, r *http.Request, f form) {
	values, err := g.readForm(w, r)
	if err != nil {
		g.fail(w, r, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
	defer cancel()
	tokens, err := f.submit(ctx, g.auth.conn, values)
	if err == nil && tokens != nil {
		err = g.signIn(ctx, w, r, tokens, localPath(values.Get("returnTo")))
	}
	if err != nil {
		problem := fault.From(err)
		exchangeOf(r.Context()).fault = problem
		g.showForm(w, r, f, fault.SpecOf(problem.Reason()).HTTPStatus, explained(filled(values), problem))
		return
	}
	if tokens == nil {
		g.showForm(w, r, f, http.StatusOK, pages.Link{Done: true})
	}
}

// filled is what a page was opened with, or sent.
func filled(values url.Values) pages.Link {
	return pages.Link{Code: values.Get("code"), ReturnTo: localPath(values.Get("returnTo")), Methods: values.Get("methods")}
}

// explained says on the page what was wrong.
func explained(data pages.Link, problem *fault.Fault) pages.Link {
	data.Problem, data.Gone = problem.Detail()+".", problem.Reason() == faultv1.Reason_REASON_TOKEN_INVALID
	for _, v := range problem.Violations() {
		switch v.Field {
		case "password":
			data.Problem = "The password " + strings.TrimPrefix(v.Message, "value ") + "."
		case "token":
			data.Gone = true
		}
	}
	return data
}

// readForm reads what a page of ours sent.
func (g *Gateway) readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if err := g.forms.origin.Check(r); err != nil {
		return nil, fault.Wrap(err, faultv1.Reason_REASON_PERMISSION_DENIED, "this form is taken from this site's own page alone")
	}
	return readValues(w, r)
}

// readValues reads a form, whoever sent it.
func readValues(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, fault.New(faultv1.Reason_REASON_UNSUPPORTED_MEDIA_TYPE, "this page reads application/x-www-form-urlencoded")
	}
	defer readDeadline(w, bodyTimeout)()
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, formLimit))
	if err != nil {
		return nil, bodyError(err)
	}
	return parseValues(string(raw))
}

// parseValues reads a form or a query whose values go on to a service: there is no
// message that could hold what is not UTF-8.
func parseValues(raw string) (url.Values, error) {
	if strings.Count(raw, "&") >= maxParameters {
		return nil, fault.New(faultv1.Reason_REASON_INVALID_ARGUMENT, "the form or query has more than %d values", maxParameters)
	}
	values, err := url.ParseQuery(raw)
	for name, all := range values {
		if !utf8.ValidString(name) || slices.ContainsFunc(all, func(value string) bool { return !utf8.ValidString(value) }) {
			err = errors.New("gateway: a value is not UTF-8")
		}
	}
	if err != nil {
		return nil, fault.Wrap(err, faultv1.Reason_REASON_INVALID_ARGUMENT, "the form or query cannot be read")
	}
	return values, nil
}

// showForm answers a page. Its address holds the code, which no other site is
// told; the origin alone is, as browsers send none with a form otherwise.
func (g *Gateway) showForm(w http.ResponseWriter, r *http.Request, f form, status int, link pages.Link) {
	g.showPage(w, r, f.show(g.site, link), f.policy, status)
}

func (g *Gateway) showPage(w http.ResponseWriter, r *http.Request, page templ.Component, policy string, status int) {
	var out bytes.Buffer
	if err := page.Render(r.Context(), &out); err != nil {
		g.fail(w, r, fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "the page cannot be shown"))
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "strict-origin")
	defer writeDeadline(w)()
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // a client that goes away is its own business
}
