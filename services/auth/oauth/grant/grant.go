// Package grant is the room of what users have allowed OAuth clients. A grant is
// made when its user agrees (package oauth); here the user sees it and takes it
// back.
package grant

import (
	"slices"
	"time"
)

// Grant is that a user lets a client act in an organization.
type Grant struct {
	ID, OrganizationID, UserID, ClientID string
	// ClientName is what the client is called; set where grants are listed.
	ClientName string
	// Scopes are what the client may do.
	Scopes                 []string
	CreateTime, UpdateTime time.Time
}

// Covers tells whether the client may do all of what it asks for.
func (g Grant) Covers(scopes []string) bool {
	return !slices.ContainsFunc(scopes, func(scope string) bool { return !slices.Contains(g.Scopes, scope) })
}
