package entity_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/entity"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/patch"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const role postgres.Role = "notes"

var (
	start   = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	errStep = errors.New("the step failed")
)

type note struct {
	entity.Meta

	Title string   `db:"title,patch"`
	Tags  []string `db:"tags,patch"`
}

var kind = entity.Kind[note]{
	Service: "notes", Type: "short_note", Table: postgres.MustTable[note]("notes"), Fields: patch.Of[note](),
	List: paging.List{
		Name: "notes", ID: "id", DefaultOrder: "createTime desc",
		Fields: map[string]paging.Field{
			"title":      {Column: "title", Type: paging.String, Filter: true, Order: true},
			"createTime": {Column: "created_at", Type: paging.Time, Order: true},
		},
	},
}

type bundle struct {
	entity.Store[note]

	database     *pgtest.Database
	writer       *entity.Writer[note]
	clock        *clock.Fake
	organization string
}

func setup(t *testing.T) *bundle {
	t.Helper()
	database := pgtest.New(t, postgres.MigrationSet{Role: role, FS: fstest.MapFS{"0001_notes.sql": {Data: []byte(`
		CREATE TABLE notes (organization_id uuid NOT NULL, id uuid NOT NULL, title text NOT NULL, tags text[] NOT NULL,
			revision bigint NOT NULL, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, PRIMARY KEY (organization_id, id));
		ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
		ALTER TABLE notes FORCE ROW LEVEL SECURITY;
		CREATE POLICY organization ON notes USING (organization_id = gatehouse.organization_id())
			WITH CHECK (organization_id = gatehouse.organization_id());`)}}})
	tokens, err := paging.NewTokens(pgtest.SecretKey())
	must(t, err)
	b := &bundle{database: database, Store: entity.NewStore(database.Open(t, role), tokens, kind), clock: clock.NewFake(start), organization: id.New()}
	b.writer, err = entity.NewWriter(kind, entity.WriterDeps[note]{Rows: b.Store, Trail: audit.NewTrail(b.clock), Clock: b.clock})
	must(t, err)
	return b
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (b *bundle) create(t *testing.T, title string) note {
	t.Helper()
	n, err := b.writer.Create(t.Context(), b.organization, note{Title: title})
	must(t, err)
	return n
}

// actions reads the audit trail as the administrator, since no service may.
func (b *bundle) actions(t *testing.T) []string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), b.database.AdminURL)
	must(t, err)
	defer func() { must(t, conn.Close(context.WithoutCancel(t.Context()))) }()
	rows, err := conn.Query(t.Context(), "SELECT action || ' ' || changes::text FROM audit.events ORDER BY time, id")
	must(t, err)
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	return got
}

func TestWriter_EachWrite_RaisesTheRevisionAndIsAudited(t *testing.T) {
	t.Parallel()
	b := setup(t)
	created := b.create(t, "first")
	b.clock.Advance(time.Second)
	changed, err := b.writer.Change(t.Context(), b.organization, entity.Change[note]{
		ID: created.ID, Etag: created.Etag(), Verb: "updated",
		Edit: func(_ context.Context, _ postgres.Tx, n note) (note, error) { n.Title = "second"; return n, nil },
	})
	must(t, err)
	if changed.Revision != 2 || !changed.UpdateTime.Equal(start.Add(time.Second)) || !changed.CreateTime.Equal(start) || changed.Etag() == created.Etag() {
		t.Errorf("changed to %+v", changed)
	}
	stored, err := b.Get(t.Context(), b.organization, created.ID)
	must(t, err)
	if stored.Title != "second" || stored.Revision != 2 {
		t.Errorf("stored is %+v", stored)
	}
	b.clock.Advance(time.Second)
	must(t, b.writer.Delete(t.Context(), b.organization, entity.Removal[note]{
		ID: created.ID, Etag: changed.Etag(),
		Before: func(context.Context, postgres.Tx, note) (map[string]audit.Change, error) {
			return map[string]audit.Change{"readers": {Before: 3}}, nil
		},
	}))
	if _, err := b.Get(t.Context(), b.organization, created.ID); !fault.Is(err, faultv1.Reason_REASON_NOT_FOUND) {
		t.Errorf("after Delete, Get returned %v", err)
	}
	want := []string{
		`notes.short_note.created {"title": {"after": "first", "before": ""}}`,
		`notes.short_note.updated {"title": {"after": "second", "before": "first"}}`,
		`notes.short_note.deleted {"title": {"after": "", "before": "second"}, "readers": {"after": null, "before": 3}}`,
	}
	if got := b.actions(t); !slices.Equal(got, want) {
		t.Errorf("the audit trail has %q, want %q", got, want)
	}
}

// A step that fails leaves neither the row nor its audit event.
func TestWriter_AStepFails_NothingIsWritten(t *testing.T) {
	t.Parallel()
	b := setup(t)
	kept := b.create(t, "kept")
	fails := func(context.Context, postgres.Tx, note) error { return errStep }
	keep := func(_ context.Context, _ postgres.Tx, n note) (note, error) { n.Title = "changed"; return n, nil }
	for name, write := range map[string]func() error{
		"create": func() error {
			_, err := b.writer.Create(t.Context(), b.organization, note{}, fails)
			return err
		},
		"change": func() error {
			_, err := b.writer.Change(t.Context(), b.organization, entity.Change[note]{
				ID: kept.ID, Verb: "updated", Edit: keep, Then: func(context.Context, postgres.Tx, note, note) error { return errStep },
			})
			return err
		},
		"check": func() error {
			_, err := b.writer.Change(t.Context(), b.organization, entity.Change[note]{
				ID: kept.ID, Etag: "stale", Verb: "updated", Edit: keep, Check: fails,
			})
			return err
		},
		"begin": func() error {
			_, err := b.writer.Change(t.Context(), b.organization, entity.Change[note]{
				ID: kept.ID, Verb: "updated", Edit: keep, Begin: func(context.Context, postgres.Tx) error { return errStep },
			})
			return err
		},
		"delete": func() error {
			return b.writer.Delete(t.Context(), b.organization, entity.Removal[note]{ID: kept.ID, Then: fails})
		},
	} {
		if err := write(); !errors.Is(err, errStep) {
			t.Errorf("%s returned %v, want %v", name, err, errStep)
		}
	}
	items, _, err := b.Page(t.Context(), b.organization, paging.Request{}, "")
	must(t, err)
	if len(items) != 1 || items[0].Title != "kept" || len(b.actions(t)) != 1 {
		t.Errorf("left are %+v with %d audit events, want the first note alone", items, len(b.actions(t)))
	}
}

func TestWriter_StaleEtagOrOtherOrganization_IsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	n := b.create(t, "first")
	for _, tc := range []struct {
		name, organization, etag string
		want                     faultv1.Reason
	}{
		{"a stale etag", b.organization, "0", faultv1.Reason_REASON_ETAG_MISMATCH},
		{"another organization", id.New(), "", faultv1.Reason_REASON_NOT_FOUND},
	} {
		_, changed := b.writer.Change(t.Context(), tc.organization, entity.Change[note]{
			ID: n.ID, Etag: tc.etag, Edit: func(_ context.Context, _ postgres.Tx, n note) (note, error) { return n, nil },
		})
		deleted := b.writer.Delete(t.Context(), tc.organization, entity.Removal[note]{ID: n.ID, Etag: tc.etag})
		if fault.ReasonOf(changed) != tc.want || fault.ReasonOf(deleted) != tc.want {
			t.Errorf("%s: Change returned %v and Delete %v, want %v", tc.name, changed, deleted, tc.want)
		}
	}
}

func TestWriter_AtMost_RefusesAnotherOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	limit := b.writer.AtMost(2, b.Count)
	for n := range 3 {
		_, err := b.writer.Create(t.Context(), b.organization, note{}, limit)
		if want := n == 2; fault.Is(err, faultv1.Reason_REASON_CONFLICT) != want {
			t.Errorf("with %d notes, Create returned %v", n, err)
		}
	}
}

// Sort values come from the table's mapping, so each order pages through all rows.
func TestStore_Page_ContinuesInEveryOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, title := range []string{"b", "a", "d", "c"} {
		b.clock.Advance(time.Second)
		b.create(t, title)
	}
	for order, want := range map[string]string{"": "cdab", "title": "abcd", "title desc": "dcba", "createTime": "badc"} {
		var got, token string
		for page := 0; page == 0 || token != ""; page++ {
			items, next, err := b.Page(t.Context(), b.organization, paging.Request{PageSize: 1, PageToken: token, OrderBy: order}, "title <> $2", "none")
			must(t, err)
			for _, n := range items {
				got += n.Title
			}
			token = next
		}
		if got != want {
			t.Errorf("order %q returned %q, want %q", order, got, want)
		}
	}
}

func TestNewWriter_MissingDependency_IsNamed(t *testing.T) {
	t.Parallel()
	_, err := entity.NewWriter(kind, entity.WriterDeps[note]{})
	const want = "short_note: WriterDeps.Rows is required\nshort_note: WriterDeps.Trail is required\nshort_note: WriterDeps.Clock is required"
	if err == nil || err.Error() != want {
		t.Errorf("NewWriter returned %v, want %s", err, want)
	}
}
