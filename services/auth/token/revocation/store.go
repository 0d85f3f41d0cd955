package revocation

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/revocation"
)

const sweepMost = 1000

// list declares how the feed is ordered.
var list = paging.List{ //nolint:gochecknoglobals // a constant table
	Name:         "revocations",
	ID:           "id",
	Fields:       map[string]paging.Field{"time": {Column: "created_at", Type: paging.Time, Order: true}},
	DefaultOrder: "time",
	MaxPageSize:  revocation.PageSize,
}

const selection = `SELECT id::text, coalesce(session_id::text, ''), coalesce(user_id::text, ''), coalesce(member_of::text, ''),
	coalesce(client_id::text, ''), created_at
	FROM revocations WHERE created_at >= $1`

// Store stores revocations in Postgres.
type Store struct {
	db     *postgres.DB
	tokens *paging.Tokens
	clock  clock.Clock
}

// NewStore returns a store.
func NewStore(db *postgres.DB, tokens *paging.Tokens, clk clock.Clock) *Store {
	return &Store{db: db, tokens: tokens, clock: clk}
}

// RevokeSession revokes the tokens of a session, in the transaction that ends it.
func (s *Store) RevokeSession(ctx context.Context, tx pgx.Tx, sessionID string) error {
	return s.insert(ctx, tx, revocation.Revocation{SessionID: sessionID})
}

// RevokeSessions is [Store.RevokeSession] for many sessions.
func (s *Store) RevokeSessions(ctx context.Context, tx pgx.Tx, sessionIDs []string) error {
	_, err := postgres.TxExec(ctx, tx, `INSERT INTO revocations (id, session_id, created_at)
		SELECT r.id, r.session_id, $3 FROM unnest($1::uuid[], $2::uuid[]) AS r (id, session_id)`,
		id.NewEach(len(sessionIDs)), sessionIDs, clock.Stamp(s.clock))
	return err
}

// RevokeUser revokes every token that a user has now.
func (s *Store) RevokeUser(ctx context.Context, tx pgx.Tx, userID string) error {
	return s.insert(ctx, tx, revocation.Revocation{UserID: userID})
}

// RevokeMember revokes a user's tokens for an organization, in the transaction that
// changes the user's rights there.
func (s *Store) RevokeMember(ctx context.Context, tx pgx.Tx, organizationID, userID string) error {
	return s.insert(ctx, tx, revocation.Revocation{UserID: userID, OrganizationID: organizationID})
}

// RevokeOrganization revokes every token for an organization, in the transaction that
// deletes it.
func (s *Store) RevokeOrganization(ctx context.Context, tx pgx.Tx, organizationID string) error {
	return s.insert(ctx, tx, revocation.Revocation{OrganizationID: organizationID})
}

// RevokeClient revokes every token of an OAuth client.
func (s *Store) RevokeClient(ctx context.Context, tx pgx.Tx, clientID string) error {
	return s.insert(ctx, tx, revocation.Revocation{ClientID: clientID})
}

// RevokeMembers is [Store.RevokeMember] for many users.
func (s *Store) RevokeMembers(ctx context.Context, tx pgx.Tx, organizationID string, userIDs []string) error {
	_, err := postgres.TxExec(ctx, tx, `INSERT INTO revocations (id, user_id, member_of, created_at)
		SELECT r.id, r.user_id, $3, $4 FROM unnest($1::uuid[], $2::uuid[]) AS r (id, user_id)`,
		id.NewEach(len(userIDs)), userIDs, organizationID, clock.Stamp(s.clock))
	return err
}

func (s *Store) insert(ctx context.Context, tx pgx.Tx, r revocation.Revocation) error {
	_, err := postgres.TxExec(ctx, tx, `INSERT INTO revocations (id, session_id, user_id, member_of, client_id, created_at)
		VALUES ($1, nullif($2, '')::uuid, nullif($3, '')::uuid, nullif($4, '')::uuid, nullif($5, '')::uuid, $6)`,
		id.New(), r.SessionID, r.UserID, r.OrganizationID, r.ClientID, clock.Stamp(s.clock))
	return err
}

// IsRevoked reports whether a token has been revoked. It reads the database.
func (s *Store) IsRevoked(ctx context.Context, p *identity.Principal) (bool, error) {
	return postgres.QueryOne(ctx, s.db, postgres.Scope{}, pgx.RowTo[bool], `SELECT EXISTS (SELECT FROM revocations r
		WHERE r.created_at >= $1 AND (r.session_id::text = $2 OR r.created_at >= $3
			AND (r.user_id::text = $4 AND (r.member_of IS NULL OR r.member_of::text = $5) OR r.client_id::text = $6
				OR r.member_of::text = $5 AND r.user_id IS NULL)))`,
		s.clock.Now().Add(-revocation.Lifetime), p.SessionID, p.IssueTime, p.UserID, p.OrganizationID, p.ClientID)
}

func scan(row pgx.CollectableRow) (revocation.Revocation, error) {
	var r revocation.Revocation
	err := row.Scan(&r.ID, &r.SessionID, &r.UserID, &r.OrganizationID, &r.ClientID, &r.Time)
	return r, err
}

// list returns a page of the revocations since a time.
func (s *Store) list(ctx context.Context, since time.Time, req paging.Request) ([]revocation.Revocation, string, error) {
	return paging.Read(ctx, s.db, postgres.Scope{}, paging.Query[revocation.Revocation]{
		List: list, Tokens: s.tokens, Request: req, SQL: selection, Args: []any{since}, Scan: scan,
	})
}

// Since returns all revocations since a time. It is the feed for auth's own process.
func (s *Store) Since(ctx context.Context, since time.Time) ([]revocation.Revocation, error) {
	return postgres.QueryAll(ctx, s.db, postgres.Scope{}, scan, selection+" ORDER BY created_at, id", since)
}

// deleteOld deletes the revocations whose tokens have all expired.
func (s *Store) deleteOld(ctx context.Context) error {
	for {
		n, err := postgres.Exec(ctx, s.db, postgres.Scope{}, `DELETE FROM revocations WHERE id IN (
			SELECT id FROM revocations WHERE created_at < $1 ORDER BY created_at LIMIT $2)`,
			s.clock.Now().Add(-revocation.Lifetime), sweepMost)
		if err != nil || n < sweepMost {
			return err
		}
	}
}
