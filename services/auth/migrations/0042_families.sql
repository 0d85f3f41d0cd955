-- A session that was opened from another one, to act in another organization, is of the
-- family of the sign-in that all of them began with; that one has none.
ALTER TABLE sessions ADD COLUMN family uuid;
CREATE INDEX sessions_family_idx ON sessions (family) WHERE family IS NOT NULL;

-- As it was, and it ends the whole family: who has stolen a token may have opened other
-- sessions with it. Answers a row for each session that ended until now, and one
-- whenever the token was used. What opens a session holds its user, and so is found by
-- the second statement, or finds this.
CREATE OR REPLACE FUNCTION revoke_reused(presented bytea, client uuid, at timestamptz)
    RETURNS TABLE (organization_id uuid, session_id uuid, user_id uuid, ended boolean)
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    SELECT FROM refresh_tokens t
    JOIN sessions s ON s.organization_id = t.organization_id AND s.id = t.session_id
    JOIN users u ON u.id = s.user_id
    WHERE t.token_hash = presented AND t.used_at IS NOT NULL AND s.client_id IS NOT DISTINCT FROM client
    FOR NO KEY UPDATE OF u;

    WITH reused AS (
        SELECT s.organization_id, s.id, s.user_id, coalesce(s.family, s.id) AS family
        FROM refresh_tokens t
        JOIN sessions s ON s.organization_id = t.organization_id AND s.id = t.session_id
        WHERE t.token_hash = presented AND t.used_at IS NOT NULL AND s.client_id IS NOT DISTINCT FROM client
    ), members AS (
        SELECT r.organization_id, r.id FROM reused r
        UNION
        SELECT s.organization_id, s.id FROM reused r JOIN sessions s ON s.family = r.family
        UNION
        SELECT s.organization_id, s.id FROM reused r JOIN sessions s ON s.user_id = r.user_id AND s.id = r.family
    ), revoked AS (
        UPDATE sessions s SET revoked_at = at FROM members m
        WHERE s.organization_id = m.organization_id AND s.id = m.id AND s.revoked_at IS NULL
        RETURNING s.organization_id, s.id, s.user_id
    )
    SELECT r.organization_id, r.id, r.user_id, true FROM revoked r
    UNION ALL
    SELECT r.organization_id, r.id, r.user_id, false FROM reused r WHERE NOT EXISTS (SELECT FROM revoked)
$$;
