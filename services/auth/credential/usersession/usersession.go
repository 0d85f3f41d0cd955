// Package usersession is the room in which users list and end their sessions.
//
// Package session creates and stores the sessions. This package lists and ends them
// across organizations: its queries run in the user's scope, in which row level
// security shows the user's own sessions.
package usersession

import (
	"time"
)

// Session is a session as its user sees it.
type Session struct {
	ID                   string `db:"id"`
	OrganizationID       string
	UserAgent, IPAddress string
	CreateTime           time.Time `db:"created_at"`
	LastUsedTime         time.Time
	ExpireTime           time.Time
}

// group is the sessions of one organization that ended together.
type group struct {
	OrganizationID string
	SessionIDs     []string
}
