package auth_test

import (
	"slices"
	"testing"

	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

func TestTables_EachTableOfTheSchema_BelongsToOneRoom(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	var owned, existing []string
	for _, table := range b.Service.Tables() {
		owned = append(owned, table.Name)
	}
	for _, row := range b.Database.AdminQuery(t, "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'auth' AND table_name <> 'schema_migrations'") {
		existing = append(existing, row[0])
	}
	slices.Sort(owned)
	slices.Sort(existing)
	if !slices.Equal(owned, existing) {
		t.Errorf("the rooms own %q, the schema has %q", owned, existing)
	}
}
