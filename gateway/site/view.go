package site

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/a-h/templ"

	"github.com/gatehouse/gatehouse/gateway/internal/httpio"
	"github.com/gatehouse/gatehouse/gateway/pages"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// The content security policies of pages. A page loads only what the gateway itself
// serves, and runs no inline script.
const (
	// documentPolicy is for the documents, which have no form.
	documentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	// formPolicy is for a page with a form and without a script.
	formPolicy = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
	// scriptPolicy is for a page with a form and a script.
	scriptPolicy = formPolicy + "; script-src 'self'; connect-src 'self'"
)

// view responds with pages.
type view struct {
	pages  pages.Site
	fail   func(w http.ResponseWriter, r *http.Request, err error)
	record func(r *http.Request, f *fault.Fault)
}

// show responds with a page. The address of a page may contain a code, so other sites
// must not see it. They see the origin, because without it browsers send no Origin
// header with a form.
func (v view) show(w http.ResponseWriter, r *http.Request, status int, page templ.Component, policy string) {
	var out bytes.Buffer
	if err := page.Render(r.Context(), &out); err != nil {
		v.fail(w, r, fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "the page cannot be shown"))
		return
	}
	h := w.Header()
	h.Set("Content-Type", htmlType)
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "strict-origin")
	defer httpio.WriteDeadline(w)()
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // the client may have closed the connection
}

// showOAuth responds with a page of the OAuth provider. Its form may lead to the
// destination, where the answer for the client goes: browsers apply the form-action
// of the policy to redirects too.
func (v view) showOAuth(w http.ResponseWriter, r *http.Request, status int, page templ.Component, destination string) {
	policy := scriptPolicy
	if destination != "" {
		policy = strings.Replace(policy, "form-action 'self'", "form-action 'self' "+destination, 1)
	}
	v.show(w, r, status, page, policy)
}

// refuse shows what is wrong with a request to the OAuth provider. It redirects
// nowhere.
func (v view) refuse(w http.ResponseWriter, r *http.Request, err error) {
	problem := v.problem(r, err)
	fault.SetRetryAfter(w.Header(), problem)
	v.showOAuth(w, r, statusOf(problem), v.pages.Refused(problem.Detail()), "")
}

// problem returns the fault of an error that a page reports, and records it for the
// log.
func (v view) problem(r *http.Request, err error) *fault.Fault {
	problem := fault.From(err)
	v.record(r, problem)
	return problem
}

func statusOf(f *fault.Fault) int { return fault.SpecOf(f.Reason()).HTTPStatus }

// redirect sends a browser to an address, which it opens with GET.
func redirect(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// redirectToClient sends a browser to a redirect URI of an OAuth client. The URI is
// sent as it is, without escaping.
func redirectToClient(w http.ResponseWriter, uri string) {
	w.Header().Set("Referrer-Policy", "no-referrer")
	redirect(w, uri)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	raw, err := json.Marshal(body)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", jsonType)
	defer httpio.WriteDeadline(w)()
	w.WriteHeader(status)
	_, _ = w.Write(raw) // the client may have closed the connection
}
