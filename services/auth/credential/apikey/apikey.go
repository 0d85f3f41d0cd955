// Package apikey is the room of API keys: the credentials of a user's programs, and the
// only credentials of a service account (package serviceaccount). A key acts for its
// user in one organization, within its scopes. Only a hash of its secret is stored.
// Package platform/apikey has the format of keys, and their lookup by services.
package apikey

import (
	"slices"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
)

// maxPerUser is the number of keys that a user may have.
const maxPerUser = 100

// kept is how long an expired key stays visible, so that its user can find out why a
// program stopped.
const kept = 30 * 24 * time.Hour

// Key is an API key.
type Key struct {
	ID                     string `db:"id"`
	UserID, OrganizationID string
	DisplayName            string
	// Prefix is the beginning of the secret.
	Prefix     string
	Scopes     []string
	CreateTime time.Time `db:"created_at"`
	ExpireTime *time.Time
	LastUsed   *time.Time
}

// Validate refuses scopes that are not permissions of the key's holder, and an expiry
// in the past.
func (k Key) Validate(permissions []string, now time.Time) error {
	for _, scope := range k.Scopes {
		if !slices.Contains(permissions, scope) {
			return fault.Invalid("apiKey.scopes", "%q is not a permission of the key's holder", scope)
		}
	}
	if k.ExpireTime != nil && !k.ExpireTime.After(now) {
		return fault.Invalid("apiKey.expireTime", "must be in the future")
	}
	return nil
}
