package postgres_test

import (
	"net/url"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// A managed Postgres has no superuser for its customers.
func TestMigrate_AdministratorIsNoSuperuser_NamesTheMissingStatement(t *testing.T) {
	t.Parallel()
	cluster := pgtest.NewCluster(t)
	super := &pgtest.Database{AdminURL: cluster.URL()}
	super.AdminExec(t, "CREATE DATABASE managed")
	managed, err := url.Parse(cluster.URL())
	if err != nil {
		t.Fatal(err)
	}
	managed.Path = "/managed"
	inManaged := &pgtest.Database{AdminURL: managed.String()}
	inManaged.AdminExec(t, `CREATE ROLE operator LOGIN CREATEROLE PASSWORD 'operator';
		ALTER DATABASE managed OWNER TO operator;
		ALTER ROLE gatehouse_definer RENAME TO of_another_installation`)
	managed.User = url.UserPassword("operator", "operator")

	err = postgres.Migrate(t.Context(), managed.String(), pgtest.SecretKey(), postgres.MigrateOptions{}, set())
	if err == nil || !strings.Contains(err.Error(), "CREATE ROLE gatehouse_definer NOLOGIN BYPASSRLS") {
		t.Fatalf("Migrate = %v, want an error with the statement for a superuser", err)
	}
	inManaged.AdminExec(t, `CREATE ROLE gatehouse_definer NOLOGIN BYPASSRLS; GRANT gatehouse_definer TO operator;
		CREATE SCHEMA extensions; CREATE EXTENSION vector SCHEMA extensions; CREATE EXTENSION pg_trgm SCHEMA extensions;
		GRANT ALL ON SCHEMA extensions TO operator WITH GRANT OPTION`)
	for range 2 {
		if err := postgres.Migrate(t.Context(), managed.String(), pgtest.SecretKey(), postgres.MigrateOptions{}, set()); err != nil {
			t.Fatal(err)
		}
	}
	if err := postgres.CheckTenancy(t.Context(), managed.String()); err != nil {
		t.Error(err)
	}
	db := pgtest.OpenConfig(t, postgres.Config{URL: managed.String(), SecretKey: pgtest.SecretKey()}, role)
	addNote(t, db, acme, "kept")
	if got := notes(t, db, postgres.Scope{OrganizationID: bolt}); len(got) != 0 {
		t.Errorf("bolt sees %q", got)
	}
}

func TestMetrics_ReportThePool(t *testing.T) {
	t.Parallel()
	reader := metric.NewManualReader()
	cfg := pgtest.New(t, set()).Config()
	cfg.MeterProvider = metric.NewMeterProvider(metric.WithReader(reader))
	db := pgtest.OpenConfig(t, cfg, role)
	notes(t, db, inAcme)

	var collected metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &collected); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, scope := range collected.ScopeMetrics {
		for _, m := range scope.Metrics {
			found[m.Name] = true
		}
	}
	for _, want := range []string{"db.client.operation.duration", "gatehouse.pool.connections"} {
		if !found[want] {
			t.Errorf("%s is not measured: %v", want, found)
		}
	}
}
