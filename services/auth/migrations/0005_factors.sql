-- What was shown to begin a session, as the tokens' amr says it.
ALTER TABLE sessions ADD COLUMN methods text[] NOT NULL DEFAULT ARRAY ['pwd'];

-- An authenticator. The secret is sealed by the service, bound to the row. A code
-- works once, and none that is older than the last: last_step only grows.
CREATE TABLE totp_factors (
    id           uuid        PRIMARY KEY,
    user_id      uuid        NOT NULL UNIQUE REFERENCES users ON DELETE CASCADE,
    sealed       bytea       NOT NULL,
    last_step    bigint      NOT NULL DEFAULT 0,
    confirmed_at timestamptz,
    created_at   timestamptz NOT NULL
);

-- SHA-256 of what a user keeps for the day its device is lost; each goes with its use.
CREATE TABLE recovery_codes (
    user_id   uuid  NOT NULL REFERENCES users ON DELETE CASCADE,
    code_hash bytea NOT NULL,
    PRIMARY KEY (user_id, code_hash)
);

-- How many wrong codes a user's sign-ins brought since a time.
CREATE TABLE factor_tries (
    user_id   uuid        PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    begins_at timestamptz NOT NULL,
    wrong     integer     NOT NULL
);

-- A sign-in that still lacks its second factor. What was shown so far goes into
-- the session.
CREATE TABLE factor_challenges (
    token_hash bytea       PRIMARY KEY,
    user_id    uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    methods    text[]      NOT NULL,
    tries      integer     NOT NULL DEFAULT 0,
    expires_at timestamptz NOT NULL
);

CREATE INDEX factor_challenges_user_idx ON factor_challenges (user_id);
CREATE INDEX factor_challenges_expires_idx ON factor_challenges (expires_at);

ALTER TABLE totp_factors ENABLE ROW LEVEL SECURITY;
ALTER TABLE totp_factors FORCE ROW LEVEL SECURITY;
ALTER TABLE recovery_codes ENABLE ROW LEVEL SECURITY;
ALTER TABLE recovery_codes FORCE ROW LEVEL SECURITY;
ALTER TABLE factor_tries ENABLE ROW LEVEL SECURITY;
ALTER TABLE factor_tries FORCE ROW LEVEL SECURITY;
ALTER TABLE factor_challenges ENABLE ROW LEVEL SECURITY;
ALTER TABLE factor_challenges FORCE ROW LEVEL SECURITY;

CREATE POLICY own ON totp_factors
    USING (user_id = gatehouse.user_id()) WITH CHECK (user_id = gatehouse.user_id());
CREATE POLICY own ON recovery_codes
    USING (user_id = gatehouse.user_id()) WITH CHECK (user_id = gatehouse.user_id());
CREATE POLICY own ON factor_tries
    USING (user_id = gatehouse.user_id()) WITH CHECK (user_id = gatehouse.user_id());
CREATE POLICY own ON factor_challenges
    USING (user_id = gatehouse.user_id()) WITH CHECK (user_id = gatehouse.user_id());

-- Counts a try of a challenge before it is judged, so that any number of tries at
-- once are still at most five; no row when the challenge is over.
CREATE FUNCTION try_factor_challenge(presented bytea, at timestamptz)
    RETURNS TABLE (user_id uuid, methods text[])
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    UPDATE factor_challenges c SET tries = c.tries + 1
    WHERE c.token_hash = presented AND c.expires_at > at AND c.tries < 5
    RETURNING c.user_id, c.methods
$$;

CREATE FUNCTION delete_expired_factor_challenges(at timestamptz, most integer) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    WITH expired AS (
        SELECT token_hash FROM factor_challenges WHERE expires_at <= at
        ORDER BY expires_at LIMIT most FOR UPDATE SKIP LOCKED
    ), deleted AS (
        DELETE FROM factor_challenges c USING expired e WHERE c.token_hash = e.token_hash RETURNING c.token_hash
    )
    SELECT count(*) FROM deleted
$$;

-- As it was, and it answers what was shown too.
DROP FUNCTION rotate_refresh_token(bytea, bytea, timestamptz);
CREATE FUNCTION rotate_refresh_token(presented bytea, successor bytea, at timestamptz)
    RETURNS TABLE (organization_id uuid, session_id uuid, user_id uuid, auth_time timestamptz, methods text[])
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
        RETURNING s.organization_id, s.id, s.user_id, s.auth_time, s.methods, s.expires_at
    ), issued AS (
        INSERT INTO refresh_tokens (organization_id, token_hash, session_id, created_at, expires_at)
        SELECT used.organization_id, successor, used.id, at, used.expires_at FROM used
    )
    SELECT used.organization_id, used.id, used.user_id, used.auth_time, used.methods FROM used
$$;

REVOKE EXECUTE ON FUNCTION try_factor_challenge(bytea, timestamptz), delete_expired_factor_challenges(timestamptz, integer),
    rotate_refresh_token(bytea, bytea, timestamptz) FROM PUBLIC;
GRANT SELECT, UPDATE, DELETE ON factor_challenges TO gatehouse_definer;
ALTER FUNCTION try_factor_challenge(bytea, timestamptz) OWNER TO gatehouse_definer;
ALTER FUNCTION delete_expired_factor_challenges(timestamptz, integer) OWNER TO gatehouse_definer;
ALTER FUNCTION rotate_refresh_token(bytea, bytea, timestamptz) OWNER TO gatehouse_definer;
