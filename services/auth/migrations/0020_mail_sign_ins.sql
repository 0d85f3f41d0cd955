-- The newest mail by which an address signs in, with what was tried on its code: of
-- the challenge, the link's token and the code only hashes are kept, the code's
-- under a key. An address without an account has a row too, so that a wrong code is
-- the same work; nothing works with that one. What was tried within an hour stays
-- with the address, as anybody can ask for another mail.
CREATE TABLE mail_sign_ins (
    address_normalized text        PRIMARY KEY,
    challenge_hash     bytea       NOT NULL UNIQUE,
    token_hash         bytea       NOT NULL UNIQUE,
    code_hash          bytea       NOT NULL,
    user_id            uuid        REFERENCES users ON DELETE CASCADE,
    tries              integer     NOT NULL DEFAULT 0,
    expires_at         timestamptz NOT NULL,
    wrong              integer     NOT NULL DEFAULT 0,
    wrong_since        timestamptz NOT NULL
);

CREATE INDEX mail_sign_ins_user_idx ON mail_sign_ins (user_id);
CREATE INDEX mail_sign_ins_expires_idx ON mail_sign_ins (expires_at);

-- Who reads one is not signed in, and none of them has an organization: only the
-- functions below reach them.
ALTER TABLE mail_sign_ins ENABLE ROW LEVEL SECURITY;
ALTER TABLE mail_sign_ins FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON mail_sign_ins
    USING (user_id = gatehouse.user_id()) WITH CHECK (user_id = gatehouse.user_id());

-- Keeps what an address was sent, in place of what it was sent before.
CREATE FUNCTION keep_mail_sign_in(address text, challenge bytea, token bytea, code bytea, of_user uuid, at timestamptz, until timestamptz)
    RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    INSERT INTO mail_sign_ins (address_normalized, challenge_hash, token_hash, code_hash, user_id, expires_at, wrong_since)
    VALUES (address, challenge, token, code, of_user, until, at)
    ON CONFLICT (address_normalized) DO UPDATE SET challenge_hash = excluded.challenge_hash, token_hash = excluded.token_hash,
        code_hash = excluded.code_hash, user_id = excluded.user_id, tries = 0, expires_at = excluded.expires_at
$$;

-- Judges a code and counts it, in one statement: of any number of tries at once, five
-- are judged, and one that is right is the last. Ten wrong ones of an address within
-- an hour are all, of whatever challenges. No row when none is judged any more; no
-- user when the code is wrong.
CREATE FUNCTION try_mail_code(challenge bytea, code bytea, at timestamptz) RETURNS TABLE (user_id uuid, address text)
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    UPDATE mail_sign_ins m SET
        tries = CASE WHEN m.code_hash = code THEN 5 ELSE m.tries + 1 END,
        wrong = CASE WHEN m.wrong_since <= at - interval '1 hour' THEN 0 ELSE m.wrong END
            + CASE WHEN m.code_hash = code THEN 0 ELSE 1 END,
        wrong_since = CASE WHEN m.wrong_since <= at - interval '1 hour' THEN at ELSE m.wrong_since END
    WHERE m.challenge_hash = challenge AND m.expires_at > at AND m.tries < 5
      AND (m.wrong < 10 OR m.wrong_since <= at - interval '1 hour')
    RETURNING CASE WHEN m.code_hash = code THEN m.user_id END, m.address_normalized
$$;

-- Uses a link up, and with it the code: of any number of presentations at once, one
-- finds it.
CREATE FUNCTION take_mail_link(presented bytea, at timestamptz) RETURNS TABLE (user_id uuid, address text)
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    UPDATE mail_sign_ins m SET tries = 5
    WHERE m.token_hash = presented AND m.expires_at > at AND m.tries < 5 AND m.user_id IS NOT NULL
    RETURNING m.user_id, m.address_normalized
$$;

-- Removes what is over, once what was tried on it no longer counts.
CREATE FUNCTION delete_expired_mail_sign_ins(at timestamptz, most integer) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    WITH expired AS (
        SELECT address_normalized FROM mail_sign_ins WHERE expires_at <= at - interval '1 hour'
        ORDER BY expires_at LIMIT most FOR UPDATE SKIP LOCKED
    ), deleted AS (
        DELETE FROM mail_sign_ins m USING expired e WHERE m.address_normalized = e.address_normalized RETURNING m.address_normalized
    )
    SELECT count(*) FROM deleted
$$;

REVOKE EXECUTE ON FUNCTION keep_mail_sign_in(text, bytea, bytea, bytea, uuid, timestamptz, timestamptz),
    try_mail_code(bytea, bytea, timestamptz), take_mail_link(bytea, timestamptz),
    delete_expired_mail_sign_ins(timestamptz, integer) FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON mail_sign_ins TO gatehouse_definer;
ALTER FUNCTION keep_mail_sign_in(text, bytea, bytea, bytea, uuid, timestamptz, timestamptz) OWNER TO gatehouse_definer;
ALTER FUNCTION try_mail_code(bytea, bytea, timestamptz) OWNER TO gatehouse_definer;
ALTER FUNCTION take_mail_link(bytea, timestamptz) OWNER TO gatehouse_definer;
ALTER FUNCTION delete_expired_mail_sign_ins(timestamptz, integer) OWNER TO gatehouse_definer;
