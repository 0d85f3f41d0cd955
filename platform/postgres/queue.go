package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// JobsSchema returns the name of the schema of a service's job queue. Each service has
// its own queue: the leader of a River schema rescues all stuck jobs there, and discards
// jobs of unknown kinds, so two services in one schema would discard each other's jobs.
func JobsSchema(role Role) string { return role.jobsSchema() }

// migrateJobs updates a service's queue with River's migrations. River records which of
// them were applied.
func (m *migrator) migrateJobs(ctx context.Context, role Role) error {
	schema, login := pgx.Identifier{role.jobsSchema()}.Sanitize(), pgx.Identifier{role.login()}.Sanitize()
	substitute := strings.NewReplacer("<schema>", schema, "<login>", login)
	if err := m.exec(ctx, substitute.Replace("CREATE SCHEMA IF NOT EXISTS <schema>")); err != nil {
		return err
	}
	config, err := pgxpool.ParseConfig(m.adminURL)
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	config.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	defer pool.Close()
	river, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{
		Schema: role.jobsSchema(), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return fmt.Errorf("postgres: job queue: %w", err)
	}
	done, err := river.Migrate(ctx, rivermigrate.DirectionUp, nil)
	if err != nil {
		return fmt.Errorf("postgres: job queue: %w", err)
	}
	if n := len(done.Versions); n > 0 {
		m.log.Info("applied the job queue's migrations", "schema", role.jobsSchema(), "count", n)
	}
	return m.exec(ctx, substitute.Replace(queueGrants))
}

const queueGrants = `
	GRANT USAGE ON SCHEMA <schema> TO <login>;
	GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA <schema> TO <login>;
	GRANT USAGE ON ALL SEQUENCES IN SCHEMA <schema> TO <login>;
	GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA <schema> TO <login>;
	REVOKE INSERT, UPDATE, DELETE ON <schema>.river_migration FROM <login>;`
