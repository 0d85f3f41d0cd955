-- A session may be opened from another one, to act in another organization.
ALTER TABLE sessions ADD COLUMN opened_from uuid;
CREATE INDEX sessions_opened_from_idx ON sessions (opened_from) WHERE opened_from IS NOT NULL;

-- As it was, and it ends what was opened from the session too, and from that: whoever has
-- stolen a token may have opened others with it. Answers a row for each session that ended
-- until now, and one whenever the token was used. What opens a session holds its user, and
-- so is found by the second statement, or finds this.
CREATE OR REPLACE FUNCTION revoke_reused(presented bytea, client uuid, at timestamptz)
    RETURNS TABLE (organization_id uuid, session_id uuid, user_id uuid, ended boolean)
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    SELECT FROM refresh_tokens t
    JOIN sessions s ON s.organization_id = t.organization_id AND s.id = t.session_id
    JOIN users u ON u.id = s.user_id
    WHERE t.token_hash = presented AND t.used_at IS NOT NULL AND s.client_id IS NOT DISTINCT FROM client
    FOR NO KEY UPDATE OF u;

    WITH RECURSIVE reused AS (
        SELECT s.organization_id, s.id, s.user_id
        FROM refresh_tokens t
        JOIN sessions s ON s.organization_id = t.organization_id AND s.id = t.session_id
        WHERE t.token_hash = presented AND t.used_at IS NOT NULL AND s.client_id IS NOT DISTINCT FROM client
    ), opened AS (
        SELECT r.organization_id, r.id FROM reused r
        UNION
        SELECT s.organization_id, s.id FROM opened o JOIN sessions s ON s.opened_from = o.id
    ), revoked AS (
        UPDATE sessions s SET revoked_at = at FROM opened o
        WHERE s.organization_id = o.organization_id AND s.id = o.id AND s.revoked_at IS NULL
        RETURNING s.organization_id, s.id, s.user_id
    )
    SELECT r.organization_id, r.id, r.user_id, true FROM revoked r
    UNION ALL
    SELECT r.organization_id, r.id, r.user_id, false FROM reused r WHERE NOT EXISTS (SELECT FROM revoked)
$$;
