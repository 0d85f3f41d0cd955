package auth_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/revocation"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

const (
	manySessions = 50_000
	manyMembers  = 5_000
	// longChain is how often one session was refreshed.
	longChain = 3_000
	pageSize  = 100
)

// effort is what Postgres read of auth's tables and indexes.
type effort struct{ rows, buffers int64 }

// effort tells what the service's statements read while do runs, by Postgres' own
// count, which does not depend on how busy the machine is.
func (b *bundle) effort(t *testing.T, do func()) effort {
	t.Helper()
	before := b.readSoFar(t)
	do()
	after := b.readSoFar(t)
	return effort{after.rows - before.rows, after.buffers - before.buffers}
}

func (b *bundle) readSoFar(t *testing.T) effort {
	t.Helper()
	// A backend tells of what it did at most once in a second, if it is not forced to.
	for _, conn := range b.db.Pool().AcquireAllIdle(t.Context()) {
		_, err := conn.Exec(t.Context(), "SELECT pg_stat_force_next_flush()")
		must(t, err)
		conn.Release()
	}
	conn, err := pgx.Connect(t.Context(), b.database.AdminURL)
	must(t, err)
	// One whose connection was closed tells of it as it ends, which may be later.
	waitFor(t, func() bool {
		var ending int
		must(t, conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()`).Scan(&ending))
		return ending == 0
	})
	var e effort
	must(t, conn.QueryRow(t.Context(), `SELECT sum(t.seq_tup_read + coalesce(t.idx_tup_fetch, 0) + coalesce(i.read, 0))::bigint,
			sum(io.heap_blks_hit + io.heap_blks_read + coalesce(io.idx_blks_hit + io.idx_blks_read, 0))::bigint
		FROM pg_stat_user_tables t JOIN pg_statio_user_tables io USING (relid)
		LEFT JOIN (SELECT relid, sum(idx_tup_read) AS read FROM pg_stat_user_indexes GROUP BY relid) i USING (relid)
		WHERE t.schemaname = 'auth'`).Scan(&e.rows, &e.buffers))
	must(t, conn.Close(t.Context()))
	return e
}

// analyze leaves the tables as autovacuum would, which then does not come between.
func (b *bundle) analyze(t *testing.T, tables ...string) {
	t.Helper()
	for _, table := range tables {
		b.database.AdminExec(t, "ALTER TABLE auth."+table+" SET (autovacuum_enabled = false)")
		b.database.AdminExec(t, "VACUUM ANALYZE auth."+table)
	}
}

// wantFew fails when something read more than a page needs, or did not read at all.
func wantFew(t *testing.T, what string, e effort) {
	t.Helper()
	if e.buffers == 0 || e.rows > 20*pageSize || e.buffers > 20*pageSize {
		t.Errorf("%s read %d rows and %d buffers", what, e.rows, e.buffers)
	}
}

// wantLevelPages reads a list to its end: nothing comes twice, nothing is missing,
// and the last page costs what the first does.
func (b *bundle) wantLevelPages(t *testing.T, total int, page func(token string) (ids []string, next string)) {
	t.Helper()
	seen, token := make(map[string]bool, total), ""
	var first, last effort
	for {
		var ids []string
		var next string
		read := func() { ids, next = page(token) }
		switch full := len(seen) + pageSize; {
		case token == "":
			first = b.effort(t, read)
		case full >= total-pageSize && full < total:
			// The last that is full, and so comparable.
			last = b.effort(t, read)
		default:
			read()
		}
		for _, id := range ids {
			if seen[id] {
				t.Fatalf("%s came twice", id)
			}
			seen[id] = true
		}
		if token = next; token == "" {
			break
		}
	}
	if len(seen) != total {
		t.Errorf("%d of %d came", len(seen), total)
	}
	wantFew(t, "the first page", first)
	wantFew(t, "the last page", last)
	if last.buffers > first.buffers*3/2 || last.rows > first.rows*3/2 {
		t.Errorf("the first page read %+v, the last %+v", first, last)
	}
}

// addSessions gives a user as many sessions as a robot makes in weeks, with many at
// each moment, and one of them as many refreshes.
func (b *bundle) addSessions(t *testing.T, p *identity.Principal) {
	t.Helper()
	b.database.AdminExec(t, `INSERT INTO auth.sessions
			(organization_id, id, user_id, user_agent, ip_address, methods, auth_time, created_at, expires_at)
		SELECT $1, gen_random_uuid(), $2, 'robot', '192.0.2.1', ARRAY ['pwd'], at, at, at + interval '30 days'
		FROM (SELECT now() - interval '20 days' + n / 7 * interval '1 second' AS at FROM generate_series(1, $3::integer) n) made`,
		p.OrganizationID, p.UserID, manySessions)
	b.database.AdminExec(t, `INSERT INTO auth.refresh_tokens (organization_id, token_hash, session_id, created_at, expires_at)
		SELECT organization_id, sha256(id::text::bytea), id, created_at, expires_at FROM auth.sessions WHERE user_agent = 'robot'`)
	b.database.AdminExec(t, `INSERT INTO auth.refresh_tokens (organization_id, token_hash, session_id, created_at, expires_at, used_at)
		SELECT s.organization_id, sha256((s.id::text || n)::bytea), s.id, s.created_at + n * interval '1 minute', s.expires_at, now()
		FROM (SELECT * FROM auth.sessions WHERE user_agent = 'robot' ORDER BY created_at LIMIT 1) s, generate_series(1, $1::integer) n`, longChain)
	b.analyze(t, "sessions", "refresh_tokens")
}

func TestManySessionsOfOneUser(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tokens, p := b.signUp(t, "ada@example.org")
	b.addSessions(t, p)
	b.wantLevelPages(t, manySessions+1, func(token string) (ids []string, next string) {
		page, err := b.userSessions.ListUserSessions(with(t.Context(), tokens), &authv1.ListUserSessionsRequest{PageSize: pageSize, PageToken: token})
		must(t, err)
		for _, s := range page.GetSessions() {
			ids = append(ids, s.GetId())
		}
		return ids, page.GetNextPageToken()
	})
	var again *authv1.TokenResponse
	wantFew(t, "a sign-in", b.effort(t, func() { again = b.signIn(t, "ada@example.org") }))
	wantFew(t, "a refresh", b.effort(t, func() { again = b.refreshed(t, again) }))

	// As many statements as for one session, with what prepares them.
	ctx, span := trace.NewTracerProvider().Tracer("test").Start(t.Context(), "reset")
	must(t, b.service.ResetFactors(ctx, "ada@example.org"))
	span.End()
	if n := len(b.statements.Ended()); n == 0 || n > 40 {
		t.Errorf("ending %d sessions took %d statements", manySessions, n)
	}
	const ended = "50002 50002 50002"
	if got := adminText(t, b, `SELECT concat_ws(' ', (SELECT count(*) FROM auth.sessions WHERE revoked_at IS NOT NULL),
		(SELECT count(DISTINCT session_id) FROM auth.revocations),
		(SELECT count(DISTINCT resource_id) FROM audit.events WHERE action = 'auth.session.revoked' AND organization_id = $1))`,
		p.OrganizationID); got != ended {
		t.Errorf("sessions, revocations and events of the trail are %s, want %s", got, ended)
	}
	// What has ended is not in the way of what has not.
	b.analyze(t, "sessions", "refresh_tokens", "revocations")
	again = b.signIn(t, "ada@example.org")
	wantFew(t, "the list of one session", b.effort(t, func() {
		if left := b.listSessions(t, again); len(left) != 1 {
			t.Errorf("%d sessions are left", len(left))
		}
	}))
}

// A user's sign-ins are compared with its own, however many sessions clients have
// opened for it since.
func TestManySessionsOfClientsAreNotInTheWay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tokens, p := b.signUp(t, "ada@example.org")
	b.addSessions(t, p)
	b.database.AdminExec(t, "UPDATE auth.sessions SET client_id = gen_random_uuid() WHERE user_agent = 'robot'")
	b.analyze(t, "sessions")
	wantFew(t, "a sign-in", b.effort(t, func() { b.signIn(t, "ada@example.org") }))
	wantFew(t, "the list of sessions", b.effort(t, func() {
		if own := b.listSessions(t, tokens); len(own) != 2 {
			t.Errorf("%d sessions are the user's own", len(own))
		}
	}))
}

func TestManyMembersOfOneOrganization(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tokens, p := b.signUp(t, "ada@example.org")
	b.addMembers(t, p.OrganizationID, "member")
	b.wantLevelPages(t, manyMembers+1, func(token string) (ids []string, next string) {
		page, err := b.organizations.ListMembers(with(t.Context(), tokens),
			&authv1.ListMembersRequest{OrganizationId: p.OrganizationID, PageSize: pageSize, PageToken: token})
		must(t, err)
		for _, m := range page.GetMembers() {
			ids = append(ids, m.GetUserId())
		}
		return ids, page.GetNextPageToken()
	})
	wantFew(t, "a sign-in", b.effort(t, func() { tokens = b.signIn(t, "ada@example.org") }))
	wantFew(t, "a refresh", b.effort(t, func() { tokens = b.refreshed(t, tokens) }))
	wantFew(t, "who one is", b.effort(t, func() { b.permissions(t, tokens) }))
}

// addMembers gives an organization members with a role.
func (b *bundle) addMembers(t *testing.T, organizationID, role string) {
	t.Helper()
	b.database.AdminExec(t, `WITH made AS (
			INSERT INTO auth.users (id, email, email_normalized, email_verified, display_name, password_hash, created_at, updated_at)
			SELECT gen_random_uuid(), n || '@example.net', n || '@example.net', true, 'Member ' || n, '', at, at
			FROM (SELECT n, now() - interval '1 day' + n / 7 * interval '1 second' AS at FROM generate_series(1, $3::integer) n) numbered
			RETURNING id, created_at)
		INSERT INTO auth.memberships (organization_id, user_id, roles, created_at, updated_at)
		SELECT $1::uuid, id, ARRAY [$2::text], created_at, created_at FROM made`, organizationID, role, manyMembers)
	b.analyze(t, "users", "memberships")
}

// counted counts the calls that are made over a connection.
type counted struct {
	grpc.ClientConnInterface

	calls int
}

func (c *counted) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	c.calls++
	return c.ClientConnInterface.Invoke(ctx, method, args, reply, opts...)
}

// S22: a change that concerns thousands is heard whole, and asking again and again
// while it is new takes few calls.
func TestS22ARoleOfManyMembersIsHeardInFewCalls(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tokens, p := b.signUp(t, "ada@example.org")
	r := b.createRole(t, tokens, "Reader", "chat.read")
	b.addMembers(t, p.OrganizationID, r.GetId())
	_, err := b.updateRole(with(t.Context(), tokens), p.OrganizationID, &authv1.Role{Id: r.GetId(), Permissions: []string{"knowledge.read"}}, "permissions")
	must(t, err)
	must(t, b.service.DisableUser(t.Context(), "ada@example.org", true))
	conn := &counted{ClientConnInterface: b.conn}
	found, err := revocation.Remote(conn)(b.asService(t, "auth"), p.IssueTime)
	must(t, err)
	users := map[string]bool{}
	for _, r := range found {
		if r.OrganizationID == p.OrganizationID {
			users[r.UserID] = true
		}
	}
	// And of ada the session and the user.
	if len(found) != manyMembers+2 || len(users) != manyMembers || conn.calls != 2 {
		t.Errorf("%d revocations of %d users came in %d calls", len(found), len(users), conn.calls)
	}
}
