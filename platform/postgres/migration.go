package postgres

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// baseSchema is the schema of the objects that all services share.
const baseSchema = "gatehouse"

// migration is one file.
type migration struct {
	version  int64
	name     string
	sql      string
	checksum string
}

// readMigrations returns the files in order. A file whose name is not the name of a
// migration is an error: otherwise a misspelled file would be ignored.
func readMigrations(files fs.FS) ([]migration, error) {
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return nil, fmt.Errorf("postgres: migrations: %w", err)
	}
	name := regexp.MustCompile(`^(\d{4})_[a-z0-9_]+\.sql$`)
	var found []migration
	for _, entry := range entries {
		match := name.FindStringSubmatch(entry.Name())
		if match == nil {
			return nil, fmt.Errorf("postgres: %s is not named like a migration (0001_name.sql)", entry.Name())
		}
		text, err := fs.ReadFile(files, entry.Name())
		if err != nil {
			return nil, fmt.Errorf("postgres: migrations: %w", err)
		}
		version, err := strconv.ParseInt(match[1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("postgres: %s: %w", entry.Name(), err)
		}
		sum := sha256.Sum256(text)
		found = append(found, migration{version: version, name: entry.Name(), sql: string(text), checksum: hex.EncodeToString(sum[:])})
	}
	slices.SortFunc(found, func(a, b migration) int { return cmp.Compare(a.version, b.version) })
	for i := 1; i < len(found); i++ {
		if found[i].version == found[i-1].version {
			return nil, fmt.Errorf("postgres: %s and %s have the same number", found[i-1].name, found[i].name)
		}
	}
	return found, nil
}

// apply runs the migrations of a schema that were not applied yet, each in its own
// transaction.
func (m *migrator) apply(ctx context.Context, schema string, files fs.FS) error {
	wanted, err := readMigrations(files)
	if err != nil {
		return err
	}
	table := pgx.Identifier{schema, "schema_migrations"}.Sanitize()
	if err := m.exec(ctx, "CREATE TABLE IF NOT EXISTS "+table+` (
		version    bigint      PRIMARY KEY,
		name       text        NOT NULL,
		checksum   text        NOT NULL,
		applied_at timestamptz NOT NULL DEFAULT now())`); err != nil {
		return err
	}
	applied, err := m.applied(ctx, table)
	if err != nil {
		return err
	}
	for _, migration := range wanted {
		if _, done := applied[migration.version]; done {
			continue
		}
		if err := m.applyOne(ctx, schema, table, migration); err != nil {
			return err
		}
		m.log.Info("applied a migration", "schema", schema, "migration", migration.name)
	}
	return nil
}

func (m *migrator) applied(ctx context.Context, table string) (map[int64]string, error) {
	rows, err := m.conn.Query(ctx, "SELECT version, checksum FROM "+table) //nolint:rowserrcheck // ForEachRow closes the rows and returns their error
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	applied := map[int64]string{}
	var version int64
	var checksum string
	_, err = pgx.ForEachRow(rows, []any{&version, &checksum}, func() error {
		applied[version] = checksum
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	return applied, nil
}

func (m *migrator) applyOne(ctx context.Context, schema, table string, migration migration) error {
	tx, err := m.conn.Begin(ctx)
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	defer rollback(ctx, tx)
	if _, err := tx.Exec(ctx, "SET LOCAL search_path = "+pgx.Identifier{schema}.Sanitize()+", extensions"); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	if _, err := tx.Exec(ctx, migration.sql); err != nil {
		return fmt.Errorf("postgres: migration %s of %s%s: %w", migration.name, schema, lineOf(migration.sql, err), err)
	}
	if _, err := tx.Exec(ctx, "INSERT INTO "+table+" (version, name, checksum) VALUES ($1, $2, $3)",
		migration.version, migration.name, migration.checksum); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("postgres: migration %s of %s: %w", migration.name, schema, err)
	}
	return nil
}

// lineOf converts the position in an error of the server, counted in characters, to a
// line number.
func lineOf(sql string, err error) string {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || pg.Position <= 0 {
		return ""
	}
	before := []rune(sql)
	before = before[:min(int(pg.Position)-1, len(before))]
	return fmt.Sprintf(", line %d", 1+strings.Count(string(before), "\n"))
}
