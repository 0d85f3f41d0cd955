// Package apikey is the room of API keys: what a user's programs show instead of
// its sign-in, and what a service account has alone (package serviceaccount).
// Package platform/apikey has their form, and how services find out whose one is.
package apikey

import (
	"slices"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
)

// maxPerUser bounds how many keys a user may have.
const maxPerUser = 100

// kept is how long an expired key stays visible, so that its user can find out why a
// program stopped.
const kept = 30 * 24 * time.Hour

// Key is an API key.
type Key struct {
	ID, UserID, OrganizationID string
	DisplayName                string
	// Prefix is how the secret begins.
	Prefix     string
	Scopes     []string
	CreateTime time.Time
	ExpireTime *time.Time
	LastUsed   *time.Time
}

// Validate refuses scopes that are no permissions, and an end that is past.
func (k Key) Validate(permissions []string, now time.Time) error {
	for _, scope := range k.Scopes {
		if !slices.Contains(permissions, scope) {
			return fault.Invalid("apiKey.scopes", "%q is no permission that the key's holder has", scope)
		}
	}
	if k.ExpireTime != nil && !k.ExpireTime.After(now) {
		return fault.Invalid("apiKey.expireTime", "must be in the future")
	}
	return nil
}
