package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// definerRole owns the few functions that may bypass row level security. It cannot log
// in.
const definerRole = "gatehouse_definer"

// checkRoles reports every login role that another installation uses, before any change.
// Roles belong to the whole cluster: without this check, a second installation with
// another secret key would change the passwords that the first one uses.
//
// A role belongs to this installation when it can log in with the password that is
// derived from the secret key. A role whose login cannot be tried (pg_hba.conf refuses
// it, the server has no free connection) is reported too, because it may belong to
// another installation.
func (m *migrator) checkRoles(ctx context.Context, sets []MigrationSet) error {
	var foreign []string
	for _, set := range sets {
		found, err := m.roleExists(ctx, set.Role.login())
		if err != nil || !found {
			if err != nil {
				return fmt.Errorf("postgres: %w", err)
			}
			continue
		}
		refused, err := m.refusesPassword(ctx, set.Role)
		if err != nil {
			return err
		}
		if refused {
			foreign = append(foreign, set.Role.login())
		}
	}
	if len(foreign) == 0 {
		return nil
	}
	return fmt.Errorf("postgres: nothing was changed: %s already exist in this cluster, created with another secret key. "+
		"Another installation may use them: give each installation its own cluster. "+
		"If the secret key of this installation was replaced, run: gatehouse migrate --adopt-roles", strings.Join(foreign, ", "))
}

// refusesPassword tries to log in as a service's role and reports whether the server
// refuses the password of this installation.
func (m *migrator) refusesPassword(ctx context.Context, role Role) (bool, error) {
	config, err := Config{SecretKey: m.secretKey}.withDefaults().connConfig(m.adminURL, role)
	if err != nil {
		return false, err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err == nil {
		closeAdmin(ctx, conn)
		return false, nil
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "28P01" {
		return true, nil
	}
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	return false, fmt.Errorf("postgres: nothing was changed: it is unknown whether the role %[1]s belongs to this installation, "+
		"because it cannot log in from here: %[2]w. Let it log in, or run: gatehouse migrate --adopt-roles", role.login(), err)
}

// ensureRoles creates the login roles of the services and the owner of the
// definer functions when they are missing. An existing role keeps its password.
func (m *migrator) ensureRoles(ctx context.Context, sets []MigrationSet) error {
	if err := m.ensureRole(ctx, definerRole, "NOLOGIN BYPASSRLS"); err != nil {
		return fmt.Errorf("postgres: creating the role %s: %w", definerRole, err)
	}
	for _, set := range sets {
		stored, err := verifier(m.secretKey, set.Role)
		if err != nil {
			return err
		}
		attributes := "LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE PASSWORD " + quote(stored)
		if err := m.ensureRole(ctx, set.Role.login(), attributes); err != nil {
			return fmt.Errorf("postgres: creating the role %s: %w", set.Role.login(), err)
		}
	}
	return nil
}

// adoptRoles sets the passwords of the login roles to those of this installation. It
// runs last, so that a failed migration does not change them.
func (m *migrator) adoptRoles(ctx context.Context, sets []MigrationSet) error {
	for _, set := range sets {
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

// checkDefiner returns an error when the administrator cannot create or use the owner of
// the definer functions. The error names the statement that a superuser must run.
func (m *migrator) checkDefiner(ctx context.Context) error {
	var exists, bypasses, member, mayCreate bool
	err := m.conn.QueryRow(ctx, `
		SELECT d.oid IS NOT NULL, coalesce(d.rolbypassrls, false),
			coalesce(pg_has_role(current_user, d.oid, 'member'), false),
			me.rolsuper OR me.rolcreaterole AND me.rolbypassrls AND current_setting('server_version_num')::int >= 160000
		FROM pg_roles me LEFT JOIN pg_roles d ON d.rolname = $1 WHERE me.rolname = current_user`,
		definerRole).Scan(&exists, &bypasses, &member, &mayCreate)
	switch {
	case err != nil:
		return fmt.Errorf("postgres: %w", err)
	case !exists && !mayCreate:
		return fmt.Errorf("postgres: this administrator may not create the role %[1]s; a superuser must once run: CREATE ROLE %[1]s NOLOGIN BYPASSRLS; GRANT %[1]s TO <administrator>", definerRole)
	case exists && !bypasses:
		return fmt.Errorf("postgres: the role %[1]s lacks BYPASSRLS; a superuser must once run: ALTER ROLE %[1]s BYPASSRLS", definerRole)
	case exists && !member:
		return fmt.Errorf("postgres: this administrator is not a member of %[1]s; a superuser must once run: GRANT %[1]s TO <administrator>", definerRole)
	}
	return nil
}

func (m *migrator) roleExists(ctx context.Context, name string) (found bool, err error) {
	err = m.conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", name).Scan(&found)
	return found, err
}

// ensureRole creates a role when it is missing. It accepts a role that the migration of
// another database creates at the same time.
func (m *migrator) ensureRole(ctx context.Context, name, attributes string) error {
	found, err := m.roleExists(ctx, name)
	if err != nil || found {
		return err
	}
	_, err = m.conn.Exec(ctx, "CREATE ROLE "+pgx.Identifier{name}.Sanitize()+" "+attributes)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && (pg.Code == "42710" || pg.Code == "23505") {
		return nil
	}
	return err
}

// alterRole changes a role, and retries when the same role was changed at the same time.
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
