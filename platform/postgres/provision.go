package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// definerRole owns the narrow functions that may look past row level security.
// Nobody can log in as it.
const definerRole = "gatehouse_definer"

// defaultSettings are those of every service's role. They stand with the role
// rather than with the connection, which works behind a pooler too.
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

// ensureRoles makes the login roles of the services and the owner of the
// definer functions. Roles belong to the whole cluster, so another database's
// migration may be making them at this moment.
func (m *migrator) ensureRoles(ctx context.Context, sets []MigrationSet) error {
	if err := m.ensureDefiner(ctx); err != nil {
		return err
	}
	for _, set := range sets {
		if err := m.ensureRole(ctx, set.Role.login(), "LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE"); err != nil {
			return fmt.Errorf("postgres: creating the role %s: %w", set.Role.login(), err)
		}
		stored, err := verifier(m.secretKey, set.Role)
		if err != nil {
			return err
		}
		if err := m.alterRole(ctx, set.Role.login(), "PASSWORD "+quote(stored)); err != nil {
			return fmt.Errorf("postgres: setting the password of %s: %w", set.Role.login(), err)
		}
	}
	return nil
}

func (m *migrator) ensureDefiner(ctx context.Context) error {
	err := m.ensureRole(ctx, definerRole, "NOLOGIN BYPASSRLS")
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "42501" {
		return fmt.Errorf("postgres: this administrator may not create the role %[1]s; a superuser must once run: CREATE ROLE %[1]s NOLOGIN BYPASSRLS; GRANT %[1]s TO <administrator>", definerRole)
	}
	if err != nil {
		return fmt.Errorf("postgres: creating the role %s: %w", definerRole, err)
	}
	var bypasses, member bool
	err = m.conn.QueryRow(ctx, "SELECT rolbypassrls, pg_has_role(current_user, oid, 'member') FROM pg_roles WHERE rolname = $1",
		definerRole).Scan(&bypasses, &member)
	switch {
	case err != nil:
		return fmt.Errorf("postgres: %w", err)
	case !bypasses:
		return fmt.Errorf("postgres: the role %[1]s lacks BYPASSRLS; a superuser must once run: ALTER ROLE %[1]s BYPASSRLS", definerRole)
	case !member:
		return fmt.Errorf("postgres: this administrator is no member of %[1]s; a superuser must once run: GRANT %[1]s TO <administrator>", definerRole)
	}
	return nil
}

// ensureRole creates a role when it is missing; one that another migration
// makes at the same time is as good.
func (m *migrator) ensureRole(ctx context.Context, name, attributes string) error {
	var found bool
	if err := m.conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", name).Scan(&found); err != nil {
		return err
	}
	if found {
		return nil
	}
	_, err := m.conn.Exec(ctx, "CREATE ROLE "+pgx.Identifier{name}.Sanitize()+" "+attributes)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && (pg.Code == "42710" || pg.Code == "23505") {
		return nil
	}
	return err
}

// alterRole repeats a change that met another one of the same role.
func (m *migrator) alterRole(ctx context.Context, name, change string) error {
	var err error
	for range maxAttempts {
		_, err = m.conn.Exec(ctx, "ALTER ROLE "+pgx.Identifier{name}.Sanitize()+" "+change)
		if err == nil || !strings.Contains(err.Error(), "tuple concurrently updated") {
			break
		}
	}
	return err
}

// prepareSchema makes a service's schemas and says what its role may do with
// the tables that migrations are about to create there. A migration can revoke
// from that what must not be.
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

// configureRole comes last, when the tables and the settings of extensions are
// there to be spoken of.
func (m *migrator) configureRole(ctx context.Context, set MigrationSet) error {
	table, login := pgx.Identifier{string(set.Role), "schema_migrations"}.Sanitize(), pgx.Identifier{set.Role.login()}.Sanitize()
	if err := m.exec(ctx, "REVOKE INSERT, UPDATE, DELETE ON "+table+" FROM "+login); err != nil {
		return err
	}
	// Only then does the server know pgvector's settings.
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

// checkExtensions finds what would otherwise fail later and strangely.
func (m *migrator) checkExtensions(ctx context.Context) error {
	var schema, version string
	var old, dangerous bool
	err := m.conn.QueryRow(ctx, `
		SELECT n.nspname, e.extversion, v < '{0,8,0}', v < '{0,8,4}'
		FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace,
			LATERAL (SELECT string_to_array(e.extversion, '.')::int[] AS v) parsed
		WHERE e.extname = 'vector'`).Scan(&schema, &version, &old, &dangerous)
	switch {
	case err != nil:
		return fmt.Errorf("postgres: %w", err)
	case schema != "extensions":
		return fmt.Errorf("postgres: the extension vector is in the schema %s; run: ALTER EXTENSION vector SET SCHEMA extensions (and so for pg_trgm)", schema)
	case old:
		return fmt.Errorf("postgres: pgvector %s is too old, want 0.8.0 or newer", version)
	case dangerous:
		m.log.Info("this pgvector has known bugs, which Gatehouse works around; 0.8.4 or newer is better", "version", version)
	}
	return nil
}

// quote writes a value of ours as a literal, where a statement takes no
// parameter.
func quote(value string) string { return "'" + strings.ReplaceAll(value, "'", "''") + "'" }
