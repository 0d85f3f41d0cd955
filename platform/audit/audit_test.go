package audit_test

import (
	"context"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// A room may name a field as in an update mask or as in JSON. The trail always contains
// the name in JSON.
func TestAppend_FieldNames_AreStoredAsInJSON(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t, postgres.MigrationSet{Role: "notes", FS: fstest.MapFS{"0001_none.sql": {Data: []byte("SELECT 1;")}}})
	db, trail, organization := database.Open(t, "notes"), audit.NewTrail(clock.System()), id.New()
	for resource, changes := range map[string]map[string]audit.Change{
		"of a mask":   {"display_name": {Before: "a", After: "b"}, "post_logout_redirect_uris": {}, "roles": {After: []string{"my_role"}}},
		"written out": {"displayName": {Before: "a", After: "b"}, "postLogoutRedirectUris": {}, "roles": {After: []string{"my_role"}}},
		"none":        nil,
	} {
		err := db.InTx(t.Context(), postgres.Scope{OrganizationID: organization}, func(ctx context.Context, tx pgx.Tx) error {
			return trail.Append(ctx, tx, audit.Event{
				OrganizationID: organization, Action: "notes.note.updated", ResourceType: "note", ResourceID: resource, Changes: changes,
			})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	conn, err := pgx.Connect(t.Context(), database.AdminURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	const all = `{"roles": {"after": ["my_role"], "before": null}, "displayName": {"after": "b", "before": "a"}, ` +
		`"postLogoutRedirectUris": {"after": null, "before": null}}`
	for resource, want := range map[string]string{"of a mask": all, "written out": all, "none": "{}"} {
		var got string
		if err := conn.QueryRow(t.Context(), "SELECT changes::text FROM audit.events WHERE resource_id = $1", resource).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", resource, got, want)
		}
	}
}
