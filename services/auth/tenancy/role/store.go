package role

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/entity"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// store keeps custom roles in Postgres, and removes them from their holders.
type store struct{ entity.Store[Role] }

func newStore(db *postgres.DB, tokens *paging.Tokens) store {
	return store{entity.NewStore(db, tokens, kind)}
}

// Insert adds a role. A name that another role has is ALREADY_EXISTS.
func (s store) Insert(ctx context.Context, tx pgx.Tx, r Role) error {
	return taken(s.Store.Insert(ctx, tx, r))
}

// Update writes a role back. A name that another role has is ALREADY_EXISTS.
func (s store) Update(ctx context.Context, tx pgx.Tx, r Role) error {
	return taken(s.Store.Update(ctx, tx, r))
}

// holders returns the ids of the users with a role and locks their memberships. A token
// that is being issued contains the roles of its user, so it waits for the lock.
func (s store) holders(ctx context.Context, tx pgx.Tx, r Role) ([]string, error) {
	return postgres.TxAll(ctx, tx, pgx.RowTo[string],
		"SELECT user_id::text FROM memberships WHERE organization_id = $1 AND $2 = ANY (roles) FOR NO KEY UPDATE", r.OrganizationID, r.ID)
}

// invited returns the number of pending invitations with a role.
func (s store) invited(ctx context.Context, tx pgx.Tx, r Role) (int, error) {
	return postgres.TxOne(ctx, tx, pgx.RowTo[int],
		"SELECT count(*) FROM invitations WHERE organization_id = $1 AND $2 = ANY (roles) AND accepted_at IS NULL", r.OrganizationID, r.ID)
}

// replaceInHolders removes a role from its holders and from pending invitations. A holder
// without another role gets the role instead.
func (s store) replaceInHolders(ctx context.Context, tx pgx.Tx, r Role, instead string, now time.Time) error {
	const left = "coalesce(nullif(array_remove(roles, $2), '{}'), ARRAY [$3])"
	if _, err := postgres.TxExec(ctx, tx, "UPDATE memberships SET roles = "+left+", updated_at = $4 WHERE organization_id = $1 AND $2 = ANY (roles)",
		r.OrganizationID, r.ID, instead, now); err != nil {
		return err
	}
	_, err := postgres.TxExec(ctx, tx, "UPDATE invitations SET roles = "+left+" WHERE organization_id = $1 AND $2 = ANY (roles) AND accepted_at IS NULL",
		r.OrganizationID, r.ID, instead)
	return err
}

func taken(err error) error {
	if name, ok := postgres.ViolatedConstraint(err); ok && name == "roles_name" {
		return fault.New(faultv1.Reason_REASON_ALREADY_EXISTS, "a role of this name exists")
	}
	return err
}
