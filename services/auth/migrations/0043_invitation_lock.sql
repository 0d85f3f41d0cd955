-- An invitation is accepted under the lock of its organization, by which nobody takes
-- the inviter's rights meanwhile. The reader of the mail is not a member yet, and so
-- learns here, without any lock, which organization that is.
CREATE FUNCTION waiting_invitation(presented bytea, address text, at timestamptz) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    SELECT i.organization_id FROM invitations i JOIN organizations o ON o.id = i.organization_id AND o.deleted_at IS NULL
    WHERE i.token_hash = presented AND i.email_normalized = address AND i.accepted_at IS NULL AND i.expires_at > at
$$;

REVOKE EXECUTE ON FUNCTION waiting_invitation(bytea, text, timestamptz) FROM PUBLIC;
ALTER FUNCTION waiting_invitation(bytea, text, timestamptz) OWNER TO gatehouse_definer;

-- accept_invitation and invitation_waits stay for processes of the version before this
-- one, which run on during a rollout. Nothing else calls them.
