package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// CheckTenancy reads the database's catalog and returns an error that lists every object
// that could show the rows of one organization to another:
//
//   - a table with an organization_id without row level security that is
//     enabled, forced, and has a policy with both USING and WITH CHECK;
//   - a foreign key between two such tables that does not contain the organization,
//     because row level security does not apply to the check of such a key;
//   - a view that is not security_invoker, because it reads with its owner's rights;
//   - a materialized view that a service may read, because it contains all rows;
//   - a SECURITY DEFINER function without a search_path of its own, or one whose owner
//     can log in.
//
// Each service has a test that runs it on its migrations.
func CheckTenancy(ctx context.Context, adminURL string) error {
	conn, err := adminConnect(ctx, adminURL)
	if err != nil {
		return err
	}
	defer closeAdmin(ctx, conn)
	rows, err := conn.Query(ctx, tenancyOffenders)
	if err != nil {
		return toFault(err)
	}
	offenders, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return toFault(err)
	}
	problems := make([]error, len(offenders))
	for i, offender := range offenders {
		problems[i] = errors.New(offender)
	}
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("postgres: tenancy: %w", errors.Join(problems...))
}

const tenancyOffenders = `
WITH relation AS (
	SELECT c.oid, c.oid::regclass::text AS name, c.relkind, c.relowner, c.relacl, c.reloptions,
		c.relrowsecurity, c.relforcerowsecurity, EXISTS (
		SELECT FROM pg_attribute a
		WHERE a.attrelid = c.oid AND a.attname = 'organization_id' AND NOT a.attisdropped) AS tenant
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE n.nspname NOT LIKE 'pg\_%' AND n.nspname NOT IN ('information_schema', 'extensions')
)
SELECT 'table ' || name || ': row level security is not enabled' FROM relation
WHERE tenant AND relkind IN ('r', 'p') AND NOT relrowsecurity
UNION ALL
SELECT 'table ' || name || ': row level security is not forced' FROM relation
WHERE tenant AND relkind IN ('r', 'p') AND NOT relforcerowsecurity
UNION ALL
SELECT 'table ' || name || ': no policy has both USING and WITH CHECK' FROM relation r
WHERE tenant AND relkind IN ('r', 'p') AND NOT EXISTS (
	SELECT FROM pg_policy p WHERE p.polrelid = r.oid AND p.polqual IS NOT NULL AND p.polwithcheck IS NOT NULL)
UNION ALL
SELECT 'table ' || r.name || ': policy ' || p.polname || ' has USING without WITH CHECK' FROM relation r
JOIN pg_policy p ON p.polrelid = r.oid
WHERE tenant AND p.polcmd IN ('*', 'w') AND p.polqual IS NOT NULL AND p.polwithcheck IS NULL
UNION ALL
SELECT 'table ' || r.name || ': foreign key ' || k.conname || ' leaves the organization out' FROM relation r
JOIN pg_constraint k ON k.conrelid = r.oid AND k.contype = 'f'
JOIN relation target ON target.oid = k.confrelid AND target.tenant
WHERE r.tenant AND NOT EXISTS (
	SELECT FROM pg_attribute a
	WHERE a.attrelid = r.oid AND a.attnum = ANY (k.conkey) AND a.attname = 'organization_id')
UNION ALL
SELECT 'view ' || name || ': is not security_invoker' FROM relation
WHERE relkind = 'v' AND NOT coalesce(
	(SELECT option_value::bool FROM pg_options_to_table(reloptions) WHERE option_name = 'security_invoker'), false)
UNION ALL
SELECT 'materialized view ' || r.name || ': is granted to ' || coalesce(nullif(g.grantee, 0)::regrole::text, 'everybody') FROM relation r,
	LATERAL aclexplode(r.relacl) g
WHERE relkind = 'm' AND g.grantee <> r.relowner AND g.privilege_type = 'SELECT'
UNION ALL
SELECT 'function ' || f.oid::regprocedure || ': SECURITY DEFINER without a search_path of its own' FROM pg_proc f
JOIN pg_namespace n ON n.oid = f.pronamespace
WHERE f.prosecdef AND n.nspname NOT LIKE 'pg\_%' AND n.nspname NOT IN ('information_schema', 'extensions')
AND NOT EXISTS (SELECT FROM unnest(f.proconfig) setting WHERE setting LIKE 'search_path=%')
UNION ALL
SELECT 'function ' || f.oid::regprocedure || ': SECURITY DEFINER, and its owner ' || o.rolname || ' can log in' FROM pg_proc f
JOIN pg_namespace n ON n.oid = f.pronamespace
JOIN pg_roles o ON o.oid = f.proowner
WHERE f.prosecdef AND o.rolcanlogin AND n.nspname NOT LIKE 'pg\_%' AND n.nspname NOT IN ('information_schema', 'extensions')
ORDER BY 1`
