-- As they were, in a language that keeps their plans: what every refresh calls was
-- planned at each call, which took most of its time.
CREATE OR REPLACE FUNCTION rotate_refresh_token(presented bytea, successor bytea, client uuid, at timestamptz)
    RETURNS TABLE (organization_id uuid, session_id uuid, user_id uuid, auth_time timestamptz, methods text[], scopes text[])
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY WITH used AS (
        UPDATE refresh_tokens t SET used_at = at
        FROM sessions s, users u, memberships m
        WHERE t.token_hash = presented AND t.used_at IS NULL AND t.expires_at > at
          AND s.organization_id = t.organization_id AND s.id = t.session_id
          AND s.client_id IS NOT DISTINCT FROM client AND s.revoked_at IS NULL AND s.expires_at > at
          AND u.id = s.user_id AND NOT u.disabled
          AND m.organization_id = s.organization_id AND m.user_id = s.user_id
        RETURNING s.organization_id, s.id, s.user_id, s.auth_time, s.methods, s.scopes, s.expires_at
    ), issued AS (
        INSERT INTO refresh_tokens (organization_id, token_hash, session_id, created_at, expires_at)
        SELECT used.organization_id, successor, used.id, at, used.expires_at FROM used
    )
    SELECT used.organization_id, used.id, used.user_id, used.auth_time, used.methods, used.scopes FROM used;
END
$$;

CREATE OR REPLACE FUNCTION custom_permissions(of_organization uuid, held text[]) RETURNS text[]
    LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RETURN (SELECT coalesce(array_agg(DISTINCT p ORDER BY p), '{}') FROM roles r, unnest(r.permissions) p
            WHERE r.organization_id = of_organization AND r.id::text = ANY (held));
END
$$;
