package paging_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const role postgres.Role = "paging"

// things creates rows with many ties.
const things = `
CREATE TABLE thing (id uuid PRIMARY KEY, name text NOT NULL, kind text NOT NULL, size numeric NOT NULL,
	on_sale boolean NOT NULL, tags text[] NOT NULL, made_at timestamptz NOT NULL, note text);
INSERT INTO thing SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'Name_' || n % 4, (ARRAY['big', 'small'])[1 + n % 2],
	n % 3, n % 2 = 0, ARRAY['t' || n % 5, 'all'], '2026-01-01'::timestamptz + n % 6 * interval '1 hour' + interval '0.123456 s',
	CASE WHEN n % 2 = 0 THEN 'even' END FROM generate_series(1, 60) n;`

var list = paging.List{
	Name: "things",
	ID:   "id",
	Fields: map[string]paging.Field{
		"id":       {Column: "id", Type: paging.UUID, Filter: true, Order: true},
		"name":     {Column: "name", Type: paging.String, Filter: true, Order: true},
		"kind":     {Column: "kind", Type: paging.Enum, Values: []string{"big", "small"}, Filter: true},
		"size":     {Column: "size", Type: paging.Number, Filter: true, Order: true},
		"onSale":   {Column: "on_sale", Type: paging.Bool, Filter: true, Order: true},
		"tags":     {Column: "tags", Type: paging.StringArray, Filter: true},
		"makeTime": {Column: "made_at", Type: paging.Time, Filter: true, Order: true},
		"note":     {Column: "note", Type: paging.String, Filter: true},
		"secret":   {Column: "secret", Type: paging.String},
	},
	DefaultOrder: "makeTime desc",
}

type thing struct {
	ID     string
	Name   string
	Size   float64
	OnSale bool
	MadeAt time.Time
}

func sortValue(row thing, field string) any {
	switch field {
	case "name":
		return row.Name
	case "size":
		return row.Size
	case "onSale":
		return row.OnSale
	case "makeTime":
		return row.MadeAt
	default:
		return row.ID
	}
}

func tokens(t testing.TB, secret string) *paging.Tokens {
	t.Helper()
	signer, err := paging.NewTokens([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func open(t *testing.T) *postgres.DB {
	t.Helper()
	set := postgres.MigrationSet{Role: role, FS: fstest.MapFS{"0001_thing.sql": {Data: []byte(things)}}}
	return pgtest.New(t, set).Open(t, role)
}

// fetch reads one page. It has a parameter $1, so that those of the page begin at $2.
func fetch(ctx context.Context, db *postgres.DB, signer *paging.Tokens, req paging.Request) ([]thing, string, error) {
	page, err := list.Page(signer, req, 2, "acme")
	if err != nil {
		return nil, "", err
	}
	rows, err := postgres.QueryAll(ctx, db, postgres.Scope{}, pgx.RowToStructByPos[thing],
		"SELECT id, name, size, on_sale, made_at FROM thing WHERE $1::int = 1 AND "+page.Where+page.Tail,
		append([]any{1}, page.Args...)...)
	if err != nil {
		return nil, "", err
	}
	return paging.Cut(page, rows, sortValue)
}

func TestPages_Concatenated_AreTheWholeList(t *testing.T) {
	t.Parallel()
	db, signer := open(t), tokens(t, "secret")
	for order, sql := range map[string]string{
		"":                            "made_at DESC, id DESC",
		"name":                        "name, id",
		"name desc, size":             "name DESC, size, id",
		"onSale, makeTime desc, size": "on_sale, made_at DESC, size, id",
		"id desc":                     "id DESC",
		"size desc,name desc":         "size DESC, name DESC, id DESC",
	} {
		want, err := postgres.QueryAll(t.Context(), db, postgres.Scope{}, pgx.RowTo[string], "SELECT id FROM thing ORDER BY "+sql)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		req := paging.Request{PageSize: 7, OrderBy: order}
		for {
			rows, next, err := fetch(t.Context(), db, signer, req)
			if err != nil {
				t.Fatalf("%q: %v", order, err)
			}
			for _, row := range rows {
				got = append(got, row.ID)
			}
			if next == "" {
				break
			}
			req.PageToken = next
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: the pages have %d rows in another order than the list of %d", order, len(got), len(want))
		}
	}
}

func TestPageSize_HasADefaultAndALimit(t *testing.T) {
	t.Parallel()
	db, signer := open(t), tokens(t, "secret")
	for size, want := range map[int32]int{0: 20, 1: 1, 60: 60, 100: 60, 1 << 30: 60} {
		rows, next, err := fetch(t.Context(), db, signer, paging.Request{PageSize: size})
		if err != nil || len(rows) != want || (next == "") != (want == 60) {
			t.Errorf("pageSize %d returns %d rows, %q, %v; want %d", size, len(rows), next, err, want)
		}
	}
	refused(t, "pageSize", paging.Request{PageSize: -1})
}

// refused checks that the fault of a request names the field.
func refused(t *testing.T, field string, req paging.Request) {
	t.Helper()
	_, err := list.Page(tokens(t, "secret"), req, 1, "acme")
	got := fault.From(err)
	if got == nil || got.Reason() != faultv1.Reason_REASON_INVALID_ARGUMENT || len(got.Violations()) != 1 || got.Violations()[0].Field != field {
		t.Errorf("%.80q: %v, want INVALID_ARGUMENT for %s", req, err, field)
	}
}

func TestS51BadOrderByIsRefused(t *testing.T) {
	t.Parallel()
	for _, order := range []string{"unknown", "secret", "kind", "name sideways", "name desc desc", "name,", ",", "name, name desc", "name; DROP TABLE thing", "id, name, size, onSale, makeTime, id"} {
		refused(t, "orderBy", paging.Request{OrderBy: order})
	}
}

func TestS51TokenIsBoundToItsQuery(t *testing.T) {
	t.Parallel()
	db, signer := open(t), tokens(t, "secret")
	req := paging.Request{PageSize: 5, Filter: "size < 2", OrderBy: "name"}
	_, token, err := fetch(t.Context(), db, signer, req)
	if err != nil || token == "" {
		t.Fatalf("no token: %v", err)
	}
	req.PageToken = token
	other := list
	other.Name = "others"
	for what, test := range map[string]struct {
		list   paging.List
		signer *paging.Tokens
		change func(*paging.Request)
		bound  string
		ok     bool
	}{
		"same":            {list, signer, func(*paging.Request) {}, "acme", true},
		"other page size": {list, signer, func(r *paging.Request) { r.PageSize = 50 }, "acme", true},
		"other filter":    {list, signer, func(r *paging.Request) { r.Filter = "size < 3" }, "acme", false},
		"other order":     {list, signer, func(r *paging.Request) { r.OrderBy = "name desc" }, "acme", false},
		"other tenant":    {list, signer, func(*paging.Request) {}, "bolt", false},
		"other list":      {other, signer, func(*paging.Request) {}, "acme", false},
		"other key":       {list, tokens(t, "other"), func(*paging.Request) {}, "acme", false},
		"cut off":         {list, signer, func(r *paging.Request) { r.PageToken = token[:len(token)-2] }, "acme", false},
		"nonsense":        {list, signer, func(r *paging.Request) { r.PageToken = "?" }, "acme", false},
		"unsigned":        {list, signer, func(r *paging.Request) { r.PageToken = "WyJhIl0" }, "acme", false},
		"enormous":        {list, signer, func(r *paging.Request) { r.PageToken = strings.Repeat("A", 1<<20) }, "acme", false},
		"lower case":      {list, signer, func(r *paging.Request) { r.PageToken = strings.ToLower(token) }, "acme", false},
	} {
		changed := req
		test.change(&changed)
		_, err := test.list.Page(test.signer, changed, 1, test.bound)
		if (err == nil) != test.ok {
			t.Errorf("%s: %v, want accepted = %v", what, err, test.ok)
		}
		if !test.ok && !strings.Contains(err.Error(), "pageToken") {
			t.Errorf("%s: %v does not name pageToken", what, err)
		}
	}
	for i := range token {
		changed := []byte(token)
		changed[i] = 'A' + (changed[i]+1)%26
		if string(changed) == token {
			continue
		}
		req.PageToken = string(changed)
		if _, err := list.Page(signer, req, 1, "acme"); err == nil {
			t.Fatalf("a token whose byte %d was changed is accepted", i)
		}
	}
}

func TestCut_ValueOfUnknownType_IsInternal(t *testing.T) {
	t.Parallel()
	page, err := list.Page(tokens(t, "secret"), paging.Request{PageSize: 1}, 1)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = paging.Cut(page, []int{1, 2}, func(int, string) any { return struct{}{} })
	if !fault.Is(err, faultv1.Reason_REASON_INTERNAL) {
		t.Errorf("Cut = %v, want INTERNAL", err)
	}
}

func count(t *testing.T, db *postgres.DB, condition string) int {
	t.Helper()
	found, err := postgres.QueryOne(t.Context(), db, postgres.Scope{}, pgx.RowTo[int], "SELECT count(*) FROM thing WHERE "+condition)
	if err != nil {
		t.Fatal(err)
	}
	return found
}
