package postgres_test

import (
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// S48: the check reports nothing for good tables.
func TestCheckTenancy_GoodTables_AreAccepted(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t, set())
	database.AdminExec(t, `
		CREATE VIEW sample.fine WITH (security_invoker = true) AS SELECT * FROM sample.note;
		CREATE MATERIALIZED VIEW sample.hidden AS SELECT * FROM sample.note;
		REVOKE ALL ON sample.hidden FROM gatehouse_sample;
		CREATE TABLE sample.child (organization_id uuid, note_id bigint, FOREIGN KEY (organization_id, note_id) REFERENCES sample.note);
		ALTER TABLE sample.child ENABLE ROW LEVEL SECURITY;
		ALTER TABLE sample.child FORCE ROW LEVEL SECURITY;
		CREATE POLICY p ON sample.child USING (organization_id = gatehouse.organization_id()) WITH CHECK (organization_id = gatehouse.organization_id());
		CREATE FUNCTION sample.count_notes() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = sample, pg_temp AS 'SELECT count(*) FROM note';
		ALTER FUNCTION sample.count_notes() OWNER TO gatehouse_definer;`)
	if err := postgres.CheckTenancy(t.Context(), database.AdminURL); err != nil {
		t.Error(err)
	}
}

func TestS48CheckTenancyListsEveryOffender(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t, set())
	database.AdminExec(t, `
		CREATE TABLE sample.open (organization_id uuid);
		CREATE TABLE sample.parent (organization_id uuid, id uuid PRIMARY KEY);
		CREATE TABLE sample.child (organization_id uuid, parent_id uuid CONSTRAINT child_parent REFERENCES sample.parent);
		CREATE POLICY halved ON sample.child USING (true);
		CREATE VIEW sample.leak AS SELECT * FROM sample.note;
		CREATE MATERIALIZED VIEW sample.copy AS SELECT * FROM sample.note;
		CREATE FUNCTION sample.loose() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';`)
	err := postgres.CheckTenancy(t.Context(), database.AdminURL)
	if err == nil {
		t.Fatal("CheckTenancy found nothing")
	}
	for _, want := range []string{
		"table sample.open: row level security is not enabled",
		"table sample.open: row level security is not forced",
		"table sample.open: no policy has both USING and WITH CHECK",
		"table sample.child: policy halved has USING without WITH CHECK",
		"table sample.child: foreign key child_parent leaves the organization out",
		"view sample.leak: is not security_invoker",
		"materialized view sample.copy: is granted to gatehouse_sample",
		"function sample.loose(): SECURITY DEFINER without a search_path",
		"function sample.loose(): SECURITY DEFINER, and its owner gatehouse_admin can log in",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("CheckTenancy does not report %q:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "sample.note") {
		t.Errorf("CheckTenancy reports a good table:\n%v", err)
	}
}
