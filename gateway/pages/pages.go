// Package pages contains the pages that the gateway shows to people: the start page and
// the documentation, the pages to which links in emails lead, and those of the OAuth
// provider. They are written in templ (*.templ, compiled by `make generate`), which
// escapes each value for its place in the page. Package site serves them.
//
// A page loads nothing from another origin, and has no inline script or style. The content
// security policies that the gateway sends would block both.
package pages

import (
	"embed"
	"slices"
	"strings"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// Assets are the styles, scripts and the icon that pages load, below /pages/.
//
//go:embed *.css *.js *.svg
var Assets embed.FS

// Site has the values that all pages show. Each of its methods is a page.
type Site struct {
	// Version is the version of the gateway.
	Version string
	// PublicURL is the address at which clients reach it, without a slash at the end.
	PublicURL string
	// Local reports whether it runs on a developer's machine.
	Local bool
}

// Reason is a reason for which a call can fail.
type Reason struct {
	Name, Title, Description, Code string
	Status                         int
}

// Link has the values of a page to which a link leads.
type Link struct {
	// Code is the code of the link, which the form sends back.
	Code string
	// Done reports that the form has been carried out.
	Done bool
	// Invalid reports that the link does not work, or no longer.
	Invalid bool
	// Problem is what was wrong with the input.
	Problem string
	// ReturnTo is the path to open after a sign-in. Methods are the second factors that
	// it accepts, separated by commas.
	ReturnTo, Methods string
}

func (l Link) accepts(method string) bool {
	return slices.Contains(strings.Split(l.Methods, ","), method)
}

// SignIn has the values of the page that signs a user in for an OAuth client.
type SignIn struct {
	// Request is the authorization request, as a query, which the forms send back.
	Request string
	// Client is the name of the client.
	Client string
	// Email is the address that the user entered, Problem what was wrong.
	Email, Problem string
	// Challenge is the id of a sign-in that needs a second factor. Methods are the factors
	// that it accepts.
	Challenge string
	Methods   []string
	// Providers are the identity providers with which users may sign in.
	Providers []*authv1.SignInProvider
	// ReturnTo is the path that continues with the request after the sign-in.
	ReturnTo string
}

func (s SignIn) accepts(method string) bool { return slices.Contains(s.Methods, method) }

// notYet marks the title of a page that reports a problem, because a screen reader reads
// the title first.
func notYet(problem, title string) string {
	if problem != "" {
		return "Not yet: " + title
	}
	return title
}

// outcome returns the title of a page, which depends on the state of its link.
func (l Link) outcome(done, open string) string {
	switch {
	case l.Done:
		return done
	case l.Invalid:
		return "Link not valid"
	}
	return notYet(l.Problem, open)
}
