-- What ended by time, of all users and organizations, a bounded part at once.
CREATE INDEX invitations_expires_idx ON invitations (expires_at);
CREATE INDEX api_keys_expires_idx ON api_keys (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX factor_tries_begins_idx ON factor_tries (begins_at);

CREATE FUNCTION delete_expired_invitations(at timestamptz, most integer) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    WITH expired AS (
        SELECT organization_id, id FROM invitations WHERE expires_at <= at ORDER BY expires_at LIMIT most FOR UPDATE SKIP LOCKED
    ), deleted AS (
        DELETE FROM invitations i USING expired e WHERE i.organization_id = e.organization_id AND i.id = e.id RETURNING 1
    )
    SELECT count(*) FROM deleted
$$;

CREATE FUNCTION delete_expired_invitation_counts(at timestamptz, most integer) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    WITH expired AS (
        SELECT organization_id, inviter_id, day FROM invitation_counts WHERE expires_at <= at
        ORDER BY expires_at LIMIT most FOR UPDATE SKIP LOCKED
    ), deleted AS (
        DELETE FROM invitation_counts c USING expired e
        WHERE c.organization_id = e.organization_id AND c.inviter_id = e.inviter_id AND c.day = e.day RETURNING 1
    )
    SELECT count(*) FROM deleted
$$;

CREATE FUNCTION delete_expired_api_keys(at timestamptz, most integer) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    WITH expired AS (
        SELECT id FROM api_keys WHERE expires_at <= at ORDER BY expires_at LIMIT most FOR UPDATE SKIP LOCKED
    ), deleted AS (
        DELETE FROM api_keys k USING expired e WHERE k.id = e.id RETURNING 1
    )
    SELECT count(*) FROM deleted
$$;

CREATE FUNCTION delete_expired_factor_tries(at timestamptz, most integer) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    WITH expired AS (
        SELECT user_id FROM factor_tries WHERE begins_at <= at ORDER BY begins_at LIMIT most FOR UPDATE SKIP LOCKED
    ), deleted AS (
        DELETE FROM factor_tries t USING expired e WHERE t.user_id = e.user_id RETURNING 1
    )
    SELECT count(*) FROM deleted
$$;

REVOKE EXECUTE ON FUNCTION delete_expired_invitations(timestamptz, integer), delete_expired_invitation_counts(timestamptz, integer),
    delete_expired_api_keys(timestamptz, integer), delete_expired_factor_tries(timestamptz, integer) FROM PUBLIC;
GRANT DELETE ON invitations TO gatehouse_definer;
GRANT SELECT, UPDATE, DELETE ON invitation_counts, factor_tries TO gatehouse_definer;
ALTER FUNCTION delete_expired_invitations(timestamptz, integer) OWNER TO gatehouse_definer;
ALTER FUNCTION delete_expired_invitation_counts(timestamptz, integer) OWNER TO gatehouse_definer;
ALTER FUNCTION delete_expired_api_keys(timestamptz, integer) OWNER TO gatehouse_definer;
ALTER FUNCTION delete_expired_factor_tries(timestamptz, integer) OWNER TO gatehouse_definer;
