// Package email lets people show that an address is theirs, by a link in a mail
// to it; and gives what that is worth: an account after sign-up, a new password
// after the old one was forgotten, another address.
//
// # What a request tells
//
// Nothing. Asking for a mail is the same work whatever the address is: a letter
// is taken (package mailing), and only when a job writes it is looked up whether
// there is an account. The answer has long been given.
//
// # Who an address belongs to
//
// To whoever reads its mail, not to whoever signed up with it first. Where
// addresses must be confirmed ([Deps.Required]), a sign-up makes no account: it
// waits with its password in the token of its own mail, beside other sign-ups
// with the address, and the link that is opened makes the account of its own
// sign-up, with the password that its reader chose. Where they need not be, an
// account may stand that somebody made with another's address. Then a link that
// anybody can ask for (resend, forgot) takes the account over: it sets a new
// password, and the sessions, API keys, factors and identities from before are gone. Only a
// link that was asked for from within the account just confirms the address.
//
// An unconfirmed account where confirming is required is refused at sign-in as a
// wrong password is, after the same work: whoever has the right password but not
// the mailbox learns nothing from trying it. The way in is resend or forgot.
//
// # Links
//
// A link leads to a page that only shows a form: opening it changes nothing, so
// that programs which look into mails do not use it up. The token is 32 random
// bytes and made when the mail is sent; only its SHA-256 is kept, and one
// statement uses it up. Of the links to reset an address the newest works, for 30
// minutes.
//
// # Signing in by mail
//
// A mail can sign its reader in, by a link or by a code of six digits. A code can be
// guessed: it works only with the challenge that its asker was given, five times are
// all, and ten wrong ones of an address within an hour, which keeps nobody out, as
// the link works all the same.
package email

import (
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// How long links work.
const (
	// VerifyTTL is for confirming the address of a sign-up or an account.
	VerifyTTL = 24 * time.Hour
	// ResetTTL is for choosing a password.
	ResetTTL = 30 * time.Minute
	// changeTTL is for confirming another address.
	changeTTL = time.Hour
)

// The pages that links lead to.
const (
	verifyPage = "/account/verify"
	resetPage  = "/account/reset"
)

// purpose is what a token is good for.
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
	// userID is whose account it is about; empty for a sign-up that has none yet.
	userID string
	// passwordHash and displayName are what was chosen at sign-up; of a change of address,
	// the hash is that of the password by which it was asked for.
	passwordHash, displayName string
}

func invalidToken() error {
	return fault.New(faultv1.Reason_REASON_TOKEN_INVALID, "the link is not valid, or no longer: ask for another mail")
}
