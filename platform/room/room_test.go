package room_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/erasure"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/room"
)

const role postgres.Role = "rooms"

var errFailed = errors.New("failed")

// plain is a room without background work.
type plain struct{ tables []room.Table }

func (plain) Register(grpc.ServiceRegistrar) {}

func (p plain) Tables() []room.Table { return p.tables }

// working is a room with all kinds of work.
type working struct {
	plain

	swept, ran atomic.Int32
	erased     []erasure.Erasure
	failure    error
}

func (w *working) Sweeps() []room.Sweep {
	return []room.Sweep{{Name: "delete expired things", Do: func(context.Context) error {
		w.swept.Add(1)
		return w.failure
	}}}
}

func (w *working) Run(ctx context.Context) error {
	w.ran.Add(1)
	if w.failure != nil {
		return w.failure
	}
	<-ctx.Done()
	return nil
}

func (w *working) Erase(_ context.Context, e erasure.Erasure) error {
	w.erased = append(w.erased, e)
	return w.failure
}

func TestList_OneSweepFails_OthersStillRun(t *testing.T) {
	t.Parallel()
	failing, fine := &working{failure: errFailed}, &working{}
	err := room.List{failing, plain{}, fine}.Sweep(t.Context())
	if !errors.Is(err, errFailed) || err.Error() != "delete expired things: failed" {
		t.Errorf("Sweep returned %v, want the failure with the name of the sweep", err)
	}
	if failing.swept.Load() != 1 || fine.swept.Load() != 1 {
		t.Errorf("swept %d and %d times, want once each", failing.swept.Load(), fine.swept.Load())
	}
}

func TestList_OneRunnerFails_AllStop(t *testing.T) {
	t.Parallel()
	failing, fine := &working{failure: errFailed}, &working{}
	if err := (room.List{fine, plain{}, failing}).Run(t.Context()); !errors.Is(err, errFailed) {
		t.Errorf("Run returned %v, want %v", err, errFailed)
	}
	if fine.ran.Load() != 1 || failing.ran.Load() != 1 {
		t.Error("Run did not start every room")
	}
}

func TestList_Erase_DeletesTheOrganizationAlone(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, postgres.MigrationSet{Role: role, FS: fstest.MapFS{
		"0001_things.sql": {Data: []byte(`
			CREATE TABLE things (organization_id uuid NOT NULL, id uuid NOT NULL, PRIMARY KEY (organization_id, id));
			CREATE TABLE parts (organization_id uuid NOT NULL, id uuid NOT NULL, thing_id uuid NOT NULL, PRIMARY KEY (organization_id, id),
				FOREIGN KEY (organization_id, thing_id) REFERENCES things (organization_id, id));`)},
	}}).Open(t, role)
	erased, other := id.New(), id.New()
	for _, organization := range []string{erased, other} {
		for range 3 {
			thing := id.New()
			if _, err := postgres.Exec(t.Context(), db, postgres.Scope{}, "INSERT INTO things VALUES ($1, $2)", organization, thing); err != nil {
				t.Fatal(err)
			}
			if _, err := postgres.Exec(t.Context(), db, postgres.Scope{}, "INSERT INTO parts VALUES ($1, $2, $3)", organization, id.New(), thing); err != nil {
				t.Fatal(err)
			}
		}
	}
	// The room of parts is the last and comes first: its rows refer to things.
	things, parts := plain{[]room.Table{{Name: "things", Batch: 2}}}, &working{plain: plain{[]room.Table{{Name: "parts", Batch: 2}}}}
	erase := room.List{things, parts}.Erase(db)
	user := erasure.Erasure{UserID: id.New()}
	for _, e := range []erasure.Erasure{user, {OrganizationID: erased}} {
		if err := erase(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if len(parts.erased) != 2 || parts.erased[0] != user {
		t.Errorf("the room's Erase got %v, want both erasures", parts.erased)
	}
	left, err := postgres.QueryAll(t.Context(), db, postgres.Scope{}, pgx.RowTo[string],
		"SELECT organization_id::text FROM things UNION ALL SELECT organization_id::text FROM parts")
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 6 || slices.Contains(left, erased) {
		t.Errorf("left are rows of %v, want 6 of %s", left, other)
	}
}
