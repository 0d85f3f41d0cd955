package invitation

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

// list declares how invitations are ordered.
var list = paging.List{ //nolint:gochecknoglobals // a constant table
	Name:         "invitations",
	ID:           "id",
	Fields:       map[string]paging.Field{"createTime": {Column: "created_at", Type: paging.Time, Order: true}},
	DefaultOrder: "createTime desc",
}

const columns = "organization_id::text, id::text, inviter_id::text, email, roles, created_at, expires_at, accepted_at"

// store stores invitations in Postgres.
type store struct {
	db     *postgres.DB
	tokens *paging.Tokens
}

// newStore returns a store.
func newStore(db *postgres.DB, tokens *paging.Tokens) *store { return &store{db: db, tokens: tokens} }

func scan(row pgx.CollectableRow) (Invitation, error) {
	var i Invitation
	err := row.Scan(&i.OrganizationID, &i.ID, &i.InviterID, &i.Email, &i.Roles, &i.CreateTime, &i.ExpireTime, &i.AcceptTime)
	return i, err
}

func (s *store) inTx(ctx context.Context, scope postgres.Scope, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return s.db.InTx(ctx, scope, fn)
}

// isMember reports whether a member of the organization has an address.
func (s *store) isMember(ctx context.Context, tx pgx.Tx, organizationID, address string) (bool, error) {
	return postgres.TxOne(ctx, tx, pgx.RowTo[bool], `SELECT EXISTS (
		SELECT FROM memberships m JOIN users u ON u.id = m.user_id WHERE m.organization_id = $1 AND u.email_normalized = $2)`,
		organizationID, address)
}

// countPending returns the number of pending invitations.
func (s *store) countPending(ctx context.Context, tx pgx.Tx, organizationID string, now time.Time) (int, error) {
	return postgres.TxOne(ctx, tx, pgx.RowTo[int],
		"SELECT count(*) FROM invitations WHERE organization_id = $1 AND accepted_at IS NULL AND expires_at > $2", organizationID, now)
}

// pendingList returns the pending invitations of an organization.
func (s *store) pendingList(ctx context.Context, tx pgx.Tx, organizationID string, now time.Time) ([]Invitation, error) {
	return postgres.TxAll(ctx, tx, scan, "SELECT "+columns+` FROM invitations
		WHERE organization_id = $1 AND accepted_at IS NULL AND expires_at > $2 ORDER BY id`, organizationID, now)
}

// pendingFor returns the pending invitation for an address, if there is one.
func (s *store) pendingFor(ctx context.Context, tx pgx.Tx, organizationID, address string, now time.Time) ([]Invitation, error) {
	return postgres.TxAll(ctx, tx, scan, "SELECT "+columns+` FROM invitations
		WHERE organization_id = $1 AND email_normalized = $2 AND accepted_at IS NULL AND expires_at > $3`, organizationID, address, now)
}

// lockInviter locks the sender of an invitation, so that two invitations of one sender,
// from any organizations, are counted one after the other.
func (s *store) lockInviter(ctx context.Context, tx pgx.Tx, inviterID string) error {
	_, err := postgres.TxExec(ctx, tx, "SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE", inviterID)
	return err
}

// sent returns the sender of an invitation, with the numbers of invitations sent on a
// day.
func (s *store) sent(ctx context.Context, tx pgx.Tx, i Invitation, day time.Time) (sender, error) {
	return postgres.TxOne(ctx, tx, func(row pgx.CollectableRow) (sender, error) {
		var s sender
		err := row.Scan(&s.isPerson, &s.confirmed, &s.byUser, &s.byOrganization)
		return s, err
	}, `SELECT EXISTS (SELECT FROM users u WHERE u.id = $2 AND u.kind = 'person'),
		EXISTS (SELECT FROM users u WHERE u.id = $2 AND u.email_verified) OR
			EXISTS (SELECT FROM users u, memberships m JOIN users o ON o.id = m.user_id
				WHERE u.id = $2 AND u.kind = 'service' AND m.organization_id = $1 AND 'owner' = ANY (m.roles) AND o.email_verified),
		coalesce((SELECT sum(sent) FROM invitation_counts WHERE inviter_id = $2 AND day = $3), 0)::integer,
		coalesce((SELECT sum(sent) FROM invitation_counts WHERE organization_id = $1 AND day = $3), 0)::integer`,
		i.OrganizationID, i.InviterID, day)
}

// countsKept is how long a day's count is kept after the day began.
const countsKept = 2 * 24 * time.Hour

// count counts an invitation as sent on a day.
func (s *store) count(ctx context.Context, tx pgx.Tx, i Invitation, day time.Time) error {
	_, err := postgres.TxExec(ctx, tx, `INSERT INTO invitation_counts AS c (organization_id, inviter_id, day, sent, expires_at)
		VALUES ($1, $2, $3, 1, $4) ON CONFLICT (organization_id, inviter_id, day) DO UPDATE SET sent = c.sent + 1`,
		i.OrganizationID, i.InviterID, day, day.Add(countsKept))
	return err
}

// replace adds an invitation, and deletes the pending one for its address.
func (s *store) replace(ctx context.Context, tx pgx.Tx, i Invitation, address string) error {
	if _, err := postgres.TxExec(ctx, tx, "DELETE FROM invitations WHERE organization_id = $1 AND email_normalized = $2 AND accepted_at IS NULL",
		i.OrganizationID, address); err != nil {
		return err
	}
	_, err := postgres.TxExec(ctx, tx, `INSERT INTO invitations
		(organization_id, id, email, email_normalized, roles, inviter_id, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		i.OrganizationID, i.ID, i.Email, address, i.Roles, i.InviterID, i.CreateTime, i.ExpireTime)
	if name, ok := postgres.ViolatedConstraint(err); ok && name == "invitations_pending" {
		return fault.New(faultv1.Reason_REASON_CONFLICT, "the address was invited at the same time")
	}
	return err
}

// remove withdraws an invitation.
func (s *store) remove(ctx context.Context, tx pgx.Tx, organizationID, id string) (Invitation, error) {
	i, err := postgres.TxOne(ctx, tx, scan, "DELETE FROM invitations WHERE organization_id = $1 AND id = $2 RETURNING "+columns, organizationID, id)
	return i, postgres.NotFound(err, "invitation")
}

// list returns a page of an organization's invitations.
func (s *store) list(ctx context.Context, organizationID string, req paging.Request) ([]Invitation, string, error) {
	return paging.Read(ctx, s.db, postgres.Scope{OrganizationID: organizationID}, paging.Query[Invitation]{
		List: list, Tokens: s.tokens, Request: req,
		SQL: "SELECT " + columns + " FROM invitations WHERE organization_id = $1", Args: []any{organizationID}, Scan: scan,
	})
}

// mailContent is the content of an invitation's email.
type mailContent struct{ organization, inviter string }

// setToken sets the token of an invitation, and returns the content of its email. It
// returns false when the invitation is no longer pending.
func (s *store) setToken(ctx context.Context, organizationID, id string, hash []byte, now time.Time) (mailContent, bool, error) {
	l, err := postgres.QueryOne(ctx, s.db, postgres.Scope{OrganizationID: organizationID}, func(row pgx.CollectableRow) (mailContent, error) {
		var l mailContent
		err := row.Scan(&l.organization, &l.inviter)
		return l, err
	}, `UPDATE invitations i SET token_hash = $3 FROM organizations o
		WHERE i.organization_id = $1 AND i.id = $2 AND i.accepted_at IS NULL AND i.expires_at > $4 AND o.id = i.organization_id
			AND o.deleted_at IS NULL
		RETURNING o.display_name, coalesce((SELECT u.display_name FROM users u WHERE u.id = i.inviter_id), '')`,
		organizationID, id, hash, now)
	if errors.Is(err, postgres.ErrNoRows) {
		return mailContent{}, false, nil
	}
	return l, err == nil, err
}

func (s *store) deleteExpired(ctx context.Context, now time.Time) error {
	if _, err := postgres.Sweep(ctx, s.db, "delete_expired_invitations", now.Add(-kept)); err != nil {
		return err
	}
	_, err := postgres.Sweep(ctx, s.db, "delete_expired_invitation_counts", now)
	return err
}

// isPending reports whether an invitation with a token is pending for an address.
func (s *store) isPending(ctx context.Context, hash []byte, address string, now time.Time) (bool, error) {
	return postgres.QueryOne(ctx, s.db, postgres.Scope{}, pgx.RowTo[bool], "SELECT waiting_invitation($1, $2, $3) IS NOT NULL", hash, address, now)
}

// find returns the organization of the pending invitation with a token and an address.
func (s *store) find(ctx context.Context, tx pgx.Tx, hash []byte, address string, now time.Time) (string, error) {
	organizationID, err := postgres.TxOne(ctx, tx, pgx.RowTo[*string], "SELECT waiting_invitation($1, $2, $3)::text", hash, address, now)
	if err != nil {
		return "", err
	}
	if organizationID == nil {
		return "", invalidInvitation()
	}
	return *organizationID, nil
}

// accept uses up the invitation with a token and an address, in a transaction in the
// organization's scope.
func (s *store) accept(ctx context.Context, tx pgx.Tx, organizationID string, hash []byte, address string, now time.Time) (Invitation, error) {
	i, err := postgres.TxOne(ctx, tx, scan, `UPDATE invitations SET accepted_at = $4, token_hash = NULL
		WHERE organization_id = $1 AND token_hash = $2 AND email_normalized = $3 AND accepted_at IS NULL AND expires_at > $4
		RETURNING `+columns, organizationID, hash, address, now)
	if errors.Is(err, postgres.ErrNoRows) {
		return i, invalidInvitation()
	}
	return i, err
}

func invalidInvitation() error {
	return fault.New(faultv1.Reason_REASON_TOKEN_INVALID, "the invitation is not valid for your address, or has expired: request another one")
}
