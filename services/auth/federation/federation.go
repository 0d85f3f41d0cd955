// Package federation is the room of identity providers: sign-in with a provider,
// linking a provider to an account, and the providers of organizations.
//
// # The exchange
//
// Gatehouse is an OpenID Connect relying party, and a plain OAuth 2.0 client of GitHub,
// which does not support OpenID Connect. It uses only the authorization code flow, with
// PKCE and a nonce (RFC 9700 section 2.1). An attempt has a state, which goes to the
// provider and returns, and a secret, which stays with the client that began: in a
// cookie of the browser or in the memory of the program. Finishing the attempt needs
// both. An attempt works once, for ten minutes, and the database stores only hashes of
// both values. The code verifier and the nonce derive from the secret. So a leaked code
// is worthless without the secret, and an attempt that an attacker began cannot sign in
// another person's browser.
//
// The response must be signed by the issuer, with an asymmetric key, for this client
// and this attempt. The iss parameter is compared where the issuer promises to send it
// (RFC 9207), which prevents a mix-up of two providers.
//
// # Identities and accounts
//
// An identity is known by provider, issuer and subject, never by an address, because
// addresses change owners. The user of an unknown identity gets an account if the
// provider has verified the address and no account has it. If an account has the
// address, the sign-in is refused: the user signs in to that account and links the
// identity. An exception is an account whose address was never confirmed. It goes to
// the user who has proved to own the address, without the credentials of its creator.
//
// # Organizations
//
// An organization may configure an issuer of its own. The organization may run that
// issuer itself and make it assert anything. Its assertions count only for the users
// that it brought, and for users who linked it while they were signed in. They open no
// other account, even one with an asserted address. The accounts that it creates have
// unconfirmed addresses, in the domains that the organization named.
//
// The sessions of these users start in the organization. A user who has other
// credentials stays in the organization until one of those is presented, because the
// operator of the issuer must not act for its members elsewhere. A user who was removed
// from the organization cannot return by signing in. The issuer is reached only through
// a guarded client (package egress).
//
// A second factor is required after a provider as it is after a password.
package federation

import (
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/gatehouse/gatehouse/platform/config"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// attemptTTL is how long a user may stay at a provider.
	attemptTTL = 10 * time.Minute
	// maxIdentities is the number of identities that a user may link.
	maxIdentities = 20
	// maxSubject is the bound of OpenID Connect for a subject. maxEmail and maxName are
	// those of the contract.
	maxSubject, maxEmail, maxName = 255, 254, 100
)

// Kind is the kind of a provider: how it differs from the standard.
type Kind string

// The kinds of providers.
const (
	// OpenID is any OpenID Connect issuer.
	OpenID Kind = "openid"
	// Microsoft is an OpenID Connect issuer for many tenants. Each tenant sets the
	// addresses of its users. They count only when Microsoft asserts that the tenant
	// owns the domain (xms_edov).
	Microsoft Kind = "microsoft"
	// GitHub uses OAuth 2.0 with an API of its own.
	GitHub Kind = "github"
	// Apple is an OpenID Connect issuer whose clients sign their secret, and which
	// responds with a form.
	Apple Kind = "apple"
)

// Provider is an identity provider.
type Provider struct {
	// ID identifies the provider in routes and in its identities. It must never change.
	ID, DisplayName string
	Kind            Kind
	// Issuer is the address of the provider, exactly as in its tokens. For Microsoft it
	// is the endpoint of its tenant.
	Issuer string
	// API is the address of GitHub's API.
	API string
	// ClientID and ClientSecret identify this installation at the provider. The secret
	// of Apple is the private key, an ECDSA key in PEM (PKCS #8).
	ClientID     string
	ClientSecret config.Secret
	// TeamID and KeyID identify Apple's key.
	TeamID, KeyID string
	// Scopes are requested beside openid, email and profile.
	Scopes []string

	// owner is the organization's provider. It is nil for a provider of the
	// installation.
	owner *OrganizationProvider
}

// mailName is the name of the provider in emails. It never contains a name that an
// organization chose.
func (p Provider) mailName() string {
	if p.owner != nil {
		return "an organization's identity provider"
	}
	return p.DisplayName
}

// providerID matches the ids that an operator may give to a provider. None looks like
// the id of an organization's provider.
var providerID = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// Validate reports everything that is wrong with the provider.
func (p Provider) Validate() error {
	var problems []error
	add := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("provider %q: "+format, append([]any{p.ID}, args...)...))
	}
	if !providerID.MatchString(p.ID) {
		add("the id must begin with a small letter and have up to 32 of a-z, 0-9 and -")
	}
	if p.ClientID == "" {
		add("the client id is required")
	}
	if err := checkURL(p.Issuer); err != nil {
		add("the issuer %w", err)
	}
	switch p.Kind {
	case OpenID, Microsoft:
	case GitHub:
		if err := checkURL(p.API); err != nil {
			add("the API %w", err)
		}
		if !p.ClientSecret.IsSet() {
			add("the client secret is required")
		}
	case Apple:
		if p.TeamID == "" || p.KeyID == "" {
			add("the team and the id of its key are required")
		}
		if _, err := appleKey(p.ClientSecret.Reveal()); err != nil {
			add("the private key %w", err)
		}
	default:
		add("the kind %q is unknown", p.Kind)
	}
	return errors.Join(problems...)
}

// Check reports everything that is wrong with the providers and redirects of an
// installation.
func Check(providers []Provider, redirects []string) error {
	var problems []error
	seen := map[string]bool{}
	for _, p := range providers {
		problems = append(problems, p.Validate())
		if seen[p.ID] {
			problems = append(problems, fmt.Errorf("provider %q: the id is used twice", p.ID))
		}
		seen[p.ID] = true
	}
	for _, redirect := range redirects {
		// An app's own scheme has a dot, so that it is unique to the app (RFC 8252 section 7.1).
		u, err := url.Parse(redirect)
		if err != nil || u.Fragment != "" || (!strings.Contains(u.Scheme, ".") && checkURL(redirect) != nil) {
			problems = append(problems, fmt.Errorf("redirect %q: must be https, on this machine, or have a scheme with a dot", redirect))
		}
	}
	return errors.Join(problems...)
}

// checkURL refuses addresses to which neither users nor secrets may be sent: all but
// https, except on this machine.
func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.RawQuery != "" {
		return errors.New("must be a URL without user, query and fragment")
	}
	host := u.Hostname()
	local := host == "localhost" || host == "127.0.0.1" || host == "::1"
	if u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return errors.New("must be https")
	}
	return nil
}

// identityProfile is what a provider asserts about a user.
type identityProfile struct {
	issuer, subject string
	// email is empty when the provider sent no valid address.
	email string
	// verified reports whether the provider has verified the address.
	verified bool
	name     string
}

// sanitized limits a profile to what can be stored and displayed.
func (p identityProfile) sanitized() (identityProfile, error) {
	if p.subject == "" || len(p.subject) > maxSubject || !printable(p.subject) {
		return p, errors.New("federation: the provider sent no valid subject")
	}
	if a, err := mail.ParseAddress(p.email); err != nil || a.Address != p.email || len(p.email) > maxEmail {
		p.email, p.verified = "", false
	}
	name := []rune(strings.Join(strings.FieldsFunc(strings.ToValidUTF8(p.name, ""), func(r rune) bool {
		return !unicode.IsGraphic(r) || r == ' '
	}), " "))
	p.name = string(name[:min(len(name), maxName)])
	return p, nil
}

func printable(s string) bool {
	return strings.ToValidUTF8(s, "") == s && !strings.ContainsFunc(s, unicode.IsControl)
}

// refused returns the one response to anything that is wrong with a callback of a
// provider. The cause is logged.
func refused(cause error) error {
	return fault.Wrap(cause, faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED, "the sign-in was not started here, took too long, or was refused: start again")
}

func unavailable(cause error) error {
	return fault.Wrap(cause, faultv1.Reason_REASON_IDENTITY_PROVIDER_UNAVAILABLE, "the identity provider cannot be reached, or its configuration does not match").
		WithRetryAfter(retryAfter)
}

// retryAfter is the time after which a provider that failed is tried again.
const retryAfter = 5 * time.Second

func unverified() error {
	return fault.New(faultv1.Reason_REASON_PROVIDER_ADDRESS_UNVERIFIED, "the provider has not verified your address")
}

func unconfirmed() error {
	return fault.New(faultv1.Reason_REASON_PROVIDER_ADDRESS_UNVERIFIED, "confirm your address first, with the email that was sent to it; then sign in again")
}

func notLinked() error {
	return fault.New(faultv1.Reason_REASON_IDENTITY_NOT_LINKED, "an account has this address: sign in to it, and link the provider")
}
