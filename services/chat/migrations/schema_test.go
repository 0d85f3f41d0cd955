package migrations_test

import (
	"flag"
	"testing"

	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/services/chat/migrations"
)

var update = flag.Bool("update", false, "rewrite schema.sql")

func TestSchema_EqualsMigrations(t *testing.T) {
	t.Parallel()
	pgtest.CheckSchema(t, migrations.Set(), "../schema.sql", *update)
}
