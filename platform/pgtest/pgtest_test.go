package pgtest_test

import (
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

const role postgres.Role = "pgtest"

func set() postgres.MigrationSet {
	return postgres.MigrationSet{Role: role, FS: fstest.MapFS{
		"0001_note.sql": {Data: []byte("CREATE TABLE note (text text NOT NULL)")},
	}}
}

func TestNew_TwoDatabases_AreSeparate(t *testing.T) {
	t.Parallel()
	one, other := pgtest.New(t, set()), pgtest.New(t, set())
	if _, err := postgres.Exec(t.Context(), one.Open(t, role), postgres.Scope{}, "INSERT INTO note VALUES ('mine')"); err != nil {
		t.Fatal(err)
	}
	count, err := postgres.QueryOne(t.Context(), other.Open(t, role), postgres.Scope{}, pgx.RowTo[int], "SELECT count(*)::int FROM note")
	if err != nil || count != 0 {
		t.Errorf("the other database has %d rows (%v), want none", count, err)
	}
}

func BenchmarkNew(b *testing.B) {
	pgtest.New(b, set())
	for b.Loop() {
		b.Run("", func(b *testing.B) { pgtest.New(b, set()) })
	}
}
