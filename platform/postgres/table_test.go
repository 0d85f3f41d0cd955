package postgres_test

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// stamps is embedded, as the standard columns of an entity are.
type stamps struct {
	CreateTime time.Time  `db:"created_at,fixed"`
	DeleteTime *time.Time `db:"deleted_at"`
}

type mapped struct {
	OrganizationID string   `db:"organization_id,key"`
	ID             string   `db:"id,key"`
	Name           string   `db:"name"`
	Ratio          *float64 `db:"ratio"`
	Tags           []string `db:"tags"`
	LinkIDs        []string `db:"link_ids,cast:uuid[]"`
	Secret         []byte   `db:"secret"`
	TagCount       int      `db:"tag_count,read"`
	Ignored        string
	stamps
}

var mappedTable = postgres.MustTable[mapped]("mapped", "tag_count", "cardinality(tags)")

func mappedSet() postgres.MigrationSet {
	return postgres.MigrationSet{Role: role, FS: fstest.MapFS{"0001_mapped.sql": {Data: []byte(`CREATE TABLE mapped (
		organization_id uuid NOT NULL, id uuid NOT NULL, name text NOT NULL, ratio float8, tags text[] NOT NULL, link_ids uuid[] NOT NULL,
		secret bytea, created_at timestamptz NOT NULL, deleted_at timestamptz, PRIMARY KEY (organization_id, id));`)}}}
}

// Every operation works with prepared statements and through a pooler.
func TestTable_EachOperation_KeepsEveryColumn(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t, mappedSet())
	for name, cfg := range map[string]postgres.Config{"direct": database.Config(), "pooled": pooledConfig(database.Config())} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, key := pgtest.OpenConfig(t, cfg, role), acme
			if db.Pooled() {
				key = bolt
			}
			at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
			row := mapped{OrganizationID: acme, ID: key, Name: "first", stamps: stamps{CreateTime: at}}
			write(t, db, func(ctx context.Context, tx pgx.Tx) error { return mappedTable.Insert(ctx, tx, row) })
			row.Tags, row.LinkIDs = []string{}, []string{} // what nil is written as
			expect(t, db, key, row)

			ratio := 0.5
			row.Name, row.Ratio, row.Tags, row.LinkIDs, row.Secret, row.DeleteTime = "second", &ratio, []string{"a", "b"}, []string{anna}, []byte{1}, &at
			changed := row
			changed.CreateTime = at.Add(time.Hour) // fixed, so not written
			write(t, db, func(ctx context.Context, tx pgx.Tx) error { return mappedTable.Update(ctx, tx, changed) })
			row.TagCount = 2
			expect(t, db, key, row)

			write(t, db, func(ctx context.Context, tx pgx.Tx) error {
				locked, err := mappedTable.Lock(ctx, tx, acme, key)
				if err == nil {
					err = mappedTable.Delete(ctx, tx, locked)
				}
				return err
			})
			if _, err := mappedTable.Get(t.Context(), db, postgres.Scope{}, acme, key); !errors.Is(err, postgres.ErrNoRows) {
				t.Errorf("after Delete, Get returned %v, want ErrNoRows", err)
			}
		})
	}
}

func write(t *testing.T, db *postgres.DB, do func(ctx context.Context, tx pgx.Tx) error) {
	t.Helper()
	if err := db.InTx(t.Context(), postgres.Scope{OrganizationID: acme}, do); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, db *postgres.DB, key string, want mapped) {
	t.Helper()
	got, err := mappedTable.Get(t.Context(), db, postgres.Scope{}, acme, key)
	if err != nil {
		t.Fatal(err)
	}
	got.CreateTime = got.CreateTime.UTC()
	if got.DeleteTime != nil {
		at := got.DeleteTime.UTC()
		got.DeleteTime = &at
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, want %+v", got, want)
	}
}

func TestFieldOf_FindsFieldsByColumn(t *testing.T) {
	t.Parallel()
	row := mapped{Name: "x", stamps: stamps{CreateTime: time.Unix(1, 0)}}
	for column, want := range map[string]any{"name": "x", "created_at": time.Unix(1, 0), "unknown": nil} {
		if got := postgres.FieldOf(row, column); got != want {
			t.Errorf("the value of %s is %v, want %v", column, got, want)
		}
	}
}

func TestMustTable_WrongTags_Panic(t *testing.T) {
	t.Parallel()
	for name, declare := range map[string]func(){
		"no key": func() {
			postgres.MustTable[struct {
				Name string `db:"name"`
			}]("broken")
		},
		"no column": func() {
			postgres.MustTable[struct {
				ID string `db:",key"`
			}]("broken")
		},
		"an unknown option": func() {
			postgres.MustTable[struct {
				ID string `db:"id,kye"`
			}]("broken")
		},
		"an expression for no column": func() {
			postgres.MustTable[struct {
				ID string `db:"id,key"`
			}]("broken", "count", "1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("MustTable did not panic")
				}
			}()
			declare()
		})
	}
}
