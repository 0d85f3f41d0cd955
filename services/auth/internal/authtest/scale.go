package authtest

import (
	"strconv"
	"testing"

	"github.com/gatehouse/gatehouse/platform/identity"
)

const (
	// ManySessions is the number of sessions that AddSessions opens.
	ManySessions = 50_000
	// ManyMembers is the number of members that AddMembers adds.
	ManyMembers = 5_000
	// PageSize is the size of the pages that the tests read.
	PageSize = 100
	// refreshes is how often AddSessions refreshes one session.
	refreshes = 3_000
)

// Effort is the number of rows and buffers that Postgres read of the auth schema.
type Effort struct{ Rows, Buffers int64 }

// Effort measures what the service's statements read while do runs. Postgres counts it, so it
// does not depend on the load of the machine.
func (b *Bundle) Effort(t *testing.T, do func()) Effort {
	t.Helper()
	before := b.readSoFar(t)
	do()
	after := b.readSoFar(t)
	return Effort{after.Rows - before.Rows, after.Buffers - before.Buffers}
}

// readSoFar returns what Postgres has read of the auth schema until now.
func (b *Bundle) readSoFar(t *testing.T) Effort {
	t.Helper()
	// A backend reports what it did at most once in a second, unless it is forced to.
	for _, conn := range b.DB.Pool().AcquireAllIdle(t.Context()) {
		_, err := conn.Exec(t.Context(), "SELECT pg_stat_force_next_flush()")
		Must(t, err)
		conn.Release()
	}
	// A backend reports what it did when it ends, which may be after its connection was
	// closed.
	WaitFor(t, func() bool {
		return AdminText(t, b, `SELECT count(*)::text FROM pg_stat_activity
			WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()`) == "0"
	})
	read := b.Database.AdminQuery(t, `SELECT sum(t.seq_tup_read + coalesce(t.idx_tup_fetch, 0) + coalesce(i.read, 0))::text,
			sum(io.heap_blks_hit + io.heap_blks_read + coalesce(io.idx_blks_hit + io.idx_blks_read, 0))::text
		FROM pg_stat_user_tables t JOIN pg_statio_user_tables io USING (relid)
		LEFT JOIN (SELECT relid, sum(idx_tup_read) AS read FROM pg_stat_user_indexes GROUP BY relid) i USING (relid)
		WHERE t.schemaname = 'auth'`)[0]
	var e Effort
	var err error
	e.Rows, err = strconv.ParseInt(read[0], 10, 64)
	Must(t, err)
	e.Buffers, err = strconv.ParseInt(read[1], 10, 64)
	Must(t, err)
	return e
}

// Analyze leaves tables as autovacuum would, and turns autovacuum off for them.
func (b *Bundle) Analyze(t *testing.T, tables ...string) {
	t.Helper()
	for _, table := range tables {
		b.Database.AdminExec(t, "ALTER TABLE auth."+table+" SET (autovacuum_enabled = false)")
		b.Database.AdminExec(t, "VACUUM ANALYZE auth."+table)
	}
}

// WantFew fails the test when a statement read more than a page needs, or nothing at all.
func WantFew(t *testing.T, what string, e Effort) {
	t.Helper()
	if e.Buffers == 0 || e.Rows > 20*PageSize || e.Buffers > 20*PageSize {
		t.Errorf("%s read %d rows and %d buffers", what, e.Rows, e.Buffers)
	}
}

// WantLevelPages reads a list to its end. It fails the test when an item is repeated or missing, or
// when the last page costs more than the first.
func (b *Bundle) WantLevelPages(t *testing.T, total int, page func(token string) (ids []string, next string)) {
	t.Helper()
	seen, token := make(map[string]bool, total), ""
	var first, last Effort
	for {
		var ids []string
		var next string
		read := func() { ids, next = page(token) }
		switch full := len(seen) + PageSize; {
		case token == "":
			first = b.Effort(t, read)
		case full >= total-PageSize && full < total:
			// The last full page, which can be compared with the first.
			last = b.Effort(t, read)
		default:
			read()
		}
		for _, id := range ids {
			if seen[id] {
				t.Fatalf("%s is returned twice", id)
			}
			seen[id] = true
		}
		if token = next; token == "" {
			break
		}
	}
	if len(seen) != total {
		t.Errorf("%d of %d items are returned", len(seen), total)
	}
	WantFew(t, "the first page", first)
	WantFew(t, "the last page", last)
	if last.Buffers > first.Buffers*3/2 || last.Rows > first.Rows*3/2 {
		t.Errorf("the first page read %+v, the last %+v", first, last)
	}
}

// AddSessions gives a user as many sessions as a robot opens in weeks, several in each second, and
// one of them many refreshes.
func (b *Bundle) AddSessions(t *testing.T, p *identity.Principal) {
	t.Helper()
	b.Database.AdminExec(t, `INSERT INTO auth.sessions
			(organization_id, id, user_id, user_agent, ip_address, methods, auth_time, created_at, expires_at)
		SELECT $1, gen_random_uuid(), $2, 'robot', '192.0.2.1', ARRAY ['pwd'], at, at, at + interval '30 days'
		FROM (SELECT now() - interval '20 days' + n / 7 * interval '1 second' AS at FROM generate_series(1, $3::integer) n) made`,
		p.OrganizationID, p.UserID, ManySessions)
	b.Database.AdminExec(t, `INSERT INTO auth.refresh_tokens (organization_id, token_hash, session_id, created_at, expires_at)
		SELECT organization_id, sha256(id::text::bytea), id, created_at, expires_at FROM auth.sessions WHERE user_agent = 'robot'`)
	b.Database.AdminExec(t, `INSERT INTO auth.refresh_tokens (organization_id, token_hash, session_id, created_at, expires_at, used_at)
		SELECT s.organization_id, sha256((s.id::text || n)::bytea), s.id, s.created_at + n * interval '1 minute', s.expires_at, now()
		FROM (SELECT * FROM auth.sessions WHERE user_agent = 'robot' ORDER BY created_at LIMIT 1) s, generate_series(1, $1::integer) n`, refreshes)
	b.Analyze(t, "sessions", "refresh_tokens")
}

// AddMembers gives an organization members with a role.
func (b *Bundle) AddMembers(t *testing.T, organizationID, role string) {
	t.Helper()
	b.Database.AdminExec(t, `WITH made AS (
			INSERT INTO auth.users (id, email, email_normalized, email_verified, display_name, password_hash, created_at, updated_at)
			SELECT gen_random_uuid(), n || '@example.net', n || '@example.net', true, 'Member ' || n, '', at, at
			FROM (SELECT n, now() - interval '1 day' + n / 7 * interval '1 second' AS at FROM generate_series(1, $3::integer) n) numbered
			RETURNING id, created_at)
		INSERT INTO auth.memberships (organization_id, user_id, roles, created_at, updated_at)
		SELECT $1::uuid, id, ARRAY [$2::text], created_at, created_at FROM made`, organizationID, role, ManyMembers)
	b.Analyze(t, "users", "memberships")
}
