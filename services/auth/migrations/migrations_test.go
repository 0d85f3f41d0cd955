package migrations_test

import (
	"testing"

	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/services/auth/migrations"
)

// S43, S48: the tables keep organizations apart, and so do foreign keys.
func TestS48Tenancy(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t, migrations.Set())
	if err := postgres.CheckTenancy(t.Context(), database.AdminURL); err != nil {
		t.Error(err)
	}
}
