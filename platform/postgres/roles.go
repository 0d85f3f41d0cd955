package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// definerRole owns the narrow functions that may look past row level security.
// Nobody can log in as it.
const definerRole = "gatehouse_definer"

// checkRoles reports every login role that another installation uses, before
// anything is changed. Roles belong to the whole cluster: a second installation with
// a secret key of its own would otherwise lock the first one out of its database.
//
// A role belongs to this installation when it can log in with the password that the
// secret key gives. A role that cannot be tried (pg_hba.conf refuses it, the server is
// full) is reported too: nothing may be changed about a role that may be another's.
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
	return fmt.Errorf("postgres: nothing was changed: %s already exist in this cluster, made with another secret key. "+
		"Another installation may use them: give each installation a cluster of its own. "+
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
	return false, fmt.Errorf("postgres: nothing was changed: whether the role %[1]s belongs to this installation cannot be checked, "+
		"as it cannot log in from here: %[2]w. Let it log in, or run: gatehouse migrate --adopt-roles", role.login(), err)
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
// runs last, so that a migration that fails leaves them as they were.
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

// checkDefiner reports what keeps the administrator from creating or using the owner
// of the definer functions.
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
		return fmt.Errorf("postgres: this administrator is no member of %[1]s; a superuser must once run: GRANT %[1]s TO <administrator>", definerRole)
	}
	return nil
}

func (m *migrator) roleExists(ctx context.Context, name string) (found bool, err error) {
	err = m.conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", name).Scan(&found)
	return found, err
}

// ensureRole creates a role when it is missing. The migration of another database may
// create it at the same time, with the same key; that role is as good.
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

// alterRole changes a role, and tries again when another change of the same
// role came first.
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
