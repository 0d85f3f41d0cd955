-- Who a user is at a provider: what the provider calls it, which never changes,
-- rather than its address there, which does.
CREATE TABLE identities (
    id           uuid        PRIMARY KEY,
    user_id      uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    provider     text        NOT NULL,
    issuer       text        NOT NULL,
    subject      text        NOT NULL,
    email        text        NOT NULL,
    created_at   timestamptz NOT NULL,
    last_used_at timestamptz,
    CONSTRAINT identities_subject UNIQUE (provider, issuer, subject)
);

CREATE INDEX identities_user_idx ON identities (user_id, created_at, id);

-- A way to a provider that nobody has come back from. Of the state, which passes
-- through the provider, and of the secret, which does not, there are hashes; the
-- rest of the exchange derives from the secret. One to link an identity says for
-- whom, and in which session.
CREATE TABLE provider_attempts (
    state_hash   bytea       PRIMARY KEY,
    secret_hash  bytea       NOT NULL,
    provider     text        NOT NULL,
    redirect_uri text        NOT NULL,
    user_id      uuid        REFERENCES users ON DELETE CASCADE,
    session_id   uuid,
    expires_at   timestamptz NOT NULL,
    CHECK ((user_id IS NULL) = (session_id IS NULL))
);

CREATE INDEX provider_attempts_user_idx ON provider_attempts (user_id);
CREATE INDEX provider_attempts_expires_idx ON provider_attempts (expires_at);

ALTER TABLE identities ENABLE ROW LEVEL SECURITY;
ALTER TABLE identities FORCE ROW LEVEL SECURITY;
ALTER TABLE provider_attempts ENABLE ROW LEVEL SECURITY;
ALTER TABLE provider_attempts FORCE ROW LEVEL SECURITY;

CREATE POLICY own ON identities
    USING (user_id = gatehouse.user_id()) WITH CHECK (user_id = gatehouse.user_id());
-- Whoever goes to a provider to sign in is nobody yet: only the functions below
-- reach those.
CREATE POLICY own ON provider_attempts
    USING (user_id = gatehouse.user_id()) WITH CHECK (user_id = gatehouse.user_id());

-- Whose an identity is.
CREATE FUNCTION identity_user(of_provider text, of_issuer text, of_subject text)
    RETURNS TABLE (id uuid, user_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    SELECT i.id, i.user_id FROM identities i
    WHERE i.provider = of_provider AND i.issuer = of_issuer AND i.subject = of_subject
$$;

CREATE FUNCTION keep_provider_attempt(state_hash bytea, secret_hash bytea, provider text, redirect_uri text,
    user_id uuid, session_id uuid, until timestamptz) RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    INSERT INTO provider_attempts (state_hash, secret_hash, provider, redirect_uri, user_id, session_id, expires_at)
    VALUES (state_hash, secret_hash, provider, redirect_uri, user_id, session_id, until)
$$;

-- Uses an attempt up: of any number of presentations at once, one finds it. Without
-- its secret, or for another purpose, it is not found and stays.
CREATE FUNCTION take_provider_attempt(state bytea, secret bytea, of_provider text, links boolean, at timestamptz)
    RETURNS TABLE (redirect_uri text, user_id uuid, session_id uuid)
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    DELETE FROM provider_attempts a
    WHERE a.state_hash = state AND a.secret_hash = secret AND a.provider = of_provider
      AND (a.user_id IS NOT NULL) = links AND a.expires_at > at
    RETURNING a.redirect_uri, a.user_id, a.session_id
$$;

CREATE FUNCTION delete_expired_provider_attempts(at timestamptz, most integer) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    WITH expired AS (
        SELECT state_hash FROM provider_attempts WHERE expires_at <= at
        ORDER BY expires_at LIMIT most FOR UPDATE SKIP LOCKED
    ), deleted AS (
        DELETE FROM provider_attempts a USING expired e WHERE a.state_hash = e.state_hash RETURNING a.state_hash
    )
    SELECT count(*) FROM deleted
$$;

REVOKE EXECUTE ON FUNCTION identity_user(text, text, text),
    keep_provider_attempt(bytea, bytea, text, text, uuid, uuid, timestamptz),
    take_provider_attempt(bytea, bytea, text, boolean, timestamptz),
    delete_expired_provider_attempts(timestamptz, integer) FROM PUBLIC;
GRANT SELECT ON identities TO gatehouse_definer;
GRANT SELECT, INSERT, UPDATE, DELETE ON provider_attempts TO gatehouse_definer;
ALTER FUNCTION identity_user(text, text, text) OWNER TO gatehouse_definer;
ALTER FUNCTION keep_provider_attempt(bytea, bytea, text, text, uuid, uuid, timestamptz) OWNER TO gatehouse_definer;
ALTER FUNCTION take_provider_attempt(bytea, bytea, text, boolean, timestamptz) OWNER TO gatehouse_definer;
ALTER FUNCTION delete_expired_provider_attempts(timestamptz, integer) OWNER TO gatehouse_definer;
