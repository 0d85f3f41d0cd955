package postgres_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pgvector/pgvector-go"

	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// everything has one field for each type that a store passes.
type everything struct {
	ID      string
	IDs     []string
	Names   []string
	Vector  pgvector.Vector
	JSON    map[string]any
	At      time.Time
	Never   *time.Time
	Count   int
	Big     int64
	Ratio   float64
	Yes     bool
	Bytes   []byte
	Missing *string
	Lasts   time.Duration
}

// Both query modes must return the same value for every type.
func TestArguments_EveryTypeAndMode_ReturnUnchanged(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t, set())
	json, err := postgres.JSON(map[string]any{"key": "it's \"quoted\""})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
	args := []any{
		acme, []string{acme, bolt}, []string{"a", `b,"c"`, "", "NULL"}, pgvector.NewVector([]float32{1, -2.5, 0.25}),
		json, at, nil, 42, int64(1) << 40, 0.1, true, []byte{0, 1, 255}, nil, 90 * time.Second,
	}
	const query = `SELECT $1::uuid, $2::uuid[], $3::text[], $4::vector, $5::jsonb, $6::timestamptz, $7::timestamptz,
		$8::int, $9::bigint, $10::float8, $11::bool, $12::bytea, $13::text, $14::interval`
	for name, cfg := range map[string]postgres.Config{"direct": database.Config(), "pooled": pooledConfig(database.Config())} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.OpenConfig(t, cfg, role)
			if db.Pooled() != (name == "pooled") {
				t.Errorf("Pooled() = %v", db.Pooled())
			}
			for range 2 { // the second time from the statement cache, if any
				got, err := postgres.QueryOne(t.Context(), db, inAcme, pgx.RowToStructByPos[everything], query, args...)
				if err != nil {
					t.Fatal(err)
				}
				check(t, got, at)
			}
		})
	}
}

func check(t *testing.T, got everything, at time.Time) {
	t.Helper()
	for what, ok := range map[string]bool{
		"uuid":        got.ID == acme,
		"uuid[]":      len(got.IDs) == 2 && got.IDs[1] == bolt,
		"text[]":      len(got.Names) == 4 && got.Names[1] == `b,"c"` && got.Names[2] == "" && got.Names[3] == "NULL",
		"vector":      len(got.Vector.Slice()) == 3 && got.Vector.Slice()[1] == -2.5,
		"jsonb":       got.JSON["key"] == `it's "quoted"`,
		"timestamptz": got.At.Equal(at) && got.Never == nil,
		"numbers":     got.Count == 42 && got.Big == 1<<40 && got.Ratio == 0.1,
		"bool":        got.Yes,
		"bytea":       len(got.Bytes) == 3 && got.Bytes[2] == 255,
		"null":        got.Missing == nil,
		"interval":    got.Lasts == 90*time.Second,
	} {
		if !ok {
			t.Errorf("%s is not returned as it was sent: %+v", what, got)
		}
	}
}

// Inserts, and arrays in conditions, need no cast where the column has the type.
func TestStatement_ColumnHasTheType_NeedsNoCast(t *testing.T) {
	t.Parallel()
	db := pgtest.OpenConfig(t, pooledConfig(pgtest.New(t, set()).Config()), role)
	addNote(t, db, acme, "one")
	count, err := postgres.QueryOne(t.Context(), db, inAcme, pgx.RowTo[int64],
		"SELECT count(*) FROM note WHERE organization_id = ANY ($1) AND text = ANY ($2) AND id > $3", []string{acme, bolt}, []string{"one"}, 0)
	if err != nil || count != 1 {
		t.Errorf("found %d rows (%v), want 1", count, err)
	}
}
