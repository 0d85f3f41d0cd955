package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// defaultSettings returns the settings of a service's role. They are attributes of the
// role and not of the connection, so they also apply with a pooler.
func defaultSettings(role Role) map[string]string {
	return map[string]string{
		"search_path":                         string(role) + ", extensions",
		"statement_timeout":                   "30s",
		"lock_timeout":                        "10s",
		"idle_in_transaction_session_timeout": "60s",
		"jit":                                 "off",
		"timezone":                            "UTC",
	}
}

// prepareSchema creates a service's schemas, and grants its role rights on the tables
// that migrations will create there. A migration can revoke some of these rights.
func (m *migrator) prepareSchema(ctx context.Context, role Role) error {
	schema, login := pgx.Identifier{string(role)}.Sanitize(), pgx.Identifier{role.login()}.Sanitize()
	return m.exec(ctx, strings.NewReplacer("<schema>", schema, "<login>", login).Replace(schemaGrants))
}

const schemaGrants = `
	CREATE SCHEMA IF NOT EXISTS <schema>;
	GRANT USAGE ON SCHEMA <schema>, extensions, gatehouse, audit TO <login>;
	GRANT SELECT ON gatehouse.schema_migrations TO <login>;
	GRANT INSERT ON audit.events TO <login>;
	GRANT SELECT, INSERT, UPDATE ON gatehouse.idempotency_keys TO <login>;
	GRANT EXECUTE ON FUNCTION gatehouse.delete_idempotency_keys(timestamptz, integer) TO <login>;
	GRANT USAGE, CREATE ON SCHEMA <schema> TO gatehouse_definer;
	GRANT USAGE ON SCHEMA extensions, gatehouse TO gatehouse_definer;
	ALTER DEFAULT PRIVILEGES IN SCHEMA <schema> GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO <login>;
	ALTER DEFAULT PRIVILEGES IN SCHEMA <schema> GRANT USAGE ON SEQUENCES TO <login>;
	ALTER DEFAULT PRIVILEGES IN SCHEMA <schema> GRANT EXECUTE ON FUNCTIONS TO <login>;`

// configureRole runs last, when the tables and the settings of extensions exist.
func (m *migrator) configureRole(ctx context.Context, set MigrationSet) error {
	table, login := pgx.Identifier{string(set.Role), "schema_migrations"}.Sanitize(), pgx.Identifier{set.Role.login()}.Sanitize()
	if err := m.exec(ctx, "REVOKE INSERT, UPDATE, DELETE ON "+table+" FROM "+login); err != nil {
		return err
	}
	// The server knows the settings of pgvector only after it has loaded the library.
	if err := m.exec(ctx, "SELECT '[1]'::extensions.vector"); err != nil {
		return err
	}
	current, err := m.roleSettings(ctx, set.Role.login())
	if err != nil {
		return err
	}
	wanted := defaultSettings(set.Role)
	maps.Copy(wanted, set.Settings)
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		value := wanted[name]
		if current[strings.ToLower(name)] == value {
			continue
		}
		// A search path is a list, and must not be quoted as one name.
		if name != "search_path" {
			value = quote(value)
		}
		if err := m.alterRole(ctx, set.Role.login(), "SET "+name+" = "+value); err != nil {
			return fmt.Errorf("postgres: setting %s for %s: %w", name, set.Role.login(), err)
		}
	}
	return nil
}

func (m *migrator) roleSettings(ctx context.Context, login string) (map[string]string, error) {
	rows, err := m.conn.Query(ctx, `
		SELECT unnest(s.setconfig) FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole
		WHERE s.setdatabase = 0 AND r.rolname = $1`, login)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	pairs, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	settings := make(map[string]string, len(pairs))
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		settings[strings.ToLower(name)] = value
	}
	return settings, nil
}

// quote returns a trusted value as an SQL literal, for statements that accept no
// parameters.
func quote(value string) string { return "'" + strings.ReplaceAll(value, "'", "''") + "'" }
