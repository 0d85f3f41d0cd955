package idempotency_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/idempotency"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// notes is a service with one table, which has no organization.
func notes() postgres.MigrationSet {
	return postgres.MigrationSet{Role: "notes", FS: fstest.MapFS{
		"0001_notes.sql": {Data: []byte("CREATE TABLE notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text NOT NULL);")},
	}}
}

type bench struct {
	db    *postgres.DB
	clock *clock.Fake
	keys  *idempotency.Keys
}

func setup(t *testing.T) *bench {
	t.Helper()
	db := pgtest.New(t, notes()).Open(t, "notes")
	clk := clock.NewFake(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
	keys, err := idempotency.New(db, pgtest.SecretKey(), clk)
	if err != nil {
		t.Fatal(err)
	}
	return &bench{db: db, clock: clk, keys: keys}
}

func request(key, digest string) rpcserver.Keyed {
	return rpcserver.Keyed{OrganizationID: id.New(), UserID: id.New(), Method: "/notes/Add", Key: key, Digest: []byte(digest)}
}

func scopeOf(r rpcserver.Keyed) postgres.Scope {
	return postgres.Scope{OrganizationID: r.OrganizationID, UserID: r.UserID}
}

// add writes a note like a handler, in its own transaction.
func (b *bench) add(r rpcserver.Keyed, text string) func(context.Context) (proto.Message, error) {
	return func(ctx context.Context) (proto.Message, error) {
		err := b.db.InTx(ctx, scopeOf(r), func(ctx context.Context, tx pgx.Tx) error {
			_, err := postgres.TxExec(ctx, tx, "INSERT INTO notes (text) VALUES ($1)", text)
			return err
		})
		return wrapperspb.String(text), err
	}
}

func (b *bench) once(ctx context.Context, r rpcserver.Keyed, text string) (answer string, replayed bool, err error) {
	out, replayed, err := b.keys.Once(ctx, r, &wrapperspb.StringValue{}, b.add(r, text))
	if err != nil {
		return "", false, err
	}
	return out.(*wrapperspb.StringValue).GetValue(), replayed, nil //nolint:forcetypeassert // the type of add's response
}

func (b *bench) count(t *testing.T) int {
	t.Helper()
	n, err := postgres.QueryOne(t.Context(), b.db, postgres.Scope{}, pgx.RowTo[int], "SELECT count(*) FROM notes")
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestOnce_SameKeyAgain_ReturnsTheFirstResponse(t *testing.T) {
	t.Parallel()
	b, r := setup(t), request("key", "content")
	for n, text := range []string{"first", "second"} {
		answer, replayed, err := b.once(t.Context(), r, text)
		if err != nil || answer != "first" || replayed != (n == 1) {
			t.Errorf("request %d: %q, replayed %v, %v", n, answer, replayed, err)
		}
	}
	if n := b.count(t); n != 1 {
		t.Errorf("%d notes", n)
	}
}

// S41: a caller cannot get the response of another caller with the same key.
func TestOnce_SameKeyOfAnotherCaller_IsExecuted(t *testing.T) {
	t.Parallel()
	b, r := setup(t), request("key", "content")
	colleague, elsewhere, other := r, r, r
	colleague.UserID, elsewhere.OrganizationID, other.Method = id.New(), id.New(), "/notes/Other"
	for _, request := range []rpcserver.Keyed{r, colleague, elsewhere, other} {
		if _, replayed, err := b.once(t.Context(), request, "note"); err != nil || replayed {
			t.Errorf("%+v: replayed %v, %v", request, replayed, err)
		}
	}
	if n := b.count(t); n != 4 {
		t.Errorf("%d notes", n)
	}
}

// S73: the content of a request cannot be guessed from its stored hash.
func TestS73ADumpDoesNotRevealRequests(t *testing.T) {
	t.Parallel()
	b, r := setup(t), request("key", "a digest of a password")
	if _, _, err := b.once(t.Context(), r, "first"); err != nil {
		t.Fatal(err)
	}
	stored, err := postgres.QueryOne(t.Context(), b.db, scopeOf(r), pgx.RowTo[[]byte], "SELECT request_hash FROM gatehouse.idempotency_keys")
	if err != nil || bytes.Contains(stored, r.Digest) || len(stored) != 32 {
		t.Errorf("stored as %q, %v", stored, err)
	}
}

func TestOnce_SameKeyWithOtherContent_IsRefused(t *testing.T) {
	t.Parallel()
	b, r := setup(t), request("key", "content")
	if _, _, err := b.once(t.Context(), r, "first"); err != nil {
		t.Fatal(err)
	}
	r.Digest = []byte("other content")
	if _, _, err := b.once(t.Context(), r, "second"); !fault.Is(err, faultv1.Reason_REASON_IDEMPOTENCY_MISMATCH) {
		t.Errorf("got %v", err)
	}
}

// A failed request leaves neither its writes nor its key.
func TestOnce_RequestFailed_MayBeRetried(t *testing.T) {
	t.Parallel()
	b, r := setup(t), request("key", "content")
	broken := errors.New("broken")
	_, _, err := b.keys.Once(t.Context(), r, &wrapperspb.StringValue{}, func(ctx context.Context) (proto.Message, error) {
		if _, err := b.add(r, "half")(ctx); err != nil {
			return nil, err
		}
		return nil, broken
	})
	if !errors.Is(err, broken) || b.count(t) != 0 {
		t.Fatalf("%d notes after %v", b.count(t), err)
	}
	if answer, replayed, err := b.once(t.Context(), r, "again"); err != nil || replayed || answer != "again" {
		t.Errorf("%q, replayed %v, %v", answer, replayed, err)
	}
}

func TestOnce_ConcurrentRequests_OneIsExecuted(t *testing.T) {
	t.Parallel()
	b, r := setup(t), request("key", "content")
	const racers = 8
	var first atomic.Int32
	var wg sync.WaitGroup
	for range racers {
		wg.Go(func() {
			answer, replayed, err := b.once(t.Context(), r, "note")
			if err != nil || answer != "note" {
				t.Errorf("%q, %v", answer, err)
			}
			if !replayed {
				first.Add(1)
			}
		})
	}
	wg.Wait()
	if first.Load() != 1 || b.count(t) != 1 {
		t.Errorf("%d executed, %d notes", first.Load(), b.count(t))
	}
}

func TestKeys_AfterADay_AreExpiredAndSwept(t *testing.T) {
	t.Parallel()
	b, r := setup(t), request("key", "content")
	if _, _, err := b.once(t.Context(), r, "first"); err != nil {
		t.Fatal(err)
	}
	b.clock.Advance(idempotency.Lifetime + time.Second)
	if answer, replayed, err := b.once(t.Context(), r, "second"); err != nil || replayed || answer != "second" {
		t.Errorf("%q, replayed %v, %v", answer, replayed, err)
	}
	if swept, err := b.keys.Sweep(t.Context()); err != nil || swept != 0 {
		t.Errorf("swept %d, %v", swept, err)
	}
	b.clock.Advance(idempotency.Lifetime + time.Second)
	if swept, err := b.keys.Sweep(t.Context()); err != nil || swept != 1 {
		t.Errorf("swept %d, %v", swept, err)
	}
}
