package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed migrations/*.sql
var baseFiles embed.FS

// migrationLock is the advisory lock that lets only one migration run at a time.
const migrationLock = 0x6761746568_6f7573 // "gatehous"

// MigrationSet is the schema of one service.
type MigrationSet struct {
	// Role names the service, its schema and its login role.
	Role Role
	// FS contains the files 0001_name.sql, 0002_name.sql … at its root. A file must
	// never change after it was applied.
	FS fs.FS
	// Settings are set for the role in addition to those that every role gets.
	Settings map[string]string
}

// MigrateOptions change how [Migrate] works. The zero value is right for every
// ordinary start.
type MigrateOptions struct {
	// Log receives notices for the person who runs the migration. Nil discards
	// them.
	Log *slog.Logger
	// AdoptRoles sets the passwords of existing login roles to those that are derived
	// from the secret key. Another installation in the cluster that uses these roles
	// can no longer log in. Without AdoptRoles, Migrate reports roles with another
	// password and changes nothing.
	AdoptRoles bool
}

// Migrate brings the database up to date: extensions, roles, schemas, the services'
// migrations, the job queues and the grants. It runs as the administrator, on a direct
// connection, and may be run at any time and by several processes: they take turns, and
// skip what is already done. It first checks everything that can be checked, and
// changes nothing when it finds a problem.
func Migrate(ctx context.Context, adminURL string, secretKey []byte, options MigrateOptions, sets ...MigrationSet) error {
	log := options.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if len(secretKey) != secretKeySize {
		return fmt.Errorf("postgres: the secret key has %d bytes, want %d", len(secretKey), secretKeySize)
	}
	for _, set := range sets {
		if err := set.Role.validate(); err != nil {
			return err
		}
	}
	conn, err := adminConnect(ctx, adminURL)
	if err != nil {
		return err
	}
	// Closing the connection releases the advisory lock too.
	defer closeAdmin(ctx, conn)
	m := &migrator{conn: conn, adminURL: adminURL, secretKey: secretKey, options: options, log: log}
	return m.run(ctx, sets)
}

type migrator struct {
	conn      *pgx.Conn
	adminURL  string
	secretKey []byte
	options   MigrateOptions
	log       *slog.Logger
}

func (m *migrator) run(ctx context.Context, sets []MigrationSet) error {
	if _, err := m.conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(migrationLock)); err != nil {
		return fmt.Errorf("postgres: waiting for another migration: %w", err)
	}
	if err := m.check(ctx, sets); err != nil {
		return err
	}
	if err := m.base(ctx, sets); err != nil {
		return err
	}
	for _, set := range sets {
		if err := m.prepareSchema(ctx, set.Role); err != nil {
			return err
		}
		if err := m.apply(ctx, string(set.Role), set.FS); err != nil {
			return err
		}
		if err := m.migrateJobs(ctx, set.Role); err != nil {
			return err
		}
		if err := m.configureRole(ctx, set); err != nil {
			return err
		}
	}
	if m.options.AdoptRoles {
		return m.adoptRoles(ctx, sets)
	}
	return nil
}

// base creates the roles and the objects that all services share.
func (m *migrator) base(ctx context.Context, sets []MigrationSet) error {
	if err := m.ensureRoles(ctx, sets); err != nil {
		return err
	}
	if err := m.checkDefiner(ctx); err != nil {
		return err
	}
	if !m.options.AdoptRoles {
		// The migration of another database of the cluster does not wait for this one, and
		// may have created a role since the first check.
		if err := m.checkRoles(ctx, sets); err != nil {
			return err
		}
	}
	if err := m.exec(ctx, "CREATE SCHEMA IF NOT EXISTS extensions; CREATE SCHEMA IF NOT EXISTS gatehouse; CREATE SCHEMA IF NOT EXISTS audit"); err != nil {
		return err
	}
	files, err := fs.Sub(baseFiles, "migrations")
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	return m.apply(ctx, baseSchema, files)
}

// Migrated returns an error when a migration of the base or of the sets was not applied.
// It is for readiness. Pass only the set of the pool's own role, because a role cannot
// see the schemas of other services. A database with newer migrations than the program
// has, as during a rollout, counts as migrated.
func Migrated(ctx context.Context, db *DB, sets ...MigrationSet) error {
	files, err := fs.Sub(baseFiles, "migrations")
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	problems := []error{db.migrated(ctx, baseSchema, files)}
	for _, set := range sets {
		problems = append(problems, db.migrated(ctx, string(set.Role), set.FS))
	}
	return errors.Join(problems...)
}

func (db *DB) migrated(ctx context.Context, schema string, files fs.FS) error {
	wanted, err := readMigrations(files)
	if err != nil {
		return err
	}
	applied, err := QueryAll(ctx, db, Scope{}, pgx.RowTo[int64],
		"SELECT version FROM "+pgx.Identifier{schema, "schema_migrations"}.Sanitize())
	if err != nil {
		return err
	}
	done := make(map[int64]bool, len(applied))
	for _, version := range applied {
		done[version] = true
	}
	for _, migration := range wanted {
		if !done[migration.version] {
			return fmt.Errorf("postgres: migration %s of %s has not been applied: run gatehouse migrate", migration.name, schema)
		}
	}
	return nil
}

// adminConnect opens the administrator's connection. It has no statement timeouts, so
// that they do not end a long migration.
func adminConnect(ctx context.Context, adminURL string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(adminURL)
	if err != nil {
		return nil, fmt.Errorf("postgres: database URL: %w", err)
	}
	config.ConnectTimeout = 5 * time.Second
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, unavailable(err)
	}
	// pgvector before 0.8.2 overflows a buffer in parallel builds of HNSW indexes.
	_, err = conn.Exec(ctx, "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET max_parallel_maintenance_workers = 0")
	if err != nil {
		closeAdmin(ctx, conn)
		return nil, toFault(err)
	}
	return conn, nil
}

func closeAdmin(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	// When Close fails, the server notices the lost connection.
	_ = conn.Close(ctx)
}

func (m *migrator) exec(ctx context.Context, sql string) error {
	if _, err := m.conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	return nil
}
