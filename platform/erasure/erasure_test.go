package erasure_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/erasure"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

var start = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

const role postgres.Role = "notes"

// notes is a service with a table of organizations' rows.
func notes() postgres.MigrationSet {
	return postgres.MigrationSet{Role: role, FS: fstest.MapFS{
		"0001_notes.sql": {Data: []byte(`
			CREATE TABLE notes (organization_id uuid NOT NULL, id uuid NOT NULL, PRIMARY KEY (organization_id, id));
			ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
			ALTER TABLE notes FORCE ROW LEVEL SECURITY;
			CREATE POLICY organization ON notes USING (organization_id = gatehouse.organization_id())
				WITH CHECK (organization_id = gatehouse.organization_id());
			CREATE TABLE erasures_followed (one boolean PRIMARY KEY DEFAULT true CHECK (one), followed_to timestamptz NOT NULL);`)},
	}}
}

// feed is a fake of auth's feed, in pages of two. It records the erasures.
type feed struct {
	all     []erasure.Erasure
	since   time.Time
	failing string
	erased  []string
}

func (f *feed) source(_ context.Context, since time.Time, token string) ([]erasure.Erasure, string, error) {
	f.since = since
	var from int
	if token != "" {
		if _, err := fmt.Sscan(token, &from); err != nil {
			return nil, "", err
		}
	}
	rest := slices.DeleteFunc(slices.Clone(f.all), func(e erasure.Erasure) bool { return e.Time.Before(since) })[from:]
	if len(rest) > 2 {
		return rest[:2], fmt.Sprint(from + 2), nil
	}
	return rest, "", nil
}

func (f *feed) erase(_ context.Context, e erasure.Erasure) error {
	if e.ID == f.failing {
		return errors.New("cannot be erased now")
	}
	f.erased = append(f.erased, e.ID)
	return nil
}

func (f *feed) take() []string {
	out := f.erased
	f.erased = nil
	return out
}

func setup(t *testing.T) (*erasure.Follower, *feed, *clock.Fake, *postgres.DB) {
	t.Helper()
	f, clk, db := &feed{}, clock.NewFake(start), pgtest.New(t, notes()).Open(t, role)
	follower, err := erasure.NewFollower(erasure.Deps{DB: db, Source: f.source, Erase: f.erase, Clock: clk, Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	return follower, f, clk, db
}

// An erasure is repeated for some minutes, also by a process that starts later. The feed
// is never read from the beginning again.
func TestPoll_ContinuesFromTheStoredPosition(t *testing.T) {
	t.Parallel()
	follower, f, clk, db := setup(t)
	for n := range 5 {
		f.all = append(f.all, erasure.Erasure{ID: fmt.Sprint(n), UserID: id.New(), Time: start.Add(time.Duration(n-5) * time.Hour)})
	}
	must(t, follower.Poll(t.Context()))
	if got := f.take(); len(got) != 5 {
		t.Errorf("first %v were erased", got)
	}
	f.all = append(f.all, erasure.Erasure{ID: "late", OrganizationID: id.New(), Time: start.Add(-5 * time.Second)})
	clk.Advance(time.Minute)
	other, err := erasure.NewFollower(erasure.Deps{DB: db, Source: f.source, Erase: f.erase, Clock: clk, Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	must(t, other.Poll(t.Context()))
	if got := f.take(); !slices.Equal(got, []string{"late"}) {
		t.Errorf("then %v were erased", got)
	}
	clk.Advance(time.Minute)
	must(t, follower.Poll(t.Context()))
	if got := f.take(); !slices.Equal(got, []string{"late"}) {
		t.Errorf("rows that were written later would remain: %v", got)
	}
	clk.Advance(time.Hour)
	must(t, follower.Poll(t.Context()))
	f.take()
	must(t, follower.Poll(t.Context()))
	if got := f.take(); len(got) != 0 || f.since.Before(start) {
		t.Errorf("%v are erased again, since %s", got, f.since)
	}
}

// A failed erasure does not stop the others, and is retried until it succeeds.
func TestPoll_ErasureFails_IsRetriedAndOthersContinue(t *testing.T) {
	t.Parallel()
	follower, f, clk, _ := setup(t)
	for _, name := range []string{"a", "b", "c"} {
		f.all = append(f.all, erasure.Erasure{ID: name, UserID: id.New(), Time: start})
	}
	f.failing = "b"
	for range 2 {
		if err := follower.Poll(t.Context()); err == nil {
			t.Error("Poll returned no error")
		}
		if got := f.take(); !slices.Equal(got, []string{"a", "c"}) {
			t.Errorf("%v were erased", got)
		}
		clk.Advance(time.Hour)
	}
	f.failing = ""
	must(t, follower.Poll(t.Context()))
	if got := f.take(); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("later %v were erased", got)
	}
}

func TestOrganization_DeletesOnlyItsRowsInSteps(t *testing.T) {
	t.Parallel()
	_, _, _, db := setup(t)
	erased, kept := id.New(), id.New()
	count := func(organizationID string) int {
		n, err := postgres.QueryOne(t.Context(), db, postgres.Scope{OrganizationID: organizationID}, pgx.RowTo[int], "SELECT count(*) FROM notes")
		must(t, err)
		return n
	}
	for _, organizationID := range []string{erased, kept} {
		_, err := postgres.Exec(t.Context(), db, postgres.Scope{OrganizationID: organizationID},
			"INSERT INTO notes SELECT $1, gen_random_uuid() FROM generate_series(1, 7)", organizationID)
		must(t, err)
	}
	for range 2 {
		must(t, erasure.Organization(t.Context(), db, erased, erasure.Table{Name: "notes", Batch: 3}))
		if count(erased) != 0 || count(kept) != 7 {
			t.Errorf("%d rows are left, and %d of the other", count(erased), count(kept))
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
