// Package session signs people in and keeps them signed in.
//
// A session is a chain of refresh tokens, of which the newest works, once. A
// token that comes back after its use has two holders, one of them a thief, and
// ends the session for both (RFC 9700 section 4.14); there is no grace period,
// as it would be the thief's too. Refresh tokens are random and rest as SHA-256
// hashes. Access tokens are signed by package key, live for [AccessTTL] and are
// verified by any service without asking.
//
// No session begins without the second factor of a user who has one: whatever
// was shown first ([Service.Admit]), the answer then is a challenge (package
// factor). What was shown stays with the session, and so with what refreshes it.
//
// An unknown address, a wrong password, a disabled account and, where addresses
// must be confirmed, an unconfirmed one are answered alike, after the same work.
package session

import (
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// AccessTTL is how long an access token lives.
	AccessTTL = 15 * time.Minute
	// TTL is how long a session lives without a new sign-in.
	TTL = 30 * 24 * time.Hour

	maxUserAgent = 512
)

// Session is a sign-in on one device, in one organization.
type Session struct {
	ID, OrganizationID, UserID string
	// OpenedFrom is the session by which this one was opened, in another organization
	// maybe; empty for one that a sign-in opened.
	OpenedFrom           string
	UserAgent, IPAddress string
	// ClientID is the OAuth client that acts for the user, empty for the user's own
	// sign-in; Scopes are what the client may do.
	ClientID string
	Scopes   []string
	// Methods are what the user showed (identity.MethodPassword, …).
	Methods []string
	// AuthTime is when the user last showed a credential.
	AuthTime, CreateTime, ExpireTime time.Time
}

func wrongCredentials() error {
	return fault.New(faultv1.Reason_REASON_INVALID_CREDENTIALS, "the address or the password is wrong, or the address is not confirmed")
}

func invalidToken() error {
	return fault.New(faultv1.Reason_REASON_REFRESH_TOKEN_INVALID, "sign in again")
}

func reusedToken() error {
	return fault.New(faultv1.Reason_REASON_REFRESH_TOKEN_REUSED, "the refresh token was used before; its session has ended")
}
