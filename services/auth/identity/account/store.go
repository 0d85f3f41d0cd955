package account

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/services/auth/tenancy/organization"
)

// selection reads a user with at most 100 memberships ordered by name, one row for
// each, or one row without an organization. It is one statement and so one round trip,
// because clients call GetMe more often than anything else.
const selection = `SELECT u.id::text, u.email, u.email_verified, u.display_name, u.locale, u.disabled, u.revision,
	u.created_at, u.updated_at, o.id::text, o.display_name, m.roles
	FROM users u LEFT JOIN (memberships m JOIN organizations o ON o.id = m.organization_id) ON m.user_id = u.id
	WHERE u.id = $1 ORDER BY o.display_name, o.id LIMIT 100`

// store reads the data of one user, across organizations.
type store struct{ db *postgres.DB }

// newStore returns a store.
func newStore(db *postgres.DB) *store { return &store{db: db} }

// get returns a user's profile, or NOT_FOUND.
func (s *store) get(ctx context.Context, userID string) (profile, error) {
	var out profile
	found, err := postgres.QueryAll(ctx, s.db, postgres.Scope{UserID: userID}, func(row pgx.CollectableRow) (bool, error) {
		var organizationID, displayName *string
		var m organization.Membership
		u := &out.user
		err := row.Scan(&u.ID, &u.Email, &u.EmailVerified, &u.DisplayName, &u.Locale, &u.Disabled, &u.Revision,
			&u.CreateTime, &u.UpdateTime, &organizationID, &displayName, &m.Roles)
		if err == nil && organizationID != nil {
			m.OrganizationID, m.DisplayName = *organizationID, *displayName
			out.memberships = append(out.memberships, m)
		}
		return true, err
	}, selection, userID)
	if err == nil && len(found) == 0 {
		return out, fault.NotFound("user")
	}
	return out, err
}
