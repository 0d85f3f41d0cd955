package surface_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	"github.com/gatehouse/gatehouse/platform/authz"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/services/auth"
)

// expiryColumn is a column with the time until which, or since which, a row is used.
type expiryColumn struct{ Table, Column string }

// expiryNames is a pattern of the names of such columns.
const expiryNames = `expire|expiry|until|purge|begins|ends_at|valid_`

// sweptByAge are tables without such a column. Their rows expire some time after their creation.
var sweptByAge = []expiryColumn{{"gatehouse.idempotency_keys", "created_at"}, {"auth.revocations", "created_at"}}

// neverSwept are columns with the name of an expiry whose rows do not expire, with the reason.
var neverSwept = map[expiryColumn]string{
	{"chat.runs", "lease_until"}: "a run is deleted with its conversation; the column is the lease of the process that executes it",
}

// expiringRows has, by table, an INSERT for the tables in which populate creates no row. $1 is a
// user, $2 an organization.
var expiringRows = map[string]string{
	"auth.factor_challenges": "INSERT INTO auth.factor_challenges (token_hash, user_id, methods, expires_at) SELECT 'x', $1::uuid, '{pwd}', now() + interval '1 day' WHERE $2::uuid IS NOT NULL",
	"auth.factor_tries":      "INSERT INTO auth.factor_tries (user_id, begins_at, wrong) SELECT $1::uuid, now(), 1 WHERE $2::uuid IS NOT NULL",
	"auth.mail_sign_ins": `INSERT INTO auth.mail_sign_ins (address_normalized, challenge_hash, token_hash, code_hash, user_id, expires_at, wrong_since)
		SELECT 'x', 'x', 'x', 'x', $1::uuid, now() + interval '1 day', now() WHERE $2::uuid IS NOT NULL`,
	"auth.mail_tokens": `INSERT INTO auth.mail_tokens (id, purpose, token_hash, address, address_normalized, user_id, created_at, expires_at)
		SELECT gen_random_uuid(), 'verify', 'x', 'x', 'x', $1::uuid, now(), now() + interval '1 day' WHERE $2::uuid IS NOT NULL`,
	"auth.passkey_ceremonies": "INSERT INTO auth.passkey_ceremonies (token_hash, purpose, state, expires_at) SELECT 'x', 'sign_in', '{}', now() + interval '1 day' WHERE $1::uuid <> $2::uuid",
	"auth.provider_attempts": `INSERT INTO auth.provider_attempts (state_hash, secret_hash, provider, redirect_uri, expires_at)
		SELECT 'x', 'x', 'x', 'x', now() + interval '1 day' WHERE $1::uuid <> $2::uuid`,
	"auth.organizations": `INSERT INTO auth.organizations (id, display_name, personal, created_at, updated_at, deleted_at, purge_at)
		SELECT gen_random_uuid(), 'x', false, now(), now(), now(), now() + interval '1 day' WHERE $1::uuid <> $2::uuid`,
	"auth.revocations":   "INSERT INTO auth.revocations (id, user_id, created_at) SELECT gen_random_uuid(), $1::uuid, now() WHERE $2::uuid IS NOT NULL",
	"auth.letter_counts": "INSERT INTO auth.letter_counts (recipient, kind, begins_at, letters) SELECT 'x', 'x', now(), 1 WHERE $1::uuid <> $2::uuid",
}

// The services sweep every table whose rows expire: expired rows are deleted, and the others
// stay. The test finds a new table by the name of its column.
func TestSweep_ExpiredRows_AreDeletedFromEveryTable(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	owner := i.SignUp(t, "owner@example.com")
	populate(t, i, owner)
	for _, insert := range expiringRows {
		i.Database.AdminExec(t, insert, owner.UserID, owner.OrganizationID)
	}
	columns := append(query(t, i.Database, pgx.RowToStructByPos[expiryColumn], `
		SELECT n.nspname || '.' || c.relname, a.attname::text FROM pg_class c
		JOIN pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^(pg_|jobs_|information_schema)' AND a.attname ~ $1
			AND a.atttypid IN ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype) ORDER BY 1, 2`, expiryNames), sweptByAge...)
	if len(columns) < 15 {
		t.Fatalf("only %d columns: the test proves nothing", len(columns))
	}
	sweep := sweeper(t, i)
	count := func(c expiryColumn) int {
		return query(t, i.Database, pgx.RowTo[int], "SELECT count(*) FROM "+c.Table+" WHERE "+c.Column+" IS NOT NULL")[0]
	}
	for _, table := range []string{"auth.api_keys", "chat.event_tickets"} {
		i.Database.AdminExec(t, "UPDATE "+table+" SET expires_at = now() + interval '1 day'")
	}
	before := map[expiryColumn]int{}
	for _, c := range columns {
		if before[c] = count(c); before[c] == 0 && neverSwept[c] == "" {
			t.Errorf("%s.%s: neither populate nor expiringRows creates a row, so the test proves nothing about it", c.Table, c.Column)
		}
	}
	sweep()
	for _, c := range columns {
		if after := count(c); after < before[c] {
			t.Errorf("%s.%s: %d of %d rows are left, and none had expired", c.Table, c.Column, after, before[c])
		}
	}
	for _, c := range columns {
		if neverSwept[c] == "" {
			i.Database.AdminExec(t, "UPDATE "+c.Table+" SET "+c.Column+" = now() - interval '400 days' WHERE "+c.Column+" IS NOT NULL")
		}
	}
	sweep()
	for _, c := range columns {
		if left := count(c); left > 0 && neverSwept[c] == "" {
			t.Errorf("%s.%s: %d expired rows are not swept (see auth.Service.Sweep and the Sweeps of the rooms of chat)", c.Table, c.Column, left)
		}
	}
}

// sweeper returns a function that deletes all expired rows, as the services do
// every minute.
func sweeper(t *testing.T, i *inprocess.Installation) func() {
	t.Helper()
	authorizer, err := authz.New()
	if err != nil {
		t.Fatal(err)
	}
	service, err := auth.New(auth.Config{Issuer: i.URL, SecretKey: i.Database.SecretKey, Settings: auth.Settings{PasswordWait: time.Second, InvitationsPerDay: 1}}, auth.Deps{
		DB: i.Database.Open(t, "auth"), Clock: clock.System(), Log: slog.New(slog.DiscardHandler), Authorizer: authorizer,
	})
	if err != nil {
		t.Fatal(err)
	}
	chat := chatService(t, i)
	return func() {
		t.Helper()
		if err := service.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := chat.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
