// Package invitation brings people into an organization by a mail to their
// address.
//
// The link in the mail works once, for a week, and only for somebody who is signed
// in with the address that was invited: a mail that is passed on invites nobody
// else. Of the link's token only the SHA-256 is kept; it is made when the mail is
// written (package mailing).
package invitation

import (
	"time"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

const (
	// TTL is how long an invitation waits.
	TTL = 7 * 24 * time.Hour

	// kept is how long an expired invitation stays visible.
	kept = 30 * 24 * time.Hour

	// maxPending bounds how many invitations of an organization wait.
	maxPending = 500
)

// Invitation asks somebody into an organization.
type Invitation struct {
	ID, OrganizationID, InviterID string
	Email                         string
	Roles                         []string
	CreateTime, ExpireTime        time.Time
	AcceptTime                    *time.Time
}

// state is what became of an invitation, at a time.
func (i Invitation) state(now time.Time) authv1.Invitation_State {
	switch {
	case i.AcceptTime != nil:
		return authv1.Invitation_ACCEPTED
	case now.Before(i.ExpireTime):
		return authv1.Invitation_PENDING
	default:
		return authv1.Invitation_EXPIRED
	}
}
