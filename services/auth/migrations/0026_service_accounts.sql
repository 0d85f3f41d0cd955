-- A service account is a user who is no person: a member of one organization,
-- without anything to sign in with. So whatever refers to users, and every policy
-- on what is theirs, holds for it.
ALTER TABLE users
    ADD COLUMN kind text NOT NULL DEFAULT 'person' CHECK (kind IN ('person', 'service')),
    ALTER COLUMN email_normalized DROP NOT NULL,
    ADD CONSTRAINT users_person CHECK (kind <> 'person' OR email_normalized IS NOT NULL),
    ADD CONSTRAINT users_service CHECK (kind <> 'service' OR email_normalized IS NULL AND password_hash = '' AND NOT operator);

-- As it was, and it answers whether the user is a service account too.
DROP FUNCTION resolve_api_key(bytea, timestamptz);
CREATE FUNCTION resolve_api_key(presented bytea, at timestamptz)
    RETURNS TABLE (id uuid, user_id uuid, organization_id uuid, roles text[], permissions text[], operator boolean, service boolean, scopes text[])
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    WITH found AS (
        SELECT k.id, k.user_id, k.organization_id, m.roles, u.operator, u.kind, k.scopes, k.last_used_at
        FROM api_keys k
        JOIN users u ON u.id = k.user_id AND NOT u.disabled
        JOIN memberships m ON m.organization_id = k.organization_id AND m.user_id = k.user_id
        WHERE k.secret_hash = presented AND (k.expires_at IS NULL OR k.expires_at > at)
    ), used AS (
        UPDATE api_keys k SET last_used_at = at FROM found
        WHERE k.id = found.id AND (found.last_used_at IS NULL OR found.last_used_at < at - interval '1 minute')
    )
    SELECT f.id, f.user_id, f.organization_id, f.roles, custom_permissions(f.organization_id, f.roles), f.operator,
        f.kind = 'service', f.scopes
    FROM found f
$$;

REVOKE EXECUTE ON FUNCTION resolve_api_key(bytea, timestamptz) FROM PUBLIC;
ALTER FUNCTION resolve_api_key(bytea, timestamptz) OWNER TO gatehouse_definer;
