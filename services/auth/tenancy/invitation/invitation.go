// Package invitation is the room of invitations, which bring users into an organization
// with an email to their address.
//
// The link in the email works once, for a week, and only for a user who is signed in
// with the invited address. So a forwarded email invites nobody else. The link's token
// is created when the email is composed (package mailing), and only its SHA-256 is
// stored.
package invitation

import (
	"time"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

const (
	// TTL is how long an invitation can be accepted.
	TTL = 7 * 24 * time.Hour

	// kept is how long an expired invitation stays visible.
	kept = 30 * 24 * time.Hour

	// maxPending is the number of pending invitations that an organization may have.
	maxPending = 500
)

// Invitation invites an address into an organization.
type Invitation struct {
	ID                        string `db:"id"`
	OrganizationID, InviterID string
	Email                     string
	Roles                     []string
	CreateTime                time.Time `db:"created_at"`
	ExpireTime                time.Time
	AcceptTime                *time.Time
}

// state returns the state of an invitation at a time.
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
