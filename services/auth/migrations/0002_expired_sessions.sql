CREATE INDEX sessions_expires_idx ON sessions (expires_at);

-- Removes sessions that ended by time, of all organizations, and with them their
-- tokens. Sessions that were revoked stay until then: their used tokens are how a
-- theft shows.
CREATE FUNCTION delete_expired_sessions(at timestamptz, most integer) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    WITH expired AS (
        SELECT organization_id, id FROM sessions WHERE expires_at <= at
        ORDER BY expires_at LIMIT most FOR UPDATE SKIP LOCKED
    ), deleted AS (
        DELETE FROM sessions s USING expired e
        WHERE s.organization_id = e.organization_id AND s.id = e.id
        RETURNING s.id
    )
    SELECT count(*) FROM deleted
$$;

REVOKE EXECUTE ON FUNCTION delete_expired_sessions(timestamptz, integer) FROM PUBLIC;
GRANT DELETE ON sessions TO gatehouse_definer;
ALTER FUNCTION delete_expired_sessions(timestamptz, integer) OWNER TO gatehouse_definer;
