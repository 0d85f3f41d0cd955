-- Invitations into organizations. The token is made when the mail is written; only
-- its hash is kept. An accepted one stays, to be seen.
CREATE TABLE invitations (
    organization_id  uuid        NOT NULL REFERENCES organizations ON DELETE CASCADE,
    id               uuid        NOT NULL,
    email            text        NOT NULL,
    email_normalized text        NOT NULL,
    roles            text[]      NOT NULL CHECK (cardinality(roles) > 0 AND roles <@ ARRAY ['owner', 'admin', 'member', 'viewer']),
    inviter_id       uuid        NOT NULL,
    token_hash       bytea       UNIQUE,
    created_at       timestamptz NOT NULL,
    expires_at       timestamptz NOT NULL,
    accepted_at      timestamptz,
    PRIMARY KEY (organization_id, id)
);

-- At most one invitation of an address waits.
CREATE UNIQUE INDEX invitations_pending ON invitations (organization_id, email_normalized) WHERE accepted_at IS NULL;
CREATE INDEX invitations_created ON invitations (organization_id, created_at DESC, id DESC);

ALTER TABLE invitations ENABLE ROW LEVEL SECURITY;
ALTER TABLE invitations FORCE ROW LEVEL SECURITY;

CREATE POLICY organization ON invitations
    USING (organization_id = gatehouse.organization_id()) WITH CHECK (organization_id = gatehouse.organization_id());

-- Uses an invitation up, in one statement: the reader of the mail is not a member
-- yet, and so sees no row of the organization.
CREATE FUNCTION accept_invitation(presented bytea, address text, at timestamptz)
    RETURNS TABLE (organization_id uuid, id uuid, roles text[])
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    UPDATE invitations i SET accepted_at = at, token_hash = NULL
    WHERE i.token_hash = presented AND i.email_normalized = address AND i.accepted_at IS NULL AND i.expires_at > at
    RETURNING i.organization_id, i.id, i.roles
$$;

REVOKE EXECUTE ON FUNCTION accept_invitation(bytea, text, timestamptz) FROM PUBLIC;
GRANT SELECT, UPDATE ON invitations TO gatehouse_definer;
ALTER FUNCTION accept_invitation(bytea, text, timestamptz) OWNER TO gatehouse_definer;
