package migrations_test

import (
	"testing"

	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/services/chat/migrations"
)

// S43, S48: every table of an organization must force row level security. Every function
// that bypasses it must have a fixed search path and the right owner.
func TestS48TablesForceRowLevelSecurity(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t, migrations.Set())
	if err := postgres.CheckTenancy(t.Context(), database.AdminURL); err != nil {
		t.Error(err)
	}
	if err := postgres.Migrated(t.Context(), database.Open(t, migrations.Role), migrations.Set()); err != nil {
		t.Errorf("migrated: %v", err)
	}
}
