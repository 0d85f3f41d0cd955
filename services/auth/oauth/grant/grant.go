// Package grant is the room of the grants that users give to OAuth clients. Package
// oauth creates a grant when its user consents. In this room users list and revoke
// their grants.
package grant

import (
	"slices"
	"time"
)

// Grant lets a client act for a user in an organization.
type Grant struct {
	ID                               string `db:"id"`
	OrganizationID, UserID, ClientID string
	// ClientName is the display name of the client. It is set where grants are listed.
	ClientName string
	// Scopes are what the client may do.
	Scopes     []string
	CreateTime time.Time `db:"created_at"`
	UpdateTime time.Time
}

// Covers reports whether the grant includes all of the scopes.
func (g Grant) Covers(scopes []string) bool {
	return !slices.ContainsFunc(scopes, func(scope string) bool { return !slices.Contains(g.Scopes, scope) })
}
