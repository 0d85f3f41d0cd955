// Package config is the room of the installation's capabilities: how to get an account,
// how to sign in, and what may be sent. Clients read them before anyone is signed in.
package config

// The ways to sign in.
const (
	methodPassword = "password"
	methodEmail    = "email"
	methodPasskey  = "passkey"
)

// Capabilities describes what an installation supports.
type Capabilities struct {
	// SignUpClosed reports whether only users with an invitation may sign up, and
	// VerifiedEmail whether the address must be confirmed first.
	SignUpClosed, VerifiedEmail bool
	// Passkeys reports whether the public URL has a name to which passkeys can be
	// bound.
	Passkeys bool
	// Providers are the identity providers with which anyone may sign in.
	Providers []Provider
	// Locales are the languages of emails (BCP 47).
	Locales []string
	// UploadBytes and BodyBytes are the largest file and the largest other request.
	UploadBytes, BodyBytes int64
	// Version is the version of the server.
	Version string
}

// Provider is an identity provider as clients display it.
type Provider struct{ ID, DisplayName string }
