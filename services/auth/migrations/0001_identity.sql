CREATE TABLE users (
    id               uuid        PRIMARY KEY,
    email            text        NOT NULL,
    email_normalized text        NOT NULL CONSTRAINT users_email_unique UNIQUE,
    email_verified   boolean     NOT NULL DEFAULT false,
    display_name     text        NOT NULL,
    locale           text        NOT NULL DEFAULT 'en',
    password_hash    text        NOT NULL,
    operator         boolean     NOT NULL DEFAULT false,
    disabled         boolean     NOT NULL DEFAULT false,
    revision         bigint      NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL
);

CREATE TABLE organizations (
    id           uuid        PRIMARY KEY,
    display_name text        NOT NULL,
    personal     boolean     NOT NULL,
    revision     bigint      NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL
);

CREATE TABLE memberships (
    organization_id uuid        NOT NULL CONSTRAINT memberships_organization REFERENCES organizations,
    user_id         uuid        NOT NULL CONSTRAINT memberships_user REFERENCES users,
    roles           text[]      NOT NULL,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    CONSTRAINT memberships_key PRIMARY KEY (organization_id, user_id),
    CONSTRAINT memberships_roles CHECK (cardinality(roles) > 0 AND roles <@ ARRAY ['owner', 'admin', 'member', 'viewer'])
);

CREATE INDEX memberships_user_idx ON memberships (user_id, created_at, organization_id);

CREATE TABLE sessions (
    organization_id uuid        NOT NULL,
    id              uuid        NOT NULL,
    user_id         uuid        NOT NULL REFERENCES users,
    user_agent      text        NOT NULL,
    ip_address      text        NOT NULL,
    auth_time       timestamptz NOT NULL,
    created_at      timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    revoked_at      timestamptz,
    PRIMARY KEY (organization_id, id)
);

CREATE INDEX sessions_user_idx ON sessions (organization_id, user_id);

-- A used token stays until its session goes: presenting it again is how a theft
-- shows.
CREATE TABLE refresh_tokens (
    organization_id uuid        NOT NULL,
    token_hash      bytea       NOT NULL PRIMARY KEY,
    session_id      uuid        NOT NULL,
    created_at      timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    used_at         timestamptz,
    FOREIGN KEY (organization_id, session_id) REFERENCES sessions ON DELETE CASCADE
);

CREATE INDEX refresh_tokens_session_idx ON refresh_tokens (organization_id, session_id);

-- Keys belong to the installation. The private half is sealed by the service.
CREATE TABLE signing_keys (
    id             uuid        PRIMARY KEY,
    kid            text        NOT NULL UNIQUE,
    public_key     bytea       NOT NULL,
    sealed_private bytea       NOT NULL,
    signs_at       timestamptz NOT NULL,
    created_at     timestamptz NOT NULL
);

ALTER TABLE users ENABLE ROW LEVEL SECURITY;
ALTER TABLE users FORCE ROW LEVEL SECURITY;
ALTER TABLE organizations ENABLE ROW LEVEL SECURITY;
ALTER TABLE organizations FORCE ROW LEVEL SECURITY;
ALTER TABLE memberships ENABLE ROW LEVEL SECURITY;
ALTER TABLE memberships FORCE ROW LEVEL SECURITY;
ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE sessions FORCE ROW LEVEL SECURITY;
ALTER TABLE refresh_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE refresh_tokens FORCE ROW LEVEL SECURITY;

CREATE POLICY self ON users
    USING (id = gatehouse.user_id()) WITH CHECK (id = gatehouse.user_id());
CREATE POLICY fellow ON users FOR SELECT
    USING (EXISTS (SELECT FROM memberships m
                   WHERE m.organization_id = gatehouse.organization_id() AND m.user_id = users.id));
CREATE POLICY organization ON organizations
    USING (id = gatehouse.organization_id()) WITH CHECK (id = gatehouse.organization_id());
CREATE POLICY own ON organizations FOR SELECT
    USING (EXISTS (SELECT FROM memberships m
                   WHERE m.organization_id = organizations.id AND m.user_id = gatehouse.user_id()));
CREATE POLICY organization ON memberships
    USING (organization_id = gatehouse.organization_id()) WITH CHECK (organization_id = gatehouse.organization_id());
CREATE POLICY own ON memberships FOR SELECT
    USING (user_id = gatehouse.user_id());
CREATE POLICY organization ON sessions
    USING (organization_id = gatehouse.organization_id()) WITH CHECK (organization_id = gatehouse.organization_id());
CREATE POLICY organization ON refresh_tokens
    USING (organization_id = gatehouse.organization_id()) WITH CHECK (organization_id = gatehouse.organization_id());

-- The account of an address, with the organization that a sign-in begins in:
-- the personal one, else the one joined first.
CREATE FUNCTION sign_in_account(address text)
    RETURNS TABLE (user_id uuid, password_hash text, disabled boolean, organization_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    SELECT u.id, u.password_hash, u.disabled, m.organization_id
    FROM users u
    JOIN memberships m ON m.user_id = u.id
    JOIN organizations o ON o.id = m.organization_id
    WHERE u.email_normalized = address
    ORDER BY o.personal DESC, m.created_at, m.organization_id
    LIMIT 1
$$;

CREATE FUNCTION operator_exists() RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$ SELECT EXISTS (SELECT FROM users WHERE operator) $$;

-- Uses a token up and issues its successor in one statement: of any number of
-- presentations at once, exactly one finds the token unused.
CREATE FUNCTION rotate_refresh_token(presented bytea, successor bytea, at timestamptz)
    RETURNS TABLE (organization_id uuid, session_id uuid, user_id uuid, auth_time timestamptz)
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    WITH used AS (
        UPDATE refresh_tokens t SET used_at = at
        FROM sessions s, users u, memberships m
        WHERE t.token_hash = presented AND t.used_at IS NULL AND t.expires_at > at
          AND s.organization_id = t.organization_id AND s.id = t.session_id
          AND s.revoked_at IS NULL AND s.expires_at > at
          AND u.id = s.user_id AND NOT u.disabled
          AND m.organization_id = s.organization_id AND m.user_id = s.user_id
        RETURNING s.organization_id, s.id, s.user_id, s.auth_time, s.expires_at
    ), issued AS (
        INSERT INTO refresh_tokens (organization_id, token_hash, session_id, created_at, expires_at)
        SELECT used.organization_id, successor, used.id, at, used.expires_at FROM used
    )
    SELECT used.organization_id, used.id, used.user_id, used.auth_time FROM used
$$;

-- Ends the session of a token that was used before. Answers a row whenever the
-- token was, and whether its session was alive until now.
CREATE FUNCTION revoke_reused(presented bytea, at timestamptz)
    RETURNS TABLE (organization_id uuid, session_id uuid, user_id uuid, ended boolean)
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    WITH reused AS (
        SELECT s.organization_id, s.id, s.user_id
        FROM refresh_tokens t
        JOIN sessions s ON s.organization_id = t.organization_id AND s.id = t.session_id
        WHERE t.token_hash = presented AND t.used_at IS NOT NULL
    ), revoked AS (
        UPDATE sessions s SET revoked_at = at FROM reused r
        WHERE s.organization_id = r.organization_id AND s.id = r.id AND s.revoked_at IS NULL
        RETURNING s.id
    )
    SELECT r.organization_id, r.id, r.user_id, EXISTS (SELECT FROM revoked) FROM reused r
$$;

-- Ends the session of a token, used or not; no row when it had ended.
CREATE FUNCTION end_session(presented bytea, at timestamptz)
    RETURNS TABLE (organization_id uuid, session_id uuid, user_id uuid)
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    UPDATE sessions s SET revoked_at = at FROM refresh_tokens t
    WHERE t.token_hash = presented AND s.organization_id = t.organization_id AND s.id = t.session_id
      AND s.revoked_at IS NULL
    RETURNING s.organization_id, s.id, s.user_id
$$;

REVOKE EXECUTE ON FUNCTION sign_in_account(text), operator_exists(), rotate_refresh_token(bytea, bytea, timestamptz),
    revoke_reused(bytea, timestamptz), end_session(bytea, timestamptz) FROM PUBLIC;
GRANT SELECT ON users, organizations, memberships TO gatehouse_definer;
GRANT SELECT, UPDATE ON sessions TO gatehouse_definer;
GRANT SELECT, INSERT, UPDATE ON refresh_tokens TO gatehouse_definer;
ALTER FUNCTION sign_in_account(text) OWNER TO gatehouse_definer;
ALTER FUNCTION operator_exists() OWNER TO gatehouse_definer;
ALTER FUNCTION rotate_refresh_token(bytea, bytea, timestamptz) OWNER TO gatehouse_definer;
ALTER FUNCTION revoke_reused(bytea, timestamptz) OWNER TO gatehouse_definer;
ALTER FUNCTION end_session(bytea, timestamptz) OWNER TO gatehouse_definer;
