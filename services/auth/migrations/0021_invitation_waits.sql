-- Whether an invitation waits for somebody who has no account yet.
CREATE FUNCTION invitation_waits(presented bytea, address text, at timestamptz) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM invitations i
                   WHERE i.token_hash = presented AND i.email_normalized = address AND i.accepted_at IS NULL AND i.expires_at > at)
$$;

REVOKE EXECUTE ON FUNCTION invitation_waits(bytea, text, timestamptz) FROM PUBLIC;
ALTER FUNCTION invitation_waits(bytea, text, timestamptz) OWNER TO gatehouse_definer;
