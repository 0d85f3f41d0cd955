-- A deleted organization stays for a grace, in which nobody acts in it; then it is
-- purged.
ALTER TABLE organizations ADD COLUMN deleted_at timestamptz, ADD COLUMN purge_at timestamptz,
    ADD CHECK ((deleted_at IS NULL) = (purge_at IS NULL));
CREATE INDEX organizations_purge_idx ON organizations (purge_at) WHERE purge_at IS NOT NULL;

-- Of a deleted user only the id is left, for what names it.
ALTER TABLE users ADD COLUMN deleted_at timestamptz;

-- What is gone here and is to be erased by the other services: all of an
-- organization, or what is a user's alone. It holds ids alone and stays, so that it
-- can be followed again after a backup was restored.
CREATE TABLE erasures (
    id              uuid        PRIMARY KEY,
    of_user         uuid,
    of_organization uuid,
    created_at      timestamptz NOT NULL,
    CHECK (num_nonnulls(of_user, of_organization) = 1)
);

CREATE INDEX erasures_created ON erasures (created_at, id);

-- The feed is read outside of any scope; a user adds its own.
ALTER TABLE erasures ENABLE ROW LEVEL SECURITY;
ALTER TABLE erasures FORCE ROW LEVEL SECURITY;
CREATE POLICY feed ON erasures FOR SELECT
    USING (gatehouse.organization_id() IS NULL AND gatehouse.user_id() IS NULL);
CREATE POLICY own ON erasures FOR INSERT WITH CHECK (of_user = gatehouse.user_id());
REVOKE UPDATE, DELETE ON erasures FROM gatehouse_auth;

-- Whoever belongs to a deleted organization: no member of it until it is restored, so
-- that nothing has to ask whether an organization is deleted.
CREATE TABLE suspended_memberships (
    organization_id uuid        NOT NULL REFERENCES organizations ON DELETE CASCADE,
    user_id         uuid        NOT NULL REFERENCES users,
    roles           text[]      NOT NULL,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    PRIMARY KEY (organization_id, user_id)
);

CREATE INDEX suspended_memberships_user_idx ON suspended_memberships (user_id);

ALTER TABLE suspended_memberships ENABLE ROW LEVEL SECURITY;
ALTER TABLE suspended_memberships FORCE ROW LEVEL SECURITY;
CREATE POLICY organization ON suspended_memberships
    USING (organization_id = gatehouse.organization_id()) WITH CHECK (organization_id = gatehouse.organization_id());
CREATE POLICY own ON suspended_memberships FOR SELECT USING (user_id = gatehouse.user_id());
-- By its name the last to be asked: few are.
CREATE POLICY after_deletion ON organizations FOR SELECT
    USING (EXISTS (SELECT FROM suspended_memberships m
                   WHERE m.organization_id = organizations.id AND m.user_id = gatehouse.user_id()));

-- A revocation may concern all tokens of an organization.
ALTER TABLE revocations DROP CONSTRAINT revocations_subject, DROP CONSTRAINT revocations_check1,
    ADD CONSTRAINT revocations_subject CHECK (
        num_nonnulls(session_id, user_id, client_id) <= 1 AND num_nonnulls(session_id, user_id, client_id, member_of) > 0
        AND (member_of IS NULL OR num_nonnulls(session_id, client_id) = 0));

-- A user erases what is its own with its account.
CREATE POLICY own_delete ON sessions FOR DELETE USING (user_id = gatehouse.user_id());
CREATE POLICY own ON oauth_codes FOR SELECT USING (user_id = gatehouse.user_id());
CREATE POLICY own_delete ON oauth_codes FOR DELETE USING (user_id = gatehouse.user_id());

-- As they were, and a deleted organization is none.
CREATE OR REPLACE FUNCTION oauth_client(of_id uuid)
    RETURNS TABLE (organization_id uuid, organization_name text, display_name text, redirect_uris text[],
        post_logout_redirect_uris text[], grant_types text[], scopes text[], members_only boolean, secret_hash bytea)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    SELECT c.organization_id, o.display_name, c.display_name, c.redirect_uris, c.post_logout_redirect_uris, c.grant_types,
        c.scopes, c.members_only, c.secret_hash
    FROM oauth_clients c JOIN organizations o ON o.id = c.organization_id AND o.deleted_at IS NULL WHERE c.id = of_id
$$;

CREATE OR REPLACE FUNCTION accept_invitation(presented bytea, address text, at timestamptz)
    RETURNS TABLE (organization_id uuid, id uuid, roles text[])
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    UPDATE invitations i SET accepted_at = at, token_hash = NULL
    FROM organizations o
    WHERE i.token_hash = presented AND i.email_normalized = address AND i.accepted_at IS NULL AND i.expires_at > at
      AND o.id = i.organization_id AND o.deleted_at IS NULL
    RETURNING i.organization_id, i.id, i.roles
$$;

CREATE OR REPLACE FUNCTION invitation_waits(presented bytea, address text, at timestamptz) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM invitations i JOIN organizations o ON o.id = i.organization_id AND o.deleted_at IS NULL
                   WHERE i.token_hash = presented AND i.email_normalized = address AND i.accepted_at IS NULL AND i.expires_at > at)
$$;

-- Whether an organization is there and not deleted: for what is resolved without any
-- membership.
CREATE FUNCTION organization_active(of_organization uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$ SELECT EXISTS (SELECT FROM organizations o WHERE o.id = of_organization AND o.deleted_at IS NULL) $$;

-- Takes the address of the transaction's user out of the invitations that it
-- accepted. Others are for whoever reads the address.
CREATE FUNCTION anonymize_own_invitations() RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, gatehouse, pg_temp
AS $$
    UPDATE invitations i SET email = '', email_normalized = '' FROM users u
    WHERE u.id = gatehouse.user_id() AND i.email_normalized = u.email_normalized AND i.accepted_at IS NOT NULL
$$;

-- Removes some of the rows of one organization whose grace is over, and with the last
-- of them the organization. No row when none is due.
CREATE FUNCTION purge_organization(at timestamptz, most integer) RETURNS TABLE (organization_id uuid, done boolean)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
DECLARE
    due  uuid;
    gone bigint;
    who  uuid[];
BEGIN
    SELECT o.id INTO due FROM organizations o WHERE o.purge_at <= at ORDER BY o.purge_at LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF due IS NULL THEN
        RETURN;
    END IF;
    DELETE FROM sessions s WHERE s.organization_id = due
        AND s.id IN (SELECT x.id FROM sessions x WHERE x.organization_id = due LIMIT most);
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF gone < most THEN
        PERFORM end_oauth_client(c.id, at) FROM oauth_clients c WHERE c.organization_id = due;
        DELETE FROM oauth_consents c WHERE c.organization_id = due;
        DELETE FROM oauth_codes c WHERE c.organization_id = due;
        DELETE FROM api_keys k WHERE k.organization_id = due;
        DELETE FROM identities i USING identity_providers p WHERE p.organization_id = due AND i.provider = p.id::text;
        who := ARRAY(SELECT m.user_id FROM suspended_memberships m WHERE m.organization_id = due);
        DELETE FROM organizations o WHERE o.id = due;
        -- Its service accounts belong to nobody else.
        DELETE FROM users u WHERE u.id = ANY (who) AND u.kind = 'service';
        INSERT INTO erasures (id, of_organization, created_at) VALUES (gen_random_uuid(), due, at);
    END IF;
    RETURN QUERY SELECT due, gone < most;
END
$$;

CREATE INDEX api_keys_organization ON api_keys (organization_id);

REVOKE EXECUTE ON FUNCTION anonymize_own_invitations(), organization_active(uuid),
    purge_organization(timestamptz, integer) FROM PUBLIC;
GRANT DELETE ON api_keys TO gatehouse_definer;
GRANT SELECT ON suspended_memberships TO gatehouse_definer;
GRANT UPDATE, DELETE ON organizations, users TO gatehouse_definer;
GRANT INSERT ON erasures TO gatehouse_definer;
ALTER FUNCTION anonymize_own_invitations() OWNER TO gatehouse_definer;
ALTER FUNCTION organization_active(uuid) OWNER TO gatehouse_definer;
ALTER FUNCTION purge_organization(timestamptz, integer) OWNER TO gatehouse_definer;
