-- How many letters of a kind an address got since a time. Of the address only a
-- keyed hash is kept.
CREATE TABLE letter_counts (
    recipient bytea       NOT NULL,
    kind      text        NOT NULL,
    begins_at timestamptz NOT NULL,
    letters   integer     NOT NULL,
    PRIMARY KEY (recipient, kind)
);

CREATE INDEX letter_counts_begins_idx ON letter_counts (begins_at);

-- What was mailed to an address to show that it is its reader's: of the token
-- only the hash. A sign-up has no user yet; its token brings the password along
-- that was chosen then, so that each link makes the account of its own sign-up.
CREATE TABLE mail_tokens (
    id                 uuid        PRIMARY KEY,
    purpose            text        NOT NULL CHECK (purpose IN ('verify', 'reset', 'change')),
    token_hash         bytea       NOT NULL UNIQUE,
    address            text        NOT NULL,
    address_normalized text        NOT NULL,
    user_id            uuid        REFERENCES users ON DELETE CASCADE,
    password_hash      text        NOT NULL DEFAULT '',
    display_name       text        NOT NULL DEFAULT '',
    created_at         timestamptz NOT NULL,
    expires_at         timestamptz NOT NULL
);

CREATE INDEX mail_tokens_address_idx ON mail_tokens (address_normalized, purpose);
CREATE INDEX mail_tokens_user_idx ON mail_tokens (user_id);
CREATE INDEX mail_tokens_expires_idx ON mail_tokens (expires_at);

-- Who reads one need not be signed in, and none of them has an organization: only
-- the functions below reach them.
ALTER TABLE mail_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE mail_tokens FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON mail_tokens
    USING (user_id = gatehouse.user_id()) WITH CHECK (user_id = gatehouse.user_id());

-- Keeps a token. Of those that belong to one account, or reset one address, only
-- the newest works; of sign-ups each does, as nobody knows yet whose is right. Two
-- for one address wait for each other, or both would be the newest.
CREATE FUNCTION keep_mail_token(id uuid, purpose text, token_hash bytea, address text, address_normalized text, user_id uuid,
    password_hash text, display_name text, at timestamptz, until timestamptz) RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    SELECT pg_advisory_xact_lock(hashtextextended('mail token of ' || keep_mail_token.address_normalized, 0));
    DELETE FROM mail_tokens t WHERE t.id = keep_mail_token.id OR t.purpose = keep_mail_token.purpose
        AND (t.user_id = keep_mail_token.user_id
             OR t.purpose = 'reset' AND t.address_normalized = keep_mail_token.address_normalized);
    INSERT INTO mail_tokens (id, purpose, token_hash, address, address_normalized, user_id, password_hash, display_name,
        created_at, expires_at)
    VALUES (id, purpose, token_hash, address, address_normalized, user_id, password_hash, display_name, at, until)
$$;

-- The address of a token that works, without using it up.
CREATE FUNCTION mail_token_address(presented bytea, purposes text[], at timestamptz) RETURNS TABLE (address text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    SELECT t.address FROM mail_tokens t
    WHERE t.token_hash = presented AND t.purpose = ANY (purposes) AND t.expires_at > at
$$;

-- Uses a token up: of any number of presentations at once, one finds it.
CREATE FUNCTION take_mail_token(presented bytea, purposes text[], at timestamptz)
    RETURNS TABLE (purpose text, address text, user_id uuid, password_hash text, display_name text)
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    DELETE FROM mail_tokens t
    WHERE t.token_hash = presented AND t.purpose = ANY (purposes) AND t.expires_at > at
    RETURNING t.purpose, t.address, t.user_id, t.password_hash, t.display_name
$$;

-- Takes the force from whatever else was mailed to an address, or for an account.
CREATE FUNCTION forget_mail_tokens(of_address text, of_user uuid) RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$ DELETE FROM mail_tokens t WHERE t.address_normalized = of_address OR t.user_id = of_user $$;

-- The name in the newest sign-up of an address that waits to be confirmed.
CREATE FUNCTION waiting_sign_up(of_address text, at timestamptz) RETURNS TABLE (display_name text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    SELECT t.display_name FROM mail_tokens t
    WHERE t.address_normalized = of_address AND t.user_id IS NULL AND t.expires_at > at
    ORDER BY t.created_at DESC LIMIT 1
$$;

CREATE FUNCTION delete_expired_mail_tokens(at timestamptz, most integer) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    WITH expired AS (
        SELECT id FROM mail_tokens WHERE expires_at <= at ORDER BY expires_at LIMIT most FOR UPDATE SKIP LOCKED
    ), deleted AS (
        DELETE FROM mail_tokens t USING expired e WHERE t.id = e.id RETURNING t.id
    )
    SELECT count(*) FROM deleted
$$;

-- As it was, and it answers whether the address is confirmed too.
DROP FUNCTION sign_in_account(text);
CREATE FUNCTION sign_in_account(address text)
    RETURNS TABLE (user_id uuid, password_hash text, disabled boolean, verified boolean, locale text, organization_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    SELECT u.id, u.password_hash, u.disabled, u.email_verified, u.locale, m.organization_id
    FROM users u
    JOIN memberships m ON m.user_id = u.id
    JOIN organizations o ON o.id = m.organization_id
    WHERE u.email_normalized = address
    ORDER BY o.personal DESC, m.created_at, m.organization_id
    LIMIT 1
$$;

-- Whoever runs the installation answers for the operators' addresses.
UPDATE users SET email_verified = true WHERE operator;

REVOKE EXECUTE ON FUNCTION keep_mail_token(uuid, text, bytea, text, text, uuid, text, text, timestamptz, timestamptz),
    mail_token_address(bytea, text[], timestamptz), take_mail_token(bytea, text[], timestamptz), forget_mail_tokens(text, uuid),
    waiting_sign_up(text, timestamptz), delete_expired_mail_tokens(timestamptz, integer), sign_in_account(text) FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON mail_tokens TO gatehouse_definer;
ALTER FUNCTION keep_mail_token(uuid, text, bytea, text, text, uuid, text, text, timestamptz, timestamptz) OWNER TO gatehouse_definer;
ALTER FUNCTION mail_token_address(bytea, text[], timestamptz) OWNER TO gatehouse_definer;
ALTER FUNCTION take_mail_token(bytea, text[], timestamptz) OWNER TO gatehouse_definer;
ALTER FUNCTION forget_mail_tokens(text, uuid) OWNER TO gatehouse_definer;
ALTER FUNCTION waiting_sign_up(text, timestamptz) OWNER TO gatehouse_definer;
ALTER FUNCTION delete_expired_mail_tokens(timestamptz, integer) OWNER TO gatehouse_definer;
ALTER FUNCTION sign_in_account(text) OWNER TO gatehouse_definer;
