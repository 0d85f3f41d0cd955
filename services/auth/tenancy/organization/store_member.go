package organization

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// InsertMember adds a membership, in a transaction in its organization's scope.
func (s *Store) InsertMember(ctx context.Context, tx pgx.Tx, m Member) error {
	_, err := postgres.TxExec(ctx, tx, `INSERT INTO memberships (organization_id, user_id, roles, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5)`, m.OrganizationID, m.User.ID, m.Roles, m.CreateTime, m.UpdateTime)
	name, violated := postgres.ViolatedConstraint(err)
	switch {
	case !violated:
		return err
	case name == "memberships_organization":
		return fault.NotFound("organization")
	case name == "memberships_user":
		return fault.NotFound("user")
	case name == "memberships_key":
		return fault.New(faultv1.Reason_REASON_ALREADY_EXISTS, "the user is a member already")
	}
	return err
}

// members returns a page of an organization's members, without service accounts.
func (s *Store) members(ctx context.Context, organizationID string, req paging.Request) ([]Member, string, error) {
	return paging.Read(ctx, s.db, postgres.Scope{OrganizationID: organizationID}, paging.Query[Member]{
		List: memberList, Tokens: s.tokens, Request: req,
		SQL: selectMember + " AND u.kind = 'person'", Args: []any{organizationID}, Scan: scanMember,
		Value: func(m Member, field string) any {
			if field == "createTime" {
				return m.CreateTime
			}
			return m.User.ID
		},
	})
}

// Member returns a member, in a transaction in the organization's scope.
func (s *Store) Member(ctx context.Context, tx pgx.Tx, organizationID, userID string) (Member, error) {
	m, err := postgres.TxOne(ctx, tx, scanMember, selectMember+" AND m.user_id = $2", organizationID, userID)
	return m, postgres.NotFound(err, "member")
}

// LockShared keeps the rights of a member unchanged until the transaction ends. Other
// transactions may do the same. Issuing tokens takes this lock: a change of the rights
// then either revokes the tokens, or is found by them. The rights must be read after
// the lock.
func (s *Store) LockShared(ctx context.Context, tx pgx.Tx, organizationID, userID string) error {
	_, err := postgres.TxExec(ctx, tx, `SELECT FROM users u JOIN memberships m ON m.user_id = u.id
		WHERE m.organization_id = $1 AND m.user_id = $2 FOR SHARE OF u, m`, organizationID, userID)
	return err
}

// MembersByID returns the members among some users, including service accounts.
func (s *Store) MembersByID(ctx context.Context, organizationID string, userIDs []string) ([]Member, error) {
	return postgres.QueryAll(ctx, s.db, postgres.Scope{OrganizationID: organizationID}, scanMember,
		selectMember+" AND m.user_id = ANY ($2::uuid[])", organizationID, userIDs)
}

// membersIn is [Store.MembersByID] in a transaction in the organization's scope.
func (s *Store) membersIn(ctx context.Context, tx pgx.Tx, organizationID string, userIDs []string) ([]Member, error) {
	return postgres.TxAll(ctx, tx, scanMember, selectMember+" AND m.user_id = ANY ($2::uuid[])", organizationID, userIDs)
}

// Lock lets one transaction at a time change the members of an organization.
func (s *Store) Lock(ctx context.Context, tx pgx.Tx, organizationID string) error {
	_, err := postgres.TxOne(ctx, tx, pgx.RowTo[string], "SELECT id::text FROM organizations WHERE id = $1 AND deleted_at IS NULL FOR UPDATE", organizationID)
	return postgres.NotFound(err, "organization")
}

// owners counts the owners of an organization, under Lock.
func (s *Store) owners(ctx context.Context, tx pgx.Tx, organizationID string) (int, error) {
	return postgres.TxOne(ctx, tx, pgx.RowTo[int],
		"SELECT count(*) FROM memberships WHERE organization_id = $1 AND 'owner' = ANY (roles)", organizationID)
}

// customRole is a custom role with its permissions.
type customRole struct {
	ID          string
	Permissions []string
}

// customRoles returns the custom roles of the organization among roles.
func (s *Store) customRoles(ctx context.Context, tx pgx.Tx, organizationID string, roles []string) ([]customRole, error) {
	return postgres.TxAll(ctx, tx, pgx.RowToStructByPos[customRole],
		"SELECT id::text, permissions FROM roles WHERE organization_id = $1 AND id::text = ANY ($2)", organizationID, roles)
}

// SaveMember stores a member's roles.
func (s *Store) SaveMember(ctx context.Context, tx pgx.Tx, m Member) error {
	_, err := postgres.TxExec(ctx, tx, "UPDATE memberships SET roles = $3, updated_at = $4 WHERE organization_id = $1 AND user_id = $2",
		m.OrganizationID, m.User.ID, m.Roles, m.UpdateTime)
	return err
}

// DeleteMember deletes a membership. The member's sessions in the organization can no
// longer be refreshed.
func (s *Store) DeleteMember(ctx context.Context, tx pgx.Tx, m Member) error {
	// The membership is deleted first. A session that is being opened locks it, and is found below.
	for _, table := range []string{"memberships", "suspended_memberships"} {
		if _, err := postgres.TxExec(ctx, tx, "DELETE FROM "+table+" WHERE organization_id = $1 AND user_id = $2", m.OrganizationID, m.User.ID); err != nil {
			return err
		}
	}
	_, err := postgres.TxExec(ctx, tx, `UPDATE sessions SET revoked_at = $3
		WHERE organization_id = $1 AND user_id = $2 AND revoked_at IS NULL`, m.OrganizationID, m.User.ID, m.UpdateTime)
	return err
}
