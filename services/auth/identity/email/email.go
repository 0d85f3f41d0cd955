// Package email is the room of email addresses. A user confirms an address with a link
// in an email. The link completes a sign-up, resets a forgotten password, or changes
// the address of an account.
//
// # Nothing about accounts is revealed
//
// Requesting an email is the same work for every address: an email is queued (package
// mailing), and only the job that composes it looks for an account. By then the
// response has been sent.
//
// # Who owns an address
//
// The owner of an address is the person who reads its emails, not the one who signed up
// with it first. Where addresses must be confirmed ([Deps.Required]), a sign-up creates
// no account. It is stored with its password in the token of its own email, next to
// other sign-ups with the same address. The link that is opened creates the account of
// that sign-up, with the password that its reader chose.
//
// Where addresses need not be confirmed, an account may exist that somebody created
// with another person's address. A link that anyone can request (resend, forgot) then
// takes the account over: it sets a new password and deletes the sessions, API keys,
// factors and identities from before. Only a link that was requested from within the
// account just confirms the address.
//
// Where confirming is required, a sign-in to an unconfirmed account is refused exactly
// as a wrong password is, after the same work. A client with the right password but
// without access to the mailbox learns nothing. The user continues with resend or
// forgot.
//
// # Links
//
// A link leads to a page that only shows a form. Opening it changes nothing, so
// programs that scan emails do not use it up. The token has 32 random bytes and is
// created when the email is sent. Only its SHA-256 is stored, and one statement uses it
// up. Of the links that reset a password, the newest works, for 30 minutes.
//
// # Signing in by email
//
// An email can sign its reader in, with a link or with a code of six digits. A code can
// be guessed. So it works only with the challenge that the client got when it requested
// the email. A challenge accepts five attempts, and an address ten wrong codes in an
// hour. This locks nobody out, because the link still works.
package email

import (
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// The lifetimes of links.
const (
	// VerifyTTL is the lifetime of a link that confirms the address of a sign-up or an
	// account.
	VerifyTTL = 24 * time.Hour
	// ResetTTL is the lifetime of a link that sets a password.
	ResetTTL = 30 * time.Minute
	// changeTTL is the lifetime of a link that confirms a new address.
	changeTTL = time.Hour
)

// The pages that links lead to.
const (
	verifyPage = "/account/verify"
	resetPage  = "/account/reset"
)

// purpose is what a token can be used for.
type purpose string

const (
	toVerify purpose = "verify"
	toReset  purpose = "reset"
	toChange purpose = "change"
)

// claim is what a token stands for.
type claim struct {
	purpose purpose
	// address is where the token was sent.
	address string
	// userID is the account that the token is for. It is empty for a sign-up without an
	// account.
	userID string
	// passwordHash and displayName were chosen at sign-up. For a change of address,
	// passwordHash is the hash of the password with which it was requested.
	passwordHash, displayName string
}

func invalidToken() error {
	return fault.New(faultv1.Reason_REASON_TOKEN_INVALID, "the link is invalid or has expired: request another email")
}
