// Package site serves the paths of the gateway that people visit in a browser, and
// the OAuth provider's endpoints for programs:
//
//   - documents: the start page, the documentation, OpenAPI, the version;
//   - the forms below /account/, to which links in emails lead;
//   - the pages of the OAuth provider, where a user signs in and consents;
//   - the OAuth endpoints for programs, such as /oauth2/token;
//   - the navigation to identity providers and back.
//
// [Site.endpoints] is the table of all of them. The site has no data and decides nothing
// about users: the auth service does. The content of the pages is in gateway/pages.
//
// The site shares the cookies of a browser's session with the REST routes below
// /v1/auth ([Cookies]).
package site

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/gateway/internal/httpio"
	"github.com/gatehouse/gatehouse/gateway/pages"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// Deps is what a site needs; all of it.
type Deps struct {
	// PublicURL is the address at which clients reach the gateway.
	PublicURL string
	// Version is the version of the gateway, which the pages show.
	Version string
	// Local reports whether the gateway runs on a developer's machine.
	Local bool
	// Auth is the connection to the auth service.
	Auth grpc.ClientConnInterface
	// Cookies sets and reads the cookies of browsers.
	Cookies Cookies
	// Fail responds to a request with an error, and records it for the log.
	Fail func(w http.ResponseWriter, r *http.Request, err error)
	// Record records the fault with which a request failed, for the log. The site
	// calls it when the response is a page that shows what is wrong.
	Record func(r *http.Request, f *fault.Fault)
}

// Site serves the pages. Make one with [New].
type Site struct {
	deps     Deps
	pages    pages.Site
	byPath   map[string]http.Handler
	patterns []Pattern
}

// Pattern is a path with parameters, such as /v1/auth/providers/{provider}/start.
type Pattern struct {
	// Method is the HTTP method.
	Method string
	// Path names each parameter in braces. The handler reads it with
	// [http.Request.PathValue].
	Path    string
	Handler http.Handler
}

// endpoint is one row of the table.
type endpoint struct {
	// path is matched exactly, unless it has a parameter in braces.
	path string
	// methods are those that the path accepts. Every path accepts OPTIONS too.
	methods []string
	// serve handles a request with one of the methods.
	serve http.HandlerFunc
}

// endpoints returns every path of the site.
func (s *Site) endpoints(ctx context.Context) ([]endpoint, error) {
	var (
		read   = []string{http.MethodGet, http.MethodHead}
		form   = []string{http.MethodGet, http.MethodHead, http.MethodPost}
		get    = []string{http.MethodGet}
		post   = []string{http.MethodPost}
		either = []string{http.MethodGet, http.MethodPost} // without HEAD, because these GETs act
	)
	view := view{pages: s.pages, fail: s.deps.Fail, record: s.deps.Record}
	session := session{auth: s.deps.Auth, cookies: s.deps.Cookies}
	guard := http.NewCrossOriginProtection()
	forms := forms{view: view, session: session, guard: guard}
	oauth := authorization{view: view, session: session, guard: guard}
	tokens := tokens{auth: s.deps.Auth, issuer: s.deps.PublicURL, view: view}
	providers := providers{view: view, session: session}
	documents, err := newDocuments(ctx, s.pages, read)
	if err != nil {
		return nil, err
	}
	return append(documents.assets, []endpoint{
		// Documents.
		{"/", read, documents.start.serve},
		{"/docs", read, documents.docs.serve},
		{"/docs/errors", read, documents.errors.serve},
		{"/openapi.json", read, documents.openapi.serve},
		{"/version", read, documents.version.serve},
		{"/.well-known/openid-configuration", read, documents.metadata.serve},
		{"/.well-known/oauth-authorization-server", read, documents.metadata.serve},

		// Forms to which links in emails lead. Showing one calls nothing, because
		// programs follow links too; only its submission does.
		{"/account/verify", form, forms.serve(formPage{show: pages.Site.Verify, policy: formPolicy, submit: submitVerify})},
		{"/account/reset", form, forms.serve(formPage{show: pages.Site.Reset, policy: formPolicy, submit: submitReset})},
		{"/account/sign-in", form, forms.serve(formPage{show: pages.Site.SignInByLink, policy: formPolicy, submit: submitSignIn})},
		{challengePath, form, forms.serve(formPage{show: pages.Site.Challenge, policy: scriptPolicy, submit: submitChallenge})},
		// Only shows the code, which the user enters in an app where they are signed in.
		{"/account/invitation", read, forms.serve(formPage{show: pages.Site.Invitation, policy: formPolicy})},

		// Pages of the OAuth provider.
		{pathAuthorize, either, oauth.authorize},
		{pathSignIn, post, oauth.signIn},
		{pathSecondFactor, post, oauth.secondFactor},
		{pathConsent, post, oauth.consent},
		{pathLogin, post, oauth.login},
		{pathEndSession, either, oauth.endSession},

		// OAuth for programs.
		{pathToken, post, tokens.issue},
		{pathIntrospect, post, tokens.introspect},
		{pathRevoke, post, tokens.revoke},
		{pathUserInfo, either, tokens.userInfo},

		// Navigation to an identity provider and back.
		{providersPath + "/{provider}/start", get, providers.navigate(providers.start)},
		{providersPath + "/{provider}/callback", get, providers.navigate(providers.finish)},
		{providersPath + "/{provider}/callback", post, providers.navigate(providers.repeat)},
	}...), nil
}

// New builds a site. It renders the documents.
func New(ctx context.Context, deps Deps) (*Site, error) {
	s := &Site{
		deps:   deps,
		pages:  pages.Site{Version: deps.Version, PublicURL: strings.TrimRight(deps.PublicURL, "/"), Local: deps.Local},
		byPath: map[string]http.Handler{},
	}
	endpoints, err := s.endpoints(ctx)
	if err != nil {
		return nil, fmt.Errorf("site: %w", err)
	}
	for _, e := range endpoints {
		if !strings.Contains(e.path, "{") {
			s.byPath[e.path] = s.checkMethod(e)
			continue
		}
		for _, method := range e.methods {
			s.patterns = append(s.patterns, Pattern{Method: method, Path: e.path, Handler: inTime(e.serve)})
		}
	}
	return s, nil
}

// Lookup returns the handler of a path, or false when the site does not have the path.
// Paths with parameters are in [Site.Patterns] instead.
func (s *Site) Lookup(path string) (http.Handler, bool) {
	handler, found := s.byPath[path]
	return handler, found
}

// Patterns returns the paths with parameters. The router of the REST routes serves
// them, because they are below one of its prefixes.
func (s *Site) Patterns() []Pattern { return s.patterns }

// checkMethod returns the handler of an endpoint, which refuses other methods.
func (s *Site) checkMethod(e endpoint) http.Handler {
	allowed := strings.Join(e.methods, ", ")
	serve := inTime(e.serve)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case slices.Contains(e.methods, r.Method):
			serve.ServeHTTP(w, r)
		case r.Method == http.MethodOptions:
			w.Header().Set("Allow", allowed)
			w.WriteHeader(http.StatusNoContent)
		default:
			w.Header().Set("Allow", allowed)
			s.deps.Fail(w, r, fault.New(faultv1.Reason_REASON_METHOD_NOT_ALLOWED, "this path has %s", allowed))
		}
	})
}

// inTime gives a request as long as a call of the API.
func inTime(serve http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), httpio.RequestTimeout)
		defer cancel()
		serve(w, r.WithContext(ctx))
	})
}
