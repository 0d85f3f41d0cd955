// Package usersession is the room in which a user sees where it is signed in,
// and ends that.
//
// Sessions are made and kept by package session; this one only lists and ends
// them, across the organizations that they act in: its queries run in the scope
// of the user alone, to which row level security opens the user's own sessions.
package usersession

import (
	"time"
)

// Session is a sign-in as its user sees it.
type Session struct {
	ID, OrganizationID   string
	UserAgent, IPAddress string
	CreateTime           time.Time
	LastUsedTime         time.Time
	ExpireTime           time.Time
}

// group is sessions that ended together, of one organization.
type group struct {
	OrganizationID string
	SessionIDs     []string
}
