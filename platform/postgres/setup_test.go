package postgres_test

import (
	"context"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	role postgres.Role = "sample"

	acme = "01932c07-3b5a-7d21-8f6b-0c9a4e5d1b2f"
	bolt = "01932c07-3b5a-7d21-8f6b-0c9a4e5d1b30"
	anna = "01932c07-3b5a-7d21-8f6b-0c9a4e5d1b31"
)

const noteTable = `
CREATE TABLE note (
	organization_id uuid NOT NULL,
	id   bigint GENERATED ALWAYS AS IDENTITY,
	text text NOT NULL CHECK (text <> ''),
	PRIMARY KEY (organization_id, id),
	CONSTRAINT note_text_key UNIQUE (organization_id, text)
);
ALTER TABLE note ENABLE ROW LEVEL SECURITY;
ALTER TABLE note FORCE ROW LEVEL SECURITY;
CREATE POLICY organization ON note
	USING (organization_id = gatehouse.organization_id())
	WITH CHECK (organization_id = gatehouse.organization_id());
CREATE TABLE counter (name text PRIMARY KEY, value int NOT NULL);
INSERT INTO counter VALUES ('a', 0), ('b', 0);
`

func set() postgres.MigrationSet {
	return postgres.MigrationSet{
		Role:     role,
		FS:       fstest.MapFS{"0001_note.sql": {Data: []byte(noteTable)}},
		Settings: map[string]string{"plan_cache_mode": "force_custom_plan", "hnsw.iterative_scan": "relaxed_order", "hnsw.ef_search": "100"},
	}
}

// pooledConfig returns a configuration with different URLs, as with a pooler.
func pooledConfig(cfg postgres.Config) postgres.Config {
	cfg.DirectURL = cfg.URL + "&application_name=direct"
	return cfg
}

// recorder is a tracer that counts round trips: a query or a batch each.
type recorder struct {
	pgx.QueryTracer
	mu         sync.Mutex
	statements []string
}

func (r *recorder) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	r.add(data.SQL)
	return ctx
}
func (r *recorder) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (r *recorder) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	r.add("batch")
	return ctx
}
func (r *recorder) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (r *recorder) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

func (r *recorder) add(sql string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.statements = append(r.statements, sql)
}

// take returns the recorded statements, and clears the record.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.statements
	r.statements = nil
	return taken
}

func open(t *testing.T) *postgres.DB {
	t.Helper()
	return pgtest.New(t, set()).Open(t, role)
}

func addNote(t *testing.T, db *postgres.DB, organization, text string) {
	t.Helper()
	_, err := postgres.Exec(t.Context(), db, postgres.Scope{OrganizationID: organization},
		"INSERT INTO note (organization_id, text) VALUES ($1, $2)", organization, text)
	if err != nil {
		t.Fatal(err)
	}
}

func notes(t *testing.T, db *postgres.DB, scope postgres.Scope) []string {
	t.Helper()
	found, err := postgres.QueryAll(t.Context(), db, scope, pgx.RowTo[string], "SELECT text FROM note ORDER BY text")
	if err != nil {
		t.Fatal(err)
	}
	return found
}
