// Package config is what an installation tells whoever is not signed in yet: how to
// get an account, how to sign in, what may be sent.
package config

// The ways to sign in.
const (
	methodPassword = "password"
	methodEmail    = "email"
	methodPasskey  = "passkey"
)

// Capabilities is what an installation offers.
type Capabilities struct {
	// SignUpClosed says whether only whoever was invited may sign up, and
	// VerifiedEmail whether the address must be confirmed first.
	SignUpClosed, VerifiedEmail bool
	// Passkeys says whether the public URL has a name that they can be bound to.
	Passkeys bool
	// Providers are the identity providers by which anybody may sign in.
	Providers []Provider
	// Locales are the languages of mails (BCP 47).
	Locales []string
	// UploadBytes and BodyBytes are the largest file and the largest other request.
	UploadBytes, BodyBytes int64
	// Version is the server's.
	Version string
}

// Provider is an identity provider as clients show it.
type Provider struct{ ID, DisplayName string }
