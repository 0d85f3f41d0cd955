// Package federation signs people in by what identity providers say of them.
//
// # The exchange
//
// Gatehouse is an OpenID Connect relying party (and a plain OAuth2 client of GitHub,
// which is no OpenID provider). It uses the authorization code flow alone, with PKCE
// and a nonce (RFC 9700 section 2.1). An attempt has a state, which goes to the
// provider and comes back, and a secret, which stays with whoever began: a cookie of
// the browser, or the memory of the program. Neither works without the other, once,
// for ten minutes; the database has hashes of both. The code verifier and the nonce
// derive from the secret, so that a code, wherever it leaks, is worth nothing without
// it, and an attempt that an attacker began signs nobody else's browser in.
//
// What comes back must be signed by the issuer, with a key of its own, for this client
// and this attempt. The iss parameter is compared where the issuer promises it (RFC
// 9207), against mix-up of two providers.
//
// # Who that is
//
// Somebody is known by provider, issuer and subject, never by an address: addresses
// change hands. Somebody unknown gets an account if the provider has verified the
// address and no account has it. An account that has it is not signed in to: its user
// signs in and links the identity. Only an account whose address nobody ever confirmed
// goes to whoever has shown that it is theirs, and without what its maker could sign in
// with.
//
// # Organizations
//
// An organization may name an issuer of its own, which it may well run itself and have
// say anything. What that says is believed of the people that it brought, and of the
// users who linked it while signed in; of whoever has an account, an address from there
// opens nothing. The accounts that it makes have unconfirmed addresses, of the domains
// that the organization named. Their members' sessions begin in the organization, and
// stay there where the user has other ways to sign in, until something of those is
// shown: whoever runs the issuer is not to act for its members elsewhere. One
// who was removed from it does not come back by signing in. The issuer is reached by a
// guarded client (package egress).
//
// A second factor is asked for after a provider as after a password.
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
	// attemptTTL is how long somebody may be away at a provider.
	attemptTTL = 10 * time.Minute
	// maxIdentities bounds how many identities a user links.
	maxIdentities = 20
	// What OpenID Connect core bounds a subject to, and the contract an address and a
	// name.
	maxSubject, maxEmail, maxName = 255, 254, 100
)

// Kind is how a provider differs from the standard.
type Kind string

// The kinds of providers.
const (
	// OpenID is any OpenID Connect issuer.
	OpenID Kind = "openid"
	// Microsoft is an OpenID Connect issuer for many tenants, each of which says what
	// addresses its users have. They count only where Microsoft says that the tenant
	// owns the domain (xms_edov).
	Microsoft Kind = "microsoft"
	// GitHub is OAuth2 with an API of its own.
	GitHub Kind = "github"
	// Apple is an OpenID Connect issuer whose clients sign their secret, and that
	// answers by a form.
	Apple Kind = "apple"
)

// Provider is who vouches for people.
type Provider struct {
	// ID names the provider in routes and with its identities, for ever.
	ID, DisplayName string
	Kind            Kind
	// Issuer is where the provider is, exactly as its tokens say; of Microsoft, its
	// tenant's endpoint.
	Issuer string
	// API is where GitHub's API is.
	API string
	// ClientID and ClientSecret are what the provider knows this installation by. The
	// secret of Apple is the private key, an ECDSA key in PEM (PKCS #8).
	ClientID     string
	ClientSecret config.Secret
	// TeamID and KeyID say whose key Apple's is, and which.
	TeamID, KeyID string
	// Scopes are asked for beside openid, email and profile.
	Scopes []string

	// owner says whose it is and who may come by it; nil for the installation's own.
	owner *OrganizationProvider
}

// mailName is what letters call the provider: none writes them with a name that an
// organization has chosen.
func (p Provider) mailName() string {
	if p.owner != nil {
		return "an organization's identity provider"
	}
	return p.DisplayName
}

// providerID is what an operator may call a provider: not what an id is like.
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
		add("there is no kind %q", p.Kind)
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
			problems = append(problems, fmt.Errorf("provider %q: there are two", p.ID))
		}
		seen[p.ID] = true
	}
	for _, redirect := range redirects {
		// An app's own scheme has a dot, so that no other app has it (RFC 8252 section 7.1).
		u, err := url.Parse(redirect)
		if err != nil || u.Fragment != "" || (!strings.Contains(u.Scheme, ".") && checkURL(redirect) != nil) {
			problems = append(problems, fmt.Errorf("redirect %q: must be https, to this machine, or of a scheme with a dot", redirect))
		}
	}
	return errors.Join(problems...)
}

// checkURL refuses what is no place to send users or secrets to: nothing but https,
// except to this machine.
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

// profile is somebody of whom a provider tells.
type profile struct {
	issuer, subject string
	// email is empty where there is none that could be one.
	email string
	// verified says that the provider vouches for the address.
	verified bool
	name     string
}

// sanitized bounds what a provider says to what can be kept and shown.
func (p profile) sanitized() (profile, error) {
	if p.subject == "" || len(p.subject) > maxSubject || !printable(p.subject) {
		return p, errors.New("federation: the provider names no subject that can be kept")
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

// refused is the one answer to whatever is wrong with what came back from a provider;
// the cause is for the log.
func refused(cause error) error {
	return fault.Wrap(cause, faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED, "the sign-in was not begun here, took too long, or was refused: begin again")
}

func unavailable(cause error) error {
	return fault.Wrap(cause, faultv1.Reason_REASON_IDENTITY_PROVIDER_UNAVAILABLE, "the identity provider cannot be reached, or is not set up as it is here").
		WithRetryAfter(retryAfter)
}

// retryAfter is when it may be worth to ask a provider again.
const retryAfter = 5 * time.Second

func unverified() error {
	return fault.New(faultv1.Reason_REASON_PROVIDER_ADDRESS_UNVERIFIED, "the provider does not vouch for an address of yours")
}

func unconfirmed() error {
	return fault.New(faultv1.Reason_REASON_PROVIDER_ADDRESS_UNVERIFIED, "confirm your address first, by the mail that was sent to it; then sign in again")
}

func notLinked() error {
	return fault.New(faultv1.Reason_REASON_IDENTITY_NOT_LINKED, "an account has this address: sign in to it, and link the provider")
}
