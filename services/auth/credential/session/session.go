// Package session is the room of sessions: it signs users in and keeps them signed in.
//
// A session is a chain of refresh tokens. The newest works, once. A token that is used
// a second time has two holders, one of them a thief, and ends the session for both
// (RFC 9700 section 4.14). There is no grace period, because the thief would have it
// too. Refresh tokens are random and stored as SHA-256 hashes. Access tokens are signed
// by package key, live for [AccessTTL] and are verified by any service without a call.
//
// No session starts without the second factor of a user who has one. Whatever was
// presented first ([Service.Admit]), the response is then a challenge (package factor).
// The methods that the user has used are stored with the session.
//
// An unknown address, a wrong password, a disabled account and, where addresses must be
// confirmed, an unconfirmed account get the same response, after the same work.
package session

import (
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// AccessTTL is the lifetime of an access token.
	AccessTTL = 15 * time.Minute
	// TTL is the lifetime of a session without a new sign-in.
	TTL = 30 * 24 * time.Hour

	maxUserAgent = 512
)

// Session is a sign-in on one device, in one organization.
type Session struct {
	ID, OrganizationID, UserID string
	// OpenedFrom is the session with which this one was opened, possibly in another
	// organization. It is empty for a session that a sign-in opened.
	OpenedFrom           string
	UserAgent, IPAddress string
	// ClientID is the OAuth client that acts for the user, with the permissions in
	// Scopes. It is empty for the user's own sign-in.
	ClientID string
	Scopes   []string
	// Methods are the authentication methods that the user has used
	// (identity.MethodPassword, …).
	Methods []string
	// AuthTime is when the user last presented a credential.
	AuthTime, CreateTime, ExpireTime time.Time
}

func wrongCredentials() error {
	return fault.New(faultv1.Reason_REASON_INVALID_CREDENTIALS, "the address or the password is wrong, or the address is not confirmed")
}

func invalidToken() error {
	return fault.New(faultv1.Reason_REASON_REFRESH_TOKEN_INVALID, "sign in again")
}

func reusedToken() error {
	return fault.New(faultv1.Reason_REASON_REFRESH_TOKEN_REUSED, "the refresh token was used before, so its session has ended")
}
