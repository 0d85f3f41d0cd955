package organization

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// organizationList and memberList declare how the lists are ordered.
//
//nolint:gochecknoglobals // constant tables
var (
	organizationList = paging.List{
		Name:         "organizations",
		ID:           "o.id",
		Fields:       map[string]paging.Field{"createTime": {Column: "o.created_at", Type: paging.Time, Order: true}},
		DefaultOrder: "createTime",
	}
	memberList = paging.List{
		Name:         "members",
		ID:           "m.user_id",
		Fields:       map[string]paging.Field{"createTime": {Column: "m.created_at", Type: paging.Time, Order: true}},
		DefaultOrder: "createTime",
	}
)

const (
	columns = "o.id::text, o.display_name, o.personal, o.revision, o.created_at, o.updated_at, o.deleted_at, o.purge_at"
	// including the memberships of a deleted organization
	selectOrganization = "SELECT " + columns + ` FROM organizations o JOIN (
		SELECT organization_id, user_id FROM memberships UNION ALL SELECT organization_id, user_id FROM suspended_memberships
		) m ON m.organization_id = o.id AND m.user_id = $1`
	selectMember = `SELECT m.organization_id::text, u.kind = 'service', u.id::text, u.email, u.email_verified, u.display_name, u.locale, u.disabled,
		u.operator, u.revision, u.created_at, u.updated_at, m.roles, custom_permissions(m.organization_id, m.roles), m.created_at, m.updated_at
		FROM memberships m JOIN users u ON u.id = m.user_id WHERE m.organization_id = $1`
)

// Store stores organizations and memberships in Postgres.
type Store struct {
	db     *postgres.DB
	tokens *paging.Tokens
}

// NewStore returns a store.
func NewStore(db *postgres.DB, tokens *paging.Tokens) *Store { return &Store{db: db, tokens: tokens} }

func scanOrganization(row pgx.CollectableRow) (Organization, error) {
	var o Organization
	err := row.Scan(&o.ID, &o.DisplayName, &o.Personal, &o.Revision, &o.CreateTime, &o.UpdateTime, &o.DeleteTime, &o.PurgeTime)
	return o, err
}

func scanMember(row pgx.CollectableRow) (Member, error) {
	var m Member
	u := &m.User
	err := row.Scan(&m.OrganizationID, &m.ServiceAccount, &u.ID, &u.Email, &u.EmailVerified, &u.DisplayName, &u.Locale, &u.Disabled,
		&u.Operator, &u.Revision, &u.CreateTime, &u.UpdateTime, &m.Roles, &m.Permissions, &m.CreateTime, &m.UpdateTime)
	return m, err
}

// inTx runs fn in a transaction in an organization's scope.
func (s *Store) inTx(ctx context.Context, organizationID string, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return s.db.InTx(ctx, postgres.Scope{OrganizationID: organizationID}, fn)
}

// Insert adds an organization, in a transaction in its scope.
func (s *Store) Insert(ctx context.Context, tx pgx.Tx, o Organization) error {
	_, err := postgres.TxExec(ctx, tx, `INSERT INTO organizations (id, display_name, personal, revision, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6)`, o.ID, o.DisplayName, o.Personal, o.Revision, o.CreateTime, o.UpdateTime)
	return err
}

// create adds an organization with its owner. It refuses a user who belongs to too
// many.
func (s *Store) create(ctx context.Context, o Organization, owner Member, then func(ctx context.Context, tx pgx.Tx) error) error {
	scope := postgres.Scope{OrganizationID: o.ID, UserID: owner.User.ID}
	return s.db.InTx(ctx, scope, func(ctx context.Context, tx pgx.Tx) error {
		// Concurrent creations by one user wait here.
		if _, err := postgres.TxExec(ctx, tx, "SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE", owner.User.ID); err != nil {
			return err
		}
		n, err := postgres.TxOne(ctx, tx, pgx.RowTo[int], "SELECT count(*) FROM memberships WHERE user_id = $1", owner.User.ID)
		if err != nil {
			return err
		}
		if n >= maxPerUser {
			return fault.New(faultv1.Reason_REASON_CONFLICT, "you belong to %d organizations: leave one first", n)
		}
		if err := s.Insert(ctx, tx, o); err != nil {
			return err
		}
		if err := s.InsertMember(ctx, tx, owner); err != nil {
			return err
		}
		return then(ctx, tx)
	})
}

// lockAny returns an organization, deleted or not, and locks it until the transaction
// ends.
func (s *Store) lockAny(ctx context.Context, tx pgx.Tx, id string) (Organization, error) {
	o, err := postgres.TxOne(ctx, tx, scanOrganization, "SELECT "+columns+" FROM organizations o WHERE o.id = $1 FOR UPDATE", id)
	return o, postgres.NotFound(err, "organization")
}

// save writes the fields of an organization that can change.
func (s *Store) save(ctx context.Context, tx pgx.Tx, o Organization) error {
	_, err := postgres.TxExec(ctx, tx, `UPDATE organizations SET display_name = $2, revision = $3, updated_at = $4,
		deleted_at = $5, purge_at = $6 WHERE id = $1`, o.ID, o.DisplayName, o.Revision, o.UpdateTime, o.DeleteTime, o.PurgeTime)
	return err
}

// roles returns a user's roles in an organization, deleted or not. It returns none for
// a user who is not a member.
func (s *Store) roles(ctx context.Context, tx pgx.Tx, organizationID, userID string) ([]string, error) {
	roles, err := postgres.TxOne(ctx, tx, pgx.RowTo[[]string], `SELECT roles FROM memberships WHERE organization_id = $1 AND user_id = $2
		UNION ALL SELECT roles FROM suspended_memberships WHERE organization_id = $1 AND user_id = $2`, organizationID, userID)
	if errors.Is(err, postgres.ErrNoRows) {
		return nil, nil
	}
	return roles, err
}

// memberships returns the organizations of a user, including deleted ones, with the
// user's roles, in a transaction in the user's scope.
func (s *Store) memberships(ctx context.Context, tx pgx.Tx, userID string) ([]Membership, error) {
	return postgres.TxAll(ctx, tx, func(row pgx.CollectableRow) (Membership, error) {
		var m Membership
		err := row.Scan(&m.OrganizationID, &m.DisplayName, &m.Roles)
		return m, err
	}, `SELECT o.id::text, o.display_name, m.roles FROM organizations o JOIN (
		SELECT organization_id, roles FROM memberships WHERE user_id = $1
		UNION ALL SELECT organization_id, roles FROM suspended_memberships WHERE user_id = $1
		) m ON m.organization_id = o.id ORDER BY o.id`, userID)
}

// suspend moves the memberships of an organization out of the way while the
// organization is deleted, in a transaction in its scope. resume restores them.
func (s *Store) suspend(ctx context.Context, tx pgx.Tx, organizationID string) error {
	return s.move(ctx, tx, "memberships", "suspended_memberships", organizationID)
}

func (s *Store) resume(ctx context.Context, tx pgx.Tx, organizationID string) error {
	return s.move(ctx, tx, "suspended_memberships", "memberships", organizationID)
}

func (s *Store) move(ctx context.Context, tx pgx.Tx, from, to, organizationID string) error {
	const membership = "organization_id, user_id, roles, created_at, updated_at"
	_, err := postgres.TxExec(ctx, tx, "WITH moved AS (DELETE FROM "+from+" WHERE organization_id = $1 RETURNING "+membership+
		") INSERT INTO "+to+" ("+membership+") SELECT "+membership+" FROM moved", organizationID)
	return err
}

// purgeMost bounds one step of a purge, so that it locks few rows.
const purgeMost = 1000

// purge deletes some rows of an organization whose grace period has ended. When it
// deletes the organization itself, it calls done in the same transaction. It returns
// false when no organization is due.
func (s *Store) purge(ctx context.Context, now time.Time, done func(ctx context.Context, tx pgx.Tx, organizationID string) error) (found bool, err error) {
	err = s.db.InTx(ctx, postgres.Scope{}, func(ctx context.Context, tx pgx.Tx) error {
		var organizationID string
		var last bool
		_, err := postgres.TxOne(ctx, tx, func(row pgx.CollectableRow) (bool, error) {
			return true, row.Scan(&organizationID, &last)
		}, "SELECT organization_id::text, done FROM purge_organization($1, $2)", now, purgeMost)
		if found = err == nil; !found && errors.Is(err, postgres.ErrNoRows) {
			return nil
		}
		if err != nil || !last {
			return err
		}
		return done(ctx, tx, organizationID)
	})
	return found, err
}

// get returns an organization of a user.
func (s *Store) get(ctx context.Context, userID, organizationID string) (Organization, error) {
	o, err := postgres.QueryOne(ctx, s.db, postgres.Scope{UserID: userID}, scanOrganization,
		selectOrganization+" WHERE o.id = $2", userID, organizationID)
	return o, postgres.NotFound(err, "organization")
}

// list returns a page of a user's organizations.
func (s *Store) list(ctx context.Context, userID string, req paging.Request) ([]Organization, string, error) {
	return paging.Read(ctx, s.db, postgres.Scope{UserID: userID}, paging.Query[Organization]{
		List: organizationList, Tokens: s.tokens, Request: req,
		SQL: selectOrganization + " WHERE m.user_id = $1", Args: []any{userID}, Scan: scanOrganization,
	})
}
