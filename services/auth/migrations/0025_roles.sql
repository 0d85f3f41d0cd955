-- Roles that organizations name themselves. Who has one holds its id among its
-- roles; an id whose role is gone gives nothing.
CREATE TABLE roles (
    organization_id uuid        NOT NULL REFERENCES organizations ON DELETE CASCADE,
    id              uuid        NOT NULL,
    display_name    text        NOT NULL,
    description     text        NOT NULL,
    permissions     text[]      NOT NULL CHECK (cardinality(permissions) > 0),
    revision        bigint      NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id)
);

CREATE UNIQUE INDEX roles_name ON roles (organization_id, lower(display_name));
CREATE INDEX roles_created ON roles (organization_id, created_at, id);

ALTER TABLE roles ENABLE ROW LEVEL SECURITY;
ALTER TABLE roles FORCE ROW LEVEL SECURITY;
CREATE POLICY organization ON roles
    USING (organization_id = gatehouse.organization_id()) WITH CHECK (organization_id = gatehouse.organization_id());

-- What the custom ones among roles give together, with the rights of who asks.
CREATE FUNCTION custom_permissions(of_organization uuid, held text[]) RETURNS text[]
    LANGUAGE sql STABLE
AS $$
    SELECT coalesce(array_agg(DISTINCT p ORDER BY p), '{}') FROM roles r, unnest(r.permissions) p
    WHERE r.organization_id = of_organization AND r.id::text = ANY (held)
$$;

-- Built-in names and ids; never the operators' role.
ALTER TABLE memberships DROP CONSTRAINT memberships_roles, ADD CONSTRAINT memberships_roles
    CHECK (cardinality(roles) > 0 AND array_to_string(roles, ' ') ~ '^((owner|admin|member|viewer|[0-9a-f-]{36})( |$))+$');
ALTER TABLE invitations DROP CONSTRAINT invitations_roles_check, ADD CONSTRAINT invitations_roles
    CHECK (cardinality(roles) > 0 AND array_to_string(roles, ' ') ~ '^((owner|admin|member|viewer|[0-9a-f-]{36})( |$))+$');

-- As it was, and it answers what custom roles give too.
DROP FUNCTION resolve_api_key(bytea, timestamptz);
CREATE FUNCTION resolve_api_key(presented bytea, at timestamptz)
    RETURNS TABLE (id uuid, user_id uuid, organization_id uuid, roles text[], permissions text[], operator boolean, scopes text[])
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
    SELECT f.id, f.user_id, f.organization_id, f.roles, custom_permissions(f.organization_id, f.roles), f.operator, f.scopes FROM found f
$$;

REVOKE EXECUTE ON FUNCTION resolve_api_key(bytea, timestamptz) FROM PUBLIC;
GRANT SELECT ON roles TO gatehouse_definer;
ALTER FUNCTION resolve_api_key(bytea, timestamptz) OWNER TO gatehouse_definer;
