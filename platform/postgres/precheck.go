package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
)

// check reports problems that would stop a migration half-way, before any change: bad
// file names, migrations that were changed after they were applied, missing or
// unsuitable extensions, and roles that belong to another installation.
func (m *migrator) check(ctx context.Context, sets []MigrationSet) error {
	base, err := fs.Sub(baseFiles, "migrations")
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	problems := []error{m.checkExtensions(ctx), m.checkDefiner(ctx), m.checkApplied(ctx, baseSchema, base)}
	for _, set := range sets {
		problems = append(problems, m.checkApplied(ctx, string(set.Role), set.FS))
	}
	if !m.options.AdoptRoles {
		problems = append(problems, m.checkRoles(ctx, sets))
	}
	return errors.Join(problems...)
}

// checkApplied compares the applied migrations of a schema with the files.
func (m *migrator) checkApplied(ctx context.Context, schema string, files fs.FS) error {
	wanted, err := readMigrations(files)
	if err != nil {
		return err
	}
	table := pgx.Identifier{schema, "schema_migrations"}.Sanitize()
	var exists bool
	if err := m.conn.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", table).Scan(&exists); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	if !exists {
		return nil
	}
	applied, err := m.applied(ctx, table)
	if err != nil {
		return err
	}
	for _, migration := range wanted {
		if checksum, done := applied[migration.version]; done && checksum != migration.checksum {
			return fmt.Errorf("postgres: migration %s of %s was changed after it had been applied", migration.name, schema)
		}
	}
	return nil
}

// checkExtensions reports a pgvector that is missing, too old or in the wrong schema. It
// checks the installed version, or else the version that would be installed.
func (m *migrator) checkExtensions(ctx context.Context) error {
	var schema, version string
	var old, dangerous bool
	err := m.conn.QueryRow(ctx, `
		SELECT coalesce(n.nspname, 'extensions'), version, v < '{0,8,0}', v < '{0,8,4}'
		FROM (SELECT a.name, coalesce(a.installed_version, a.default_version) AS version FROM pg_available_extensions a) available
			LEFT JOIN pg_extension e ON e.extname = available.name
			LEFT JOIN pg_namespace n ON n.oid = e.extnamespace,
			LATERAL (SELECT string_to_array(version, '.')::int[] AS v) parsed
		WHERE available.name = 'vector'`).Scan(&schema, &version, &old, &dangerous)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return errors.New("postgres: this server has no extension vector; install pgvector 0.8.0 or newer")
	case err != nil:
		return fmt.Errorf("postgres: %w", err)
	case schema != "extensions":
		return fmt.Errorf("postgres: the extension vector is in the schema %s; run: ALTER EXTENSION vector SET SCHEMA extensions (and the same for pg_trgm)", schema)
	case old:
		return fmt.Errorf("postgres: pgvector %s is too old, want 0.8.0 or newer", version)
	case dangerous:
		m.log.Info("this pgvector has known bugs, which Gatehouse works around; 0.8.4 or newer is better", "version", version)
	}
	return nil
}
