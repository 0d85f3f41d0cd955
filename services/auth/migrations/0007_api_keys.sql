-- Credentials of users for their programs. Of a key's secret only the hash is
-- kept; a deleted key is gone.
CREATE TABLE api_keys (
    organization_id uuid        NOT NULL,
    id              uuid        NOT NULL PRIMARY KEY,
    user_id         uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    display_name    text        NOT NULL,
    prefix          text        NOT NULL,
    secret_hash     bytea       NOT NULL UNIQUE,
    scopes          text[]      NOT NULL CHECK (cardinality(scopes) > 0),
    created_at      timestamptz NOT NULL,
    expires_at      timestamptz,
    last_used_at    timestamptz
);

CREATE INDEX api_keys_user ON api_keys (user_id, created_at DESC, id DESC);

ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;

CREATE POLICY own ON api_keys
    USING (user_id = gatehouse.user_id()) WITH CHECK (user_id = gatehouse.user_id());

-- Whose a key is and what its user may do now. Notes the use, to a minute.
CREATE FUNCTION resolve_api_key(presented bytea, at timestamptz)
    RETURNS TABLE (id uuid, user_id uuid, organization_id uuid, roles text[], operator boolean, scopes text[])
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    WITH found AS (
        SELECT k.id, k.user_id, k.organization_id, m.roles, u.operator, k.scopes, k.last_used_at
        FROM api_keys k
        JOIN users u ON u.id = k.user_id AND NOT u.disabled
        JOIN memberships m ON m.organization_id = k.organization_id AND m.user_id = k.user_id
        WHERE k.secret_hash = presented AND (k.expires_at IS NULL OR k.expires_at > at)
    ), used AS (
        UPDATE api_keys k SET last_used_at = at FROM found
        WHERE k.id = found.id AND (found.last_used_at IS NULL OR found.last_used_at < at - interval '1 minute')
    )
    SELECT f.id, f.user_id, f.organization_id, f.roles, f.operator, f.scopes FROM found f
$$;

REVOKE EXECUTE ON FUNCTION resolve_api_key(bytea, timestamptz) FROM PUBLIC;
GRANT SELECT, UPDATE ON api_keys TO gatehouse_definer;
GRANT SELECT ON users, memberships TO gatehouse_definer;
ALTER FUNCTION resolve_api_key(bytea, timestamptz) OWNER TO gatehouse_definer;
