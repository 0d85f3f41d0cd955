-- A passkey (WebAuthn). The record is all that the protocol keeps of it: public
-- key, flags, kind of authenticator, transports, attestation. The count of its
-- signatures stands apart, as it only grows.
CREATE TABLE passkeys (
    id            uuid        PRIMARY KEY,
    user_id       uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    credential_id bytea       NOT NULL CONSTRAINT passkeys_credential UNIQUE,
    rp_id         text        NOT NULL,
    record        jsonb       NOT NULL,
    sign_count    bigint      NOT NULL,
    display_name  text        NOT NULL,
    created_at    timestamptz NOT NULL,
    last_used_at  timestamptz
);

CREATE INDEX passkeys_user_idx ON passkeys (user_id, created_at, id);

ALTER TABLE passkeys ENABLE ROW LEVEL SECURITY;
ALTER TABLE passkeys FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON passkeys
    USING (user_id = gatehouse.user_id()) WITH CHECK (user_id = gatehouse.user_id());

-- What a device was asked to sign, until it answers, once. Nobody is signed in yet
-- where it is asked in order to sign in, so that rows are found by the hash of what
-- the asker was given, and by nothing else.
CREATE TABLE passkey_ceremonies (
    token_hash     bytea       PRIMARY KEY,
    purpose        text        NOT NULL CHECK (purpose IN ('register', 'sign_in', 'factor')),
    challenge_hash bytea,
    state          jsonb       NOT NULL,
    expires_at     timestamptz NOT NULL,
    CHECK ((purpose = 'factor') = (challenge_hash IS NOT NULL))
);

CREATE INDEX passkey_ceremonies_expires_idx ON passkey_ceremonies (expires_at);

-- Whose sign-in a challenge is, while it can be answered.
CREATE FUNCTION factor_challenge_user(presented bytea, at timestamptz) RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    SELECT c.user_id FROM factor_challenges c
    WHERE c.token_hash = presented AND c.expires_at > at AND c.tries < 5
$$;

REVOKE EXECUTE ON FUNCTION factor_challenge_user(bytea, timestamptz) FROM PUBLIC;
ALTER FUNCTION factor_challenge_user(bytea, timestamptz) OWNER TO gatehouse_definer;
