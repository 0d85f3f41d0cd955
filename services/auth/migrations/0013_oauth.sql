-- Programs of others that act for users (OAuth 2.0). A client's id is public; of
-- its secret only the hash is kept.
CREATE TABLE oauth_clients (
    organization_id           uuid        NOT NULL REFERENCES organizations ON DELETE CASCADE,
    id                        uuid        NOT NULL,
    display_name              text        NOT NULL,
    redirect_uris             text[]      NOT NULL,
    post_logout_redirect_uris text[]      NOT NULL,
    grant_types               text[]      NOT NULL CHECK (cardinality(grant_types) > 0),
    scopes                    text[]      NOT NULL CHECK (cardinality(scopes) > 0),
    members_only              boolean     NOT NULL,
    secret_hash               bytea,
    revision                  bigint      NOT NULL,
    created_at                timestamptz NOT NULL,
    updated_at                timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT oauth_clients_id UNIQUE (id)
);

-- What users have allowed clients, in the organizations that they act in. The
-- client may be another organization's, here and below, so that no foreign key can
-- say it: end_oauth_client removes what a client leaves behind.
CREATE TABLE oauth_grants (
    organization_id uuid        NOT NULL REFERENCES organizations ON DELETE CASCADE,
    id              uuid        NOT NULL,
    user_id         uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    client_id       uuid        NOT NULL,
    scopes          text[]      NOT NULL,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT oauth_grants_one UNIQUE (organization_id, user_id, client_id)
);

CREATE INDEX oauth_grants_user_idx ON oauth_grants (user_id, created_at, id);
CREATE INDEX oauth_grants_client_idx ON oauth_grants (client_id);

-- A sign-in of a browser at the pages of the provider, by the hash of its cookie. It
-- lasts as long as its session does.
CREATE TABLE oauth_logins (
    organization_id uuid  NOT NULL,
    token_hash      bytea NOT NULL PRIMARY KEY,
    session_id      uuid  NOT NULL,
    FOREIGN KEY (organization_id, session_id) REFERENCES sessions ON DELETE CASCADE
);

CREATE INDEX oauth_logins_session_idx ON oauth_logins (organization_id, session_id);

-- A question to a user whether a client may act: decided once, by the browser that
-- was asked.
CREATE TABLE oauth_consents (
    organization_id uuid        NOT NULL,
    ticket_hash     bytea       NOT NULL PRIMARY KEY,
    login_hash      bytea       NOT NULL,
    client_id       uuid        NOT NULL,
    request         jsonb       NOT NULL,
    expires_at      timestamptz NOT NULL
);

CREATE INDEX oauth_consents_client_idx ON oauth_consents (client_id);
CREATE INDEX oauth_consents_expires_idx ON oauth_consents (expires_at);

-- Authorization codes, for as long as the user's own session lasts. A used one stays a while: presenting it again is how a theft
-- shows, and ends the session that it opened.
CREATE TABLE oauth_codes (
    organization_id uuid        NOT NULL,
    code_hash       bytea       NOT NULL PRIMARY KEY,
    client_id       uuid        NOT NULL,
    user_id         uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    login_in        uuid        NOT NULL,
    login_session   uuid        NOT NULL,
    redirect_uri    text        NOT NULL,
    scopes          text[]      NOT NULL,
    nonce           text        NOT NULL,
    code_challenge  text        NOT NULL,
    auth_time       timestamptz NOT NULL,
    methods         text[]      NOT NULL,
    expires_at      timestamptz NOT NULL,
    session_id      uuid
);

CREATE INDEX oauth_codes_client_idx ON oauth_codes (client_id);
CREATE INDEX oauth_codes_expires_idx ON oauth_codes (expires_at);

-- The sessions in which clients act for users; those of users themselves have no
-- client.
ALTER TABLE sessions ADD COLUMN client_id uuid;
ALTER TABLE sessions ADD COLUMN scopes text[] NOT NULL DEFAULT '{}';
CREATE INDEX sessions_client_idx ON sessions (client_id) WHERE client_id IS NOT NULL;

-- All tokens of a client, whoever they speak for.
ALTER TABLE revocations ADD COLUMN client_id uuid;
ALTER TABLE revocations DROP CONSTRAINT revocations_check;
ALTER TABLE revocations ADD CONSTRAINT revocations_subject CHECK (num_nonnulls(session_id, user_id, client_id) = 1);

ALTER TABLE oauth_clients ENABLE ROW LEVEL SECURITY;
ALTER TABLE oauth_clients FORCE ROW LEVEL SECURITY;
ALTER TABLE oauth_grants ENABLE ROW LEVEL SECURITY;
ALTER TABLE oauth_grants FORCE ROW LEVEL SECURITY;
ALTER TABLE oauth_logins ENABLE ROW LEVEL SECURITY;
ALTER TABLE oauth_logins FORCE ROW LEVEL SECURITY;
ALTER TABLE oauth_consents ENABLE ROW LEVEL SECURITY;
ALTER TABLE oauth_consents FORCE ROW LEVEL SECURITY;
ALTER TABLE oauth_codes ENABLE ROW LEVEL SECURITY;
ALTER TABLE oauth_codes FORCE ROW LEVEL SECURITY;

CREATE POLICY organization ON oauth_clients
    USING (organization_id = gatehouse.organization_id()) WITH CHECK (organization_id = gatehouse.organization_id());
CREATE POLICY organization ON oauth_grants
    USING (organization_id = gatehouse.organization_id()) WITH CHECK (organization_id = gatehouse.organization_id());
CREATE POLICY own ON oauth_grants FOR SELECT USING (user_id = gatehouse.user_id());
CREATE POLICY own_end ON oauth_grants FOR DELETE USING (user_id = gatehouse.user_id());
CREATE POLICY organization ON oauth_logins
    USING (organization_id = gatehouse.organization_id()) WITH CHECK (organization_id = gatehouse.organization_id());
CREATE POLICY organization ON oauth_consents
    USING (organization_id = gatehouse.organization_id()) WITH CHECK (organization_id = gatehouse.organization_id());
CREATE POLICY organization ON oauth_codes
    USING (organization_id = gatehouse.organization_id()) WITH CHECK (organization_id = gatehouse.organization_id());

-- A client by its id, which is all that a request names.
CREATE FUNCTION oauth_client(of_id uuid)
    RETURNS TABLE (organization_id uuid, organization_name text, display_name text, redirect_uris text[],
        post_logout_redirect_uris text[], grant_types text[], scopes text[], members_only boolean, secret_hash bytea)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    SELECT c.organization_id, o.display_name, c.display_name, c.redirect_uris, c.post_logout_redirect_uris, c.grant_types,
        c.scopes, c.members_only, c.secret_hash
    FROM oauth_clients c JOIN organizations o ON o.id = c.organization_id WHERE c.id = of_id
$$;

-- The names of clients that a user has allowed to act.
CREATE FUNCTION oauth_client_names(ids uuid[]) RETURNS TABLE (id uuid, display_name text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    SELECT c.id, c.display_name FROM oauth_clients c WHERE c.id = ANY (ids)
        AND EXISTS (SELECT FROM oauth_grants g WHERE g.client_id = c.id AND g.user_id = gatehouse.user_id())
$$;

-- Who is signed in at a browser, while the session lasts.
CREATE FUNCTION oauth_login(presented bytea, at timestamptz)
    RETURNS TABLE (organization_id uuid, session_id uuid, user_id uuid, auth_time timestamptz, methods text[])
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    SELECT s.organization_id, s.id, s.user_id, s.auth_time, s.methods
    FROM oauth_logins l
    JOIN sessions s ON s.organization_id = l.organization_id AND s.id = l.session_id
    JOIN users u ON u.id = s.user_id AND NOT u.disabled
    JOIN memberships m ON m.organization_id = s.organization_id AND m.user_id = s.user_id
    WHERE l.token_hash = presented AND s.revoked_at IS NULL AND s.expires_at > at
$$;

-- Ends a browser's sign-in; no row when it had ended.
CREATE FUNCTION end_oauth_login(presented bytea, at timestamptz)
    RETURNS TABLE (organization_id uuid, session_id uuid, user_id uuid)
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    WITH ended AS (
        DELETE FROM oauth_logins l WHERE l.token_hash = presented RETURNING l.organization_id, l.session_id
    )
    UPDATE sessions s SET revoked_at = at FROM ended e
    WHERE s.organization_id = e.organization_id AND s.id = e.session_id AND s.revoked_at IS NULL
    RETURNING s.organization_id, s.id, s.user_id
$$;

-- Uses the question up: of any number of answers at once, one finds it.
CREATE FUNCTION take_oauth_consent(presented bytea, login bytea, at timestamptz) RETURNS TABLE (client_id uuid, request jsonb)
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    DELETE FROM oauth_consents c WHERE c.ticket_hash = presented AND c.login_hash = login AND c.expires_at > at
    RETURNING c.client_id, c.request
$$;

-- Uses a code up for the session that it opens, as long as what it stands on does:
-- of any number of presentations at once, exactly one finds it unused.
CREATE FUNCTION take_oauth_code(presented bytea, client uuid, session uuid, at timestamptz)
    RETURNS TABLE (organization_id uuid, user_id uuid, redirect_uri text, scopes text[], nonce text, code_challenge text,
        auth_time timestamptz, methods text[])
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    UPDATE oauth_codes c SET session_id = session
    FROM sessions s, users u, memberships m
    WHERE c.code_hash = presented AND c.client_id = client AND c.session_id IS NULL AND c.expires_at > at
      AND s.organization_id = c.login_in AND s.id = c.login_session AND s.revoked_at IS NULL AND s.expires_at > at
      AND u.id = c.user_id AND NOT u.disabled
      AND m.organization_id = c.organization_id AND m.user_id = c.user_id
    RETURNING c.organization_id, c.user_id, c.redirect_uri, c.scopes, c.nonce, c.code_challenge, c.auth_time, c.methods
$$;

-- Ends the session that a code opened, when the code comes back. Answers a row
-- whenever the code was used, and whether its session was alive until now.
CREATE FUNCTION revoke_reused_oauth_code(presented bytea, client uuid, at timestamptz)
    RETURNS TABLE (organization_id uuid, session_id uuid, user_id uuid, ended boolean)
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    WITH reused AS (
        SELECT s.organization_id, s.id, s.user_id
        FROM oauth_codes c
        JOIN sessions s ON s.organization_id = c.organization_id AND s.id = c.session_id
        WHERE c.code_hash = presented AND c.client_id = client
    ), revoked AS (
        UPDATE sessions s SET revoked_at = at FROM reused r
        WHERE s.organization_id = r.organization_id AND s.id = r.id AND s.revoked_at IS NULL
        RETURNING s.id
    )
    SELECT r.organization_id, r.id, r.user_id, EXISTS (SELECT FROM revoked) FROM reused r
$$;

-- What a refresh token of a client is worth now, without using it up.
CREATE FUNCTION oauth_refresh_token(presented bytea, client uuid, at timestamptz)
    RETURNS TABLE (user_id uuid, organization_id uuid, session_id uuid, scopes text[], created_at timestamptz, expires_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    SELECT s.user_id, s.organization_id, s.id, s.scopes, t.created_at, t.expires_at
    FROM refresh_tokens t
    JOIN sessions s ON s.organization_id = t.organization_id AND s.id = t.session_id
    JOIN users u ON u.id = s.user_id AND NOT u.disabled
    JOIN memberships m ON m.organization_id = s.organization_id AND m.user_id = s.user_id
    WHERE t.token_hash = presented AND t.used_at IS NULL AND t.expires_at > at AND s.client_id = client
      AND s.revoked_at IS NULL AND s.expires_at > at
$$;

-- Removes what a client leaves behind: what users have allowed it, and its sessions,
-- of whatever organization.
CREATE FUNCTION end_oauth_client(client uuid, at timestamptz) RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    DELETE FROM oauth_grants g WHERE g.client_id = client;
    DELETE FROM oauth_consents c WHERE c.client_id = client;
    DELETE FROM oauth_codes c WHERE c.client_id = client;
    UPDATE sessions s SET revoked_at = at WHERE s.client_id = client AND s.revoked_at IS NULL
$$;

-- Removes the questions and codes that are over.
CREATE FUNCTION delete_expired_oauth(at timestamptz, most integer) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    WITH consents AS (
        DELETE FROM oauth_consents WHERE ticket_hash IN (
            SELECT ticket_hash FROM oauth_consents WHERE expires_at <= at ORDER BY expires_at LIMIT most FOR UPDATE SKIP LOCKED)
        RETURNING 1
    ), codes AS (
        DELETE FROM oauth_codes WHERE code_hash IN (
            SELECT code_hash FROM oauth_codes WHERE expires_at <= at - interval '1 day' ORDER BY expires_at
            LIMIT most FOR UPDATE SKIP LOCKED)
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM consents) + (SELECT count(*) FROM codes)
$$;

-- As they were, and each for the tokens of one client, or of users' own sessions
-- where client is null: nobody else's refresh token does anything.
DROP FUNCTION rotate_refresh_token(bytea, bytea, timestamptz);
CREATE FUNCTION rotate_refresh_token(presented bytea, successor bytea, client uuid, at timestamptz)
    RETURNS TABLE (organization_id uuid, session_id uuid, user_id uuid, auth_time timestamptz, methods text[], scopes text[])
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    WITH used AS (
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
    SELECT used.organization_id, used.id, used.user_id, used.auth_time, used.methods, used.scopes FROM used
$$;

DROP FUNCTION revoke_reused(bytea, timestamptz);
CREATE FUNCTION revoke_reused(presented bytea, client uuid, at timestamptz)
    RETURNS TABLE (organization_id uuid, session_id uuid, user_id uuid, ended boolean)
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    WITH reused AS (
        SELECT s.organization_id, s.id, s.user_id
        FROM refresh_tokens t
        JOIN sessions s ON s.organization_id = t.organization_id AND s.id = t.session_id
        WHERE t.token_hash = presented AND t.used_at IS NOT NULL AND s.client_id IS NOT DISTINCT FROM client
    ), revoked AS (
        UPDATE sessions s SET revoked_at = at FROM reused r
        WHERE s.organization_id = r.organization_id AND s.id = r.id AND s.revoked_at IS NULL
        RETURNING s.id
    )
    SELECT r.organization_id, r.id, r.user_id, EXISTS (SELECT FROM revoked) FROM reused r
$$;

DROP FUNCTION end_session(bytea, timestamptz);
CREATE FUNCTION end_session(presented bytea, client uuid, at timestamptz)
    RETURNS TABLE (organization_id uuid, session_id uuid, user_id uuid)
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    UPDATE sessions s SET revoked_at = at FROM refresh_tokens t
    WHERE t.token_hash = presented AND s.organization_id = t.organization_id AND s.id = t.session_id
      AND s.client_id IS NOT DISTINCT FROM client AND s.revoked_at IS NULL
    RETURNING s.organization_id, s.id, s.user_id
$$;

REVOKE EXECUTE ON FUNCTION oauth_client(uuid), oauth_client_names(uuid[]), oauth_login(bytea, timestamptz),
    end_oauth_login(bytea, timestamptz), take_oauth_consent(bytea, bytea, timestamptz),
    take_oauth_code(bytea, uuid, uuid, timestamptz), revoke_reused_oauth_code(bytea, uuid, timestamptz),
    oauth_refresh_token(bytea, uuid, timestamptz), delete_expired_oauth(timestamptz, integer),
    end_oauth_client(uuid, timestamptz), rotate_refresh_token(bytea, bytea, uuid, timestamptz), revoke_reused(bytea, uuid, timestamptz),
    end_session(bytea, uuid, timestamptz) FROM PUBLIC;
GRANT SELECT ON oauth_clients TO gatehouse_definer;
GRANT SELECT, DELETE ON oauth_grants TO gatehouse_definer;
GRANT SELECT, DELETE ON oauth_logins TO gatehouse_definer;
GRANT SELECT, UPDATE, DELETE ON oauth_consents TO gatehouse_definer;
GRANT SELECT, UPDATE, DELETE ON oauth_codes TO gatehouse_definer;
ALTER FUNCTION oauth_client(uuid) OWNER TO gatehouse_definer;
ALTER FUNCTION oauth_client_names(uuid[]) OWNER TO gatehouse_definer;
ALTER FUNCTION oauth_login(bytea, timestamptz) OWNER TO gatehouse_definer;
ALTER FUNCTION end_oauth_login(bytea, timestamptz) OWNER TO gatehouse_definer;
ALTER FUNCTION take_oauth_consent(bytea, bytea, timestamptz) OWNER TO gatehouse_definer;
ALTER FUNCTION take_oauth_code(bytea, uuid, uuid, timestamptz) OWNER TO gatehouse_definer;
ALTER FUNCTION revoke_reused_oauth_code(bytea, uuid, timestamptz) OWNER TO gatehouse_definer;
ALTER FUNCTION oauth_refresh_token(bytea, uuid, timestamptz) OWNER TO gatehouse_definer;
ALTER FUNCTION end_oauth_client(uuid, timestamptz) OWNER TO gatehouse_definer;
ALTER FUNCTION delete_expired_oauth(timestamptz, integer) OWNER TO gatehouse_definer;
ALTER FUNCTION rotate_refresh_token(bytea, bytea, uuid, timestamptz) OWNER TO gatehouse_definer;
ALTER FUNCTION revoke_reused(bytea, uuid, timestamptz) OWNER TO gatehouse_definer;
ALTER FUNCTION end_session(bytea, uuid, timestamptz) OWNER TO gatehouse_definer;
