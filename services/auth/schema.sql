-- The tables of the auth service after all migrations, for readers. The tests of package
-- migrations write it: go test ./auth/migrations -update

CREATE SCHEMA auth;

CREATE FUNCTION auth.accept_invitation(presented bytea, address text, at timestamp with time zone) RETURNS TABLE(organization_id uuid, id uuid, roles text[])
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    UPDATE invitations i SET accepted_at = at, token_hash = NULL
    FROM organizations o
    WHERE i.token_hash = presented AND i.email_normalized = address AND i.accepted_at IS NULL AND i.expires_at > at
      AND o.id = i.organization_id AND o.deleted_at IS NULL
    RETURNING i.organization_id, i.id, i.roles
$$;

CREATE FUNCTION auth.acts_as_operator() RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
BEGIN
    RETURN EXISTS (SELECT FROM users WHERE id = gatehouse.user_id() AND operator AND NOT disabled);
END
$$;

CREATE FUNCTION auth.anonymize_own_invitations() RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'auth', 'gatehouse', 'pg_temp'
    AS $$
    UPDATE invitations i SET email = '', email_normalized = '' FROM users u
    WHERE u.id = gatehouse.user_id() AND i.email_normalized = u.email_normalized AND i.accepted_at IS NOT NULL
$$;

CREATE FUNCTION auth.custom_permissions(of_organization uuid, held text[]) RETURNS text[]
    LANGUAGE plpgsql STABLE
    AS $$
BEGIN
    RETURN (SELECT coalesce(array_agg(DISTINCT p ORDER BY p), '{}') FROM roles r, unnest(r.permissions) p
            WHERE r.organization_id = of_organization AND r.id::text = ANY (held));
END
$$;

CREATE FUNCTION auth.delete_expired_api_keys(at timestamp with time zone, most integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    WITH expired AS (
        SELECT id FROM api_keys WHERE expires_at <= at ORDER BY expires_at LIMIT most FOR UPDATE SKIP LOCKED
    ), deleted AS (
        DELETE FROM api_keys k USING expired e WHERE k.id = e.id RETURNING 1
    )
    SELECT count(*) FROM deleted
$$;

CREATE FUNCTION auth.delete_expired_factor_challenges(at timestamp with time zone, most integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    WITH expired AS (
        SELECT token_hash FROM factor_challenges WHERE expires_at <= at
        ORDER BY expires_at LIMIT most FOR UPDATE SKIP LOCKED
    ), deleted AS (
        DELETE FROM factor_challenges c USING expired e WHERE c.token_hash = e.token_hash RETURNING c.token_hash
    )
    SELECT count(*) FROM deleted
$$;

CREATE FUNCTION auth.delete_expired_factor_tries(at timestamp with time zone, most integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    WITH expired AS (
        SELECT user_id FROM factor_tries WHERE begins_at <= at ORDER BY begins_at LIMIT most FOR UPDATE SKIP LOCKED
    ), deleted AS (
        DELETE FROM factor_tries t USING expired e WHERE t.user_id = e.user_id RETURNING 1
    )
    SELECT count(*) FROM deleted
$$;

CREATE FUNCTION auth.delete_expired_invitation_counts(at timestamp with time zone, most integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    WITH expired AS (
        SELECT organization_id, inviter_id, day FROM invitation_counts WHERE expires_at <= at
        ORDER BY expires_at LIMIT most FOR UPDATE SKIP LOCKED
    ), deleted AS (
        DELETE FROM invitation_counts c USING expired e
        WHERE c.organization_id = e.organization_id AND c.inviter_id = e.inviter_id AND c.day = e.day RETURNING 1
    )
    SELECT count(*) FROM deleted
$$;

CREATE FUNCTION auth.delete_expired_invitations(at timestamp with time zone, most integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    WITH expired AS (
        SELECT organization_id, id FROM invitations WHERE expires_at <= at ORDER BY expires_at LIMIT most FOR UPDATE SKIP LOCKED
    ), deleted AS (
        DELETE FROM invitations i USING expired e WHERE i.organization_id = e.organization_id AND i.id = e.id RETURNING 1
    )
    SELECT count(*) FROM deleted
$$;

CREATE FUNCTION auth.delete_expired_mail_sign_ins(at timestamp with time zone, most integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    WITH expired AS (
        SELECT address_normalized FROM mail_sign_ins WHERE expires_at <= at - interval '1 hour'
        ORDER BY expires_at LIMIT most FOR UPDATE SKIP LOCKED
    ), deleted AS (
        DELETE FROM mail_sign_ins m USING expired e WHERE m.address_normalized = e.address_normalized RETURNING m.address_normalized
    )
    SELECT count(*) FROM deleted
$$;

CREATE FUNCTION auth.delete_expired_mail_tokens(at timestamp with time zone, most integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    WITH expired AS (
        SELECT id FROM mail_tokens WHERE expires_at <= at ORDER BY expires_at LIMIT most FOR UPDATE SKIP LOCKED
    ), deleted AS (
        DELETE FROM mail_tokens t USING expired e WHERE t.id = e.id RETURNING t.id
    )
    SELECT count(*) FROM deleted
$$;

CREATE FUNCTION auth.delete_expired_oauth(at timestamp with time zone, most integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
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

CREATE FUNCTION auth.delete_expired_provider_attempts(at timestamp with time zone, most integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    WITH expired AS (
        SELECT state_hash FROM provider_attempts WHERE expires_at <= at
        ORDER BY expires_at LIMIT most FOR UPDATE SKIP LOCKED
    ), deleted AS (
        DELETE FROM provider_attempts a USING expired e WHERE a.state_hash = e.state_hash RETURNING a.state_hash
    )
    SELECT count(*) FROM deleted
$$;

CREATE FUNCTION auth.delete_expired_sessions(at timestamp with time zone, most integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    WITH expired AS (
        SELECT organization_id, id FROM sessions WHERE expires_at <= at
        ORDER BY expires_at LIMIT most FOR UPDATE SKIP LOCKED
    ), deleted AS (
        DELETE FROM sessions s USING expired e
        WHERE s.organization_id = e.organization_id AND s.id = e.id
        RETURNING s.id
    )
    SELECT count(*) FROM deleted
$$;

CREATE FUNCTION auth.directory_users(ids uuid[]) RETURNS TABLE(id uuid, display_name text, email text, email_verified boolean, locale text, disabled boolean, service boolean)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    SELECT u.id, u.display_name, u.email, u.email_verified, u.locale, u.disabled, u.kind = 'service' FROM users u WHERE u.id = ANY (ids)
$$;

CREATE FUNCTION auth.end_oauth_client(client uuid, at timestamp with time zone) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    DELETE FROM oauth_grants g WHERE g.client_id = client;
    DELETE FROM oauth_consents c WHERE c.client_id = client;
    DELETE FROM oauth_codes c WHERE c.client_id = client;
    UPDATE sessions s SET revoked_at = at WHERE s.client_id = client AND s.revoked_at IS NULL
$$;

CREATE FUNCTION auth.end_oauth_login(presented bytea, at timestamp with time zone) RETURNS TABLE(organization_id uuid, session_id uuid, user_id uuid)
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    WITH ended AS (
        DELETE FROM oauth_logins l WHERE l.token_hash = presented RETURNING l.organization_id, l.session_id
    )
    UPDATE sessions s SET revoked_at = at FROM ended e
    WHERE s.organization_id = e.organization_id AND s.id = e.session_id AND s.revoked_at IS NULL
    RETURNING s.organization_id, s.id, s.user_id
$$;

CREATE FUNCTION auth.end_session(presented bytea, client uuid, at timestamp with time zone) RETURNS TABLE(organization_id uuid, session_id uuid, user_id uuid)
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    UPDATE sessions s SET revoked_at = at FROM refresh_tokens t
    WHERE t.token_hash = presented AND s.organization_id = t.organization_id AND s.id = t.session_id
      AND s.client_id IS NOT DISTINCT FROM client AND s.revoked_at IS NULL
    RETURNING s.organization_id, s.id, s.user_id
$$;

CREATE FUNCTION auth.factor_challenge_user(presented bytea, at timestamp with time zone) RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    SELECT c.user_id FROM factor_challenges c
    WHERE c.token_hash = presented AND c.expires_at > at AND c.tries < 5
$$;

CREATE FUNCTION auth.forget_identities(of_id uuid) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    DELETE FROM identities i USING identity_providers p
    WHERE p.id = of_id AND p.organization_id = gatehouse.organization_id() AND i.provider = p.id::text
$$;

CREATE FUNCTION auth.forget_mail_tokens(of_address text, of_user uuid) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$ DELETE FROM mail_tokens t WHERE t.address_normalized = of_address OR t.user_id = of_user $$;

CREATE FUNCTION auth.hold_oauth_client(of_id uuid) RETURNS TABLE(organization_id uuid, organization_name text, display_name text, redirect_uris text[], post_logout_redirect_uris text[], grant_types text[], scopes text[], members_only boolean, secret_hash bytea)
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    SELECT FROM oauth_clients c WHERE c.id = of_id FOR SHARE;
    SELECT * FROM oauth_client(of_id)
$$;

CREATE FUNCTION auth.identity_provider(of_id uuid) RETURNS TABLE(organization_id uuid, id uuid, display_name text, issuer text, client_id text, sealed_secret bytea, domains text[], role text, revision bigint, created_at timestamp with time zone, updated_at timestamp with time zone)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    SELECT p.organization_id, p.id, p.display_name, p.issuer, p.client_id, p.sealed_secret, p.domains, p.role, p.revision,
        p.created_at, p.updated_at
    FROM identity_providers p WHERE p.id = of_id
$$;

CREATE FUNCTION auth.identity_user(of_provider text, of_issuer text, of_subject text) RETURNS TABLE(id uuid, user_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    SELECT i.id, i.user_id FROM identities i
    WHERE i.provider = of_provider AND i.issuer = of_issuer AND i.subject = of_subject
$$;

CREATE FUNCTION auth.invitation_waits(presented bytea, address text, at timestamp with time zone) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    SELECT EXISTS (SELECT FROM invitations i JOIN organizations o ON o.id = i.organization_id AND o.deleted_at IS NULL
                   WHERE i.token_hash = presented AND i.email_normalized = address AND i.accepted_at IS NULL AND i.expires_at > at)
$$;

CREATE FUNCTION auth.keep_mail_sign_in(address text, challenge bytea, token bytea, code bytea, of_user uuid, at timestamp with time zone, until timestamp with time zone) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    INSERT INTO mail_sign_ins (address_normalized, challenge_hash, token_hash, code_hash, user_id, expires_at, wrong_since)
    VALUES (address, challenge, token, code, of_user, until, at)
    ON CONFLICT (address_normalized) DO UPDATE SET challenge_hash = excluded.challenge_hash, token_hash = excluded.token_hash,
        code_hash = excluded.code_hash, user_id = excluded.user_id, tries = 0, expires_at = excluded.expires_at
$$;

CREATE FUNCTION auth.keep_mail_token(id uuid, purpose text, token_hash bytea, address text, address_normalized text, user_id uuid, password_hash text, display_name text, at timestamp with time zone, until timestamp with time zone) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    SELECT pg_advisory_xact_lock(hashtextextended('mail token of ' || keep_mail_token.address_normalized, 0));
    DELETE FROM mail_tokens t WHERE t.id = keep_mail_token.id OR t.purpose = keep_mail_token.purpose
        AND (t.user_id = keep_mail_token.user_id
             OR t.purpose = 'reset' AND t.address_normalized = keep_mail_token.address_normalized);
    INSERT INTO mail_tokens (id, purpose, token_hash, address, address_normalized, user_id, password_hash, display_name,
        created_at, expires_at)
    VALUES (id, purpose, token_hash, address, address_normalized, user_id, password_hash, display_name, at, until)
$$;

CREATE FUNCTION auth.keep_provider_attempt(state_hash bytea, secret_hash bytea, provider text, redirect_uri text, user_id uuid, session_id uuid, until timestamp with time zone) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    INSERT INTO provider_attempts (state_hash, secret_hash, provider, redirect_uri, user_id, session_id, expires_at)
    VALUES (state_hash, secret_hash, provider, redirect_uri, user_id, session_id, until)
$$;

CREATE FUNCTION auth.mail_token_address(presented bytea, purposes text[], at timestamp with time zone) RETURNS TABLE(address text)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    SELECT t.address FROM mail_tokens t
    WHERE t.token_hash = presented AND t.purpose = ANY (purposes) AND t.expires_at > at
$$;

CREATE FUNCTION auth.oauth_client(of_id uuid) RETURNS TABLE(organization_id uuid, organization_name text, display_name text, redirect_uris text[], post_logout_redirect_uris text[], grant_types text[], scopes text[], members_only boolean, secret_hash bytea)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    SELECT c.organization_id, o.display_name, c.display_name, c.redirect_uris, c.post_logout_redirect_uris, c.grant_types,
        c.scopes, c.members_only, c.secret_hash
    FROM oauth_clients c JOIN organizations o ON o.id = c.organization_id AND o.deleted_at IS NULL WHERE c.id = of_id
$$;

CREATE FUNCTION auth.oauth_client_names(ids uuid[]) RETURNS TABLE(id uuid, display_name text)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    SELECT c.id, c.display_name FROM oauth_clients c WHERE c.id = ANY (ids)
        AND EXISTS (SELECT FROM oauth_grants g WHERE g.client_id = c.id AND g.user_id = gatehouse.user_id())
$$;

CREATE FUNCTION auth.oauth_login(presented bytea, at timestamp with time zone) RETURNS TABLE(organization_id uuid, session_id uuid, user_id uuid, auth_time timestamp with time zone, methods text[])
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    SELECT s.organization_id, s.id, s.user_id, s.auth_time, s.methods
    FROM oauth_logins l
    JOIN sessions s ON s.organization_id = l.organization_id AND s.id = l.session_id
    JOIN users u ON u.id = s.user_id AND NOT u.disabled
    JOIN memberships m ON m.organization_id = s.organization_id AND m.user_id = s.user_id
    WHERE l.token_hash = presented AND s.revoked_at IS NULL AND s.expires_at > at
$$;

CREATE FUNCTION auth.oauth_refresh_token(presented bytea, client uuid, at timestamp with time zone) RETURNS TABLE(user_id uuid, organization_id uuid, session_id uuid, scopes text[], created_at timestamp with time zone, expires_at timestamp with time zone)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    SELECT s.user_id, s.organization_id, s.id, s.scopes, t.created_at, t.expires_at
    FROM refresh_tokens t
    JOIN sessions s ON s.organization_id = t.organization_id AND s.id = t.session_id
    JOIN users u ON u.id = s.user_id AND NOT u.disabled
    JOIN memberships m ON m.organization_id = s.organization_id AND m.user_id = s.user_id
    WHERE t.token_hash = presented AND t.used_at IS NULL AND t.expires_at > at AND s.client_id = client
      AND s.revoked_at IS NULL AND s.expires_at > at
$$;

CREATE FUNCTION auth.operator_exists() RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$ SELECT EXISTS (SELECT FROM users WHERE operator) $$;

CREATE FUNCTION auth.organization_active(of_organization uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$ SELECT EXISTS (SELECT FROM organizations o WHERE o.id = of_organization AND o.deleted_at IS NULL) $$;

CREATE FUNCTION auth.purge_organization(at timestamp with time zone, most integer) RETURNS TABLE(organization_id uuid, done boolean)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
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

CREATE FUNCTION auth.resolve_api_key(presented bytea, at timestamp with time zone) RETURNS TABLE(id uuid, user_id uuid, organization_id uuid, roles text[], permissions text[], operator boolean, service boolean, scopes text[])
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    WITH found AS (
        SELECT k.id, k.user_id, k.organization_id, m.roles, u.operator, u.kind, k.scopes, k.last_used_at
        FROM api_keys k
        JOIN users u ON u.id = k.user_id AND NOT u.disabled
        JOIN memberships m ON m.organization_id = k.organization_id AND m.user_id = k.user_id
        WHERE k.secret_hash = presented AND (k.expires_at IS NULL OR k.expires_at > at)
    ), used AS (
        UPDATE api_keys k SET last_used_at = at FROM found
        WHERE k.id = found.id AND (found.last_used_at IS NULL OR found.last_used_at < at - interval '1 minute')
    )
    SELECT f.id, f.user_id, f.organization_id, f.roles, custom_permissions(f.organization_id, f.roles), f.operator,
        f.kind = 'service', f.scopes
    FROM found f
$$;

CREATE FUNCTION auth.resolve_publishable_key(shown text, of_origin text) RETURNS TABLE(id uuid, organization_id uuid, allowed boolean)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    SELECT k.id, k.organization_id, of_origin = ANY (k.origins) FROM publishable_keys k WHERE k.key = shown AND NOT k.disabled
$$;

CREATE FUNCTION auth.revoke_reused(presented bytea, client uuid, at timestamp with time zone) RETURNS TABLE(organization_id uuid, session_id uuid, user_id uuid, ended boolean)
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    SELECT FROM refresh_tokens t
    JOIN sessions s ON s.organization_id = t.organization_id AND s.id = t.session_id
    JOIN users u ON u.id = s.user_id
    WHERE t.token_hash = presented AND t.used_at IS NOT NULL AND s.client_id IS NOT DISTINCT FROM client
    FOR NO KEY UPDATE OF u;

    WITH RECURSIVE reused AS (
        SELECT s.organization_id, s.id, s.user_id
        FROM refresh_tokens t
        JOIN sessions s ON s.organization_id = t.organization_id AND s.id = t.session_id
        WHERE t.token_hash = presented AND t.used_at IS NOT NULL AND s.client_id IS NOT DISTINCT FROM client
    ), opened AS (
        SELECT r.organization_id, r.id FROM reused r
        UNION
        SELECT s.organization_id, s.id FROM opened o JOIN sessions s ON s.opened_from = o.id
    ), revoked AS (
        UPDATE sessions s SET revoked_at = at FROM opened o
        WHERE s.organization_id = o.organization_id AND s.id = o.id AND s.revoked_at IS NULL
        RETURNING s.organization_id, s.id, s.user_id
    )
    SELECT r.organization_id, r.id, r.user_id, true FROM revoked r
    UNION ALL
    SELECT r.organization_id, r.id, r.user_id, false FROM reused r WHERE NOT EXISTS (SELECT FROM revoked)
$$;

CREATE FUNCTION auth.revoke_reused_oauth_code(presented bytea, client uuid, at timestamp with time zone) RETURNS TABLE(organization_id uuid, session_id uuid, user_id uuid, ended boolean)
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
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

CREATE FUNCTION auth.rotate_refresh_token(presented bytea, successor bytea, client uuid, at timestamp with time zone) RETURNS TABLE(organization_id uuid, session_id uuid, user_id uuid, auth_time timestamp with time zone, methods text[], scopes text[])
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY WITH used AS (
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
    SELECT used.organization_id, used.id, used.user_id, used.auth_time, used.methods, used.scopes FROM used;
END
$$;

CREATE FUNCTION auth.sign_in_account(address text) RETURNS TABLE(user_id uuid, password_hash text, disabled boolean, verified boolean, locale text, organization_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    SELECT u.id, u.password_hash, u.disabled, u.email_verified, u.locale, m.organization_id
    FROM users u
    JOIN memberships m ON m.user_id = u.id
    JOIN organizations o ON o.id = m.organization_id
    WHERE u.email_normalized = address
    ORDER BY o.personal DESC, m.created_at, m.organization_id
    LIMIT 1
$$;

CREATE FUNCTION auth.take_mail_link(presented bytea, at timestamp with time zone) RETURNS TABLE(user_id uuid, address text)
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    UPDATE mail_sign_ins m SET tries = 5
    WHERE m.token_hash = presented AND m.expires_at > at AND m.tries < 5 AND m.user_id IS NOT NULL
    RETURNING m.user_id, m.address_normalized
$$;

CREATE FUNCTION auth.take_mail_token(presented bytea, purposes text[], at timestamp with time zone) RETURNS TABLE(purpose text, address text, user_id uuid, password_hash text, display_name text)
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    DELETE FROM mail_tokens t
    WHERE t.token_hash = presented AND t.purpose = ANY (purposes) AND t.expires_at > at
    RETURNING t.purpose, t.address, t.user_id, t.password_hash, t.display_name
$$;

CREATE FUNCTION auth.take_oauth_code(presented bytea, client uuid, session uuid, at timestamp with time zone) RETURNS TABLE(organization_id uuid, user_id uuid, redirect_uri text, scopes text[], nonce text, code_challenge text, auth_time timestamp with time zone, methods text[])
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    SELECT FROM oauth_codes c
    JOIN oauth_clients k ON k.id = c.client_id
    JOIN users u ON u.id = c.user_id
    JOIN oauth_grants g ON g.organization_id = c.organization_id AND g.user_id = c.user_id AND g.client_id = c.client_id
    WHERE c.code_hash = presented AND c.client_id = client FOR SHARE OF k, u, g;

    UPDATE oauth_codes c SET session_id = session
    FROM sessions s, users u, memberships m, oauth_clients k, oauth_grants g
    WHERE c.code_hash = presented AND c.client_id = client AND c.session_id IS NULL AND c.expires_at > at
      AND s.organization_id = c.login_in AND s.id = c.login_session AND s.revoked_at IS NULL AND s.expires_at > at
      AND u.id = c.user_id AND NOT u.disabled
      AND m.organization_id = c.organization_id AND m.user_id = c.user_id
      AND k.id = c.client_id AND k.scopes && c.scopes AND (k.organization_id = c.organization_id OR NOT k.members_only)
      AND g.organization_id = c.organization_id AND g.user_id = c.user_id AND g.client_id = c.client_id AND g.scopes @> c.scopes
    RETURNING c.organization_id, c.user_id, c.redirect_uri, ARRAY (SELECT x FROM unnest(c.scopes) x WHERE x = ANY (k.scopes)),
        c.nonce, c.code_challenge, c.auth_time, c.methods
$$;

CREATE FUNCTION auth.take_oauth_consent(presented bytea, login bytea, at timestamp with time zone) RETURNS TABLE(client_id uuid, request jsonb)
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    DELETE FROM oauth_consents c WHERE c.ticket_hash = presented AND c.login_hash = login AND c.expires_at > at
    RETURNING c.client_id, c.request
$$;

CREATE FUNCTION auth.take_provider_attempt(state bytea, secret bytea, of_provider text, links boolean, at timestamp with time zone) RETURNS TABLE(redirect_uri text, user_id uuid, session_id uuid)
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    DELETE FROM provider_attempts a
    WHERE a.state_hash = state AND a.secret_hash = secret AND a.provider = of_provider
      AND (a.user_id IS NOT NULL) = links AND a.expires_at > at
    RETURNING a.redirect_uri, a.user_id, a.session_id
$$;

CREATE FUNCTION auth.try_factor_challenge(presented bytea, at timestamp with time zone) RETURNS TABLE(user_id uuid, methods text[])
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    UPDATE factor_challenges c SET tries = c.tries + 1
    WHERE c.token_hash = presented AND c.expires_at > at AND c.tries < 5
    RETURNING c.user_id, c.methods
$$;

CREATE FUNCTION auth.try_mail_code(challenge bytea, code bytea, at timestamp with time zone) RETURNS TABLE(user_id uuid, address text)
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
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

CREATE FUNCTION auth.waiting_invitation(presented bytea, address text, at timestamp with time zone) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    SELECT i.organization_id FROM invitations i JOIN organizations o ON o.id = i.organization_id AND o.deleted_at IS NULL
    WHERE i.token_hash = presented AND i.email_normalized = address AND i.accepted_at IS NULL AND i.expires_at > at
$$;

CREATE FUNCTION auth.waiting_sign_up(of_address text, at timestamp with time zone) RETURNS TABLE(display_name text)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
    AS $$
    SELECT t.display_name FROM mail_tokens t
    WHERE t.address_normalized = of_address AND t.user_id IS NULL AND t.expires_at > at
    ORDER BY t.created_at DESC LIMIT 1
$$;

CREATE TABLE auth.api_keys (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    display_name text NOT NULL,
    prefix text NOT NULL,
    secret_hash bytea NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone,
    last_used_at timestamp with time zone,
    CONSTRAINT api_keys_scopes_check CHECK ((cardinality(scopes) > 0))
);

ALTER TABLE ONLY auth.api_keys FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.erasures (
    id uuid NOT NULL,
    of_user uuid,
    of_organization uuid,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT erasures_check CHECK ((num_nonnulls(of_user, of_organization) = 1))
);

ALTER TABLE ONLY auth.erasures FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.factor_challenges (
    token_hash bytea NOT NULL,
    user_id uuid NOT NULL,
    methods text[] NOT NULL,
    tries integer DEFAULT 0 NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

ALTER TABLE ONLY auth.factor_challenges FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.factor_tries (
    user_id uuid NOT NULL,
    begins_at timestamp with time zone NOT NULL,
    wrong integer NOT NULL
);

ALTER TABLE ONLY auth.factor_tries FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.identities (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    provider text NOT NULL,
    issuer text NOT NULL,
    subject text NOT NULL,
    email text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    last_used_at timestamp with time zone
);

ALTER TABLE ONLY auth.identities FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.identity_providers (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    display_name text NOT NULL,
    issuer text NOT NULL,
    client_id text NOT NULL,
    sealed_secret bytea NOT NULL,
    domains text[] NOT NULL,
    role text NOT NULL,
    revision bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT identity_providers_domains_check CHECK ((cardinality(domains) > 0)),
    CONSTRAINT identity_providers_role_check CHECK ((role = ANY (ARRAY['admin'::text, 'member'::text, 'viewer'::text])))
);

ALTER TABLE ONLY auth.identity_providers FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.invitation_counts (
    organization_id uuid NOT NULL,
    inviter_id uuid NOT NULL,
    day date NOT NULL,
    sent integer NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

ALTER TABLE ONLY auth.invitation_counts FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.invitations (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    email text NOT NULL,
    email_normalized text NOT NULL,
    roles text[] NOT NULL,
    inviter_id uuid NOT NULL,
    token_hash bytea,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    accepted_at timestamp with time zone,
    CONSTRAINT invitations_roles CHECK (((cardinality(roles) > 0) AND (array_to_string(roles, ' '::text) ~ '^((owner|admin|member|viewer|[0-9a-f-]{36})( |$))+$'::text)))
);

ALTER TABLE ONLY auth.invitations FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.letter_counts (
    recipient bytea NOT NULL,
    kind text NOT NULL,
    begins_at timestamp with time zone NOT NULL,
    letters integer NOT NULL
);

CREATE TABLE auth.mail_sign_ins (
    address_normalized text NOT NULL,
    challenge_hash bytea NOT NULL,
    token_hash bytea NOT NULL,
    code_hash bytea NOT NULL,
    user_id uuid,
    tries integer DEFAULT 0 NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    wrong integer DEFAULT 0 NOT NULL,
    wrong_since timestamp with time zone NOT NULL
);

ALTER TABLE ONLY auth.mail_sign_ins FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.mail_tokens (
    id uuid NOT NULL,
    purpose text NOT NULL,
    token_hash bytea NOT NULL,
    address text NOT NULL,
    address_normalized text NOT NULL,
    user_id uuid,
    password_hash text DEFAULT ''::text NOT NULL,
    display_name text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT mail_tokens_purpose_check CHECK ((purpose = ANY (ARRAY['verify'::text, 'reset'::text, 'change'::text])))
);

ALTER TABLE ONLY auth.mail_tokens FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.memberships (
    organization_id uuid NOT NULL,
    user_id uuid NOT NULL,
    roles text[] NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT memberships_roles CHECK (((cardinality(roles) > 0) AND (array_to_string(roles, ' '::text) ~ '^((owner|admin|member|viewer|[0-9a-f-]{36})( |$))+$'::text)))
);

ALTER TABLE ONLY auth.memberships FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.oauth_clients (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    display_name text NOT NULL,
    redirect_uris text[] NOT NULL,
    post_logout_redirect_uris text[] NOT NULL,
    grant_types text[] NOT NULL,
    scopes text[] NOT NULL,
    members_only boolean NOT NULL,
    secret_hash bytea,
    revision bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT oauth_clients_grant_types_check CHECK ((cardinality(grant_types) > 0)),
    CONSTRAINT oauth_clients_scopes_check CHECK ((cardinality(scopes) > 0))
);

ALTER TABLE ONLY auth.oauth_clients FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.oauth_codes (
    organization_id uuid NOT NULL,
    code_hash bytea NOT NULL,
    client_id uuid NOT NULL,
    user_id uuid NOT NULL,
    login_in uuid NOT NULL,
    login_session uuid NOT NULL,
    redirect_uri text NOT NULL,
    scopes text[] NOT NULL,
    nonce text NOT NULL,
    code_challenge text NOT NULL,
    auth_time timestamp with time zone NOT NULL,
    methods text[] NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    session_id uuid
);

ALTER TABLE ONLY auth.oauth_codes FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.oauth_consents (
    organization_id uuid NOT NULL,
    ticket_hash bytea NOT NULL,
    login_hash bytea NOT NULL,
    client_id uuid NOT NULL,
    request jsonb NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

ALTER TABLE ONLY auth.oauth_consents FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.oauth_grants (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    client_id uuid NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL
);

ALTER TABLE ONLY auth.oauth_grants FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.oauth_logins (
    organization_id uuid NOT NULL,
    token_hash bytea NOT NULL,
    session_id uuid NOT NULL
);

ALTER TABLE ONLY auth.oauth_logins FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.organizations (
    id uuid NOT NULL,
    display_name text NOT NULL,
    personal boolean NOT NULL,
    revision bigint DEFAULT 1 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    deleted_at timestamp with time zone,
    purge_at timestamp with time zone,
    CONSTRAINT organizations_check CHECK (((deleted_at IS NULL) = (purge_at IS NULL)))
);

ALTER TABLE ONLY auth.organizations FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.passkey_ceremonies (
    token_hash bytea NOT NULL,
    purpose text NOT NULL,
    challenge_hash bytea,
    state jsonb NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT passkey_ceremonies_check CHECK (((purpose = 'factor'::text) = (challenge_hash IS NOT NULL))),
    CONSTRAINT passkey_ceremonies_purpose_check CHECK ((purpose = ANY (ARRAY['register'::text, 'sign_in'::text, 'factor'::text])))
);

CREATE TABLE auth.passkeys (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    credential_id bytea NOT NULL,
    rp_id text NOT NULL,
    record jsonb NOT NULL,
    sign_count bigint NOT NULL,
    display_name text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    last_used_at timestamp with time zone
);

ALTER TABLE ONLY auth.passkeys FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.provider_attempts (
    state_hash bytea NOT NULL,
    secret_hash bytea NOT NULL,
    provider text NOT NULL,
    redirect_uri text NOT NULL,
    user_id uuid,
    session_id uuid,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT provider_attempts_check CHECK (((user_id IS NULL) = (session_id IS NULL)))
);

ALTER TABLE ONLY auth.provider_attempts FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.publishable_keys (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    key text NOT NULL,
    display_name text NOT NULL,
    origins text[] NOT NULL,
    disabled boolean NOT NULL,
    revision bigint DEFAULT 1 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT publishable_keys_origins_check CHECK ((cardinality(origins) > 0))
);

ALTER TABLE ONLY auth.publishable_keys FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.recovery_codes (
    user_id uuid NOT NULL,
    code_hash bytea NOT NULL
);

ALTER TABLE ONLY auth.recovery_codes FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.refresh_tokens (
    organization_id uuid NOT NULL,
    token_hash bytea NOT NULL,
    session_id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone
);

ALTER TABLE ONLY auth.refresh_tokens FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.revocations (
    id uuid NOT NULL,
    session_id uuid,
    user_id uuid,
    member_of uuid,
    created_at timestamp with time zone NOT NULL,
    client_id uuid,
    CONSTRAINT revocations_subject CHECK (((num_nonnulls(session_id, user_id, client_id) <= 1) AND (num_nonnulls(session_id, user_id, client_id, member_of) > 0) AND ((member_of IS NULL) OR (num_nonnulls(session_id, client_id) = 0))))
);

CREATE TABLE auth.roles (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    display_name text NOT NULL,
    description text NOT NULL,
    permissions text[] NOT NULL,
    revision bigint DEFAULT 1 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT roles_permissions_check CHECK ((cardinality(permissions) > 0))
);

ALTER TABLE ONLY auth.roles FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.schema_migrations (
    version bigint NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE auth.sessions (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    user_agent text NOT NULL,
    ip_address text NOT NULL,
    auth_time timestamp with time zone NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    methods text[] DEFAULT ARRAY['pwd'::text] NOT NULL,
    client_id uuid,
    scopes text[] DEFAULT '{}'::text[] NOT NULL,
    opened_from uuid
);

ALTER TABLE ONLY auth.sessions FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.signing_keys (
    id uuid NOT NULL,
    kid text NOT NULL,
    public_key bytea NOT NULL,
    sealed_private bytea NOT NULL,
    signs_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone NOT NULL
);

CREATE TABLE auth.suspended_memberships (
    organization_id uuid NOT NULL,
    user_id uuid NOT NULL,
    roles text[] NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL
);

ALTER TABLE ONLY auth.suspended_memberships FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.totp_factors (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    sealed bytea NOT NULL,
    last_step bigint DEFAULT 0 NOT NULL,
    confirmed_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL
);

ALTER TABLE ONLY auth.totp_factors FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.users (
    id uuid NOT NULL,
    email text NOT NULL,
    email_normalized text,
    email_verified boolean DEFAULT false NOT NULL,
    display_name text NOT NULL,
    locale text DEFAULT 'en'::text NOT NULL,
    password_hash text NOT NULL,
    operator boolean DEFAULT false NOT NULL,
    disabled boolean DEFAULT false NOT NULL,
    revision bigint DEFAULT 1 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    deleted_at timestamp with time zone,
    kind text DEFAULT 'person'::text NOT NULL,
    CONSTRAINT users_kind_check CHECK ((kind = ANY (ARRAY['person'::text, 'service'::text]))),
    CONSTRAINT users_person CHECK (((kind <> 'person'::text) OR (email_normalized IS NOT NULL))),
    CONSTRAINT users_service CHECK (((kind <> 'service'::text) OR ((email_normalized IS NULL) AND (password_hash = ''::text) AND (NOT operator))))
);

ALTER TABLE ONLY auth.users FORCE ROW LEVEL SECURITY;

ALTER TABLE ONLY auth.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY auth.api_keys
    ADD CONSTRAINT api_keys_secret_hash_key UNIQUE (secret_hash);

ALTER TABLE ONLY auth.erasures
    ADD CONSTRAINT erasures_pkey PRIMARY KEY (id);

ALTER TABLE ONLY auth.factor_challenges
    ADD CONSTRAINT factor_challenges_pkey PRIMARY KEY (token_hash);

ALTER TABLE ONLY auth.factor_tries
    ADD CONSTRAINT factor_tries_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY auth.identities
    ADD CONSTRAINT identities_pkey PRIMARY KEY (id);

ALTER TABLE ONLY auth.identities
    ADD CONSTRAINT identities_subject UNIQUE (provider, issuer, subject);

ALTER TABLE ONLY auth.identity_providers
    ADD CONSTRAINT identity_providers_id_key UNIQUE (id);

ALTER TABLE ONLY auth.identity_providers
    ADD CONSTRAINT identity_providers_pkey PRIMARY KEY (organization_id, id);

ALTER TABLE ONLY auth.invitation_counts
    ADD CONSTRAINT invitation_counts_pkey PRIMARY KEY (organization_id, inviter_id, day);

ALTER TABLE ONLY auth.invitations
    ADD CONSTRAINT invitations_pkey PRIMARY KEY (organization_id, id);

ALTER TABLE ONLY auth.invitations
    ADD CONSTRAINT invitations_token_hash_key UNIQUE (token_hash);

ALTER TABLE ONLY auth.letter_counts
    ADD CONSTRAINT letter_counts_pkey PRIMARY KEY (recipient, kind);

ALTER TABLE ONLY auth.mail_sign_ins
    ADD CONSTRAINT mail_sign_ins_challenge_hash_key UNIQUE (challenge_hash);

ALTER TABLE ONLY auth.mail_sign_ins
    ADD CONSTRAINT mail_sign_ins_pkey PRIMARY KEY (address_normalized);

ALTER TABLE ONLY auth.mail_sign_ins
    ADD CONSTRAINT mail_sign_ins_token_hash_key UNIQUE (token_hash);

ALTER TABLE ONLY auth.mail_tokens
    ADD CONSTRAINT mail_tokens_pkey PRIMARY KEY (id);

ALTER TABLE ONLY auth.mail_tokens
    ADD CONSTRAINT mail_tokens_token_hash_key UNIQUE (token_hash);

ALTER TABLE ONLY auth.memberships
    ADD CONSTRAINT memberships_key PRIMARY KEY (organization_id, user_id);

ALTER TABLE ONLY auth.oauth_clients
    ADD CONSTRAINT oauth_clients_id UNIQUE (id);

ALTER TABLE ONLY auth.oauth_clients
    ADD CONSTRAINT oauth_clients_pkey PRIMARY KEY (organization_id, id);

ALTER TABLE ONLY auth.oauth_codes
    ADD CONSTRAINT oauth_codes_pkey PRIMARY KEY (code_hash);

ALTER TABLE ONLY auth.oauth_consents
    ADD CONSTRAINT oauth_consents_pkey PRIMARY KEY (ticket_hash);

ALTER TABLE ONLY auth.oauth_grants
    ADD CONSTRAINT oauth_grants_one UNIQUE (organization_id, user_id, client_id);

ALTER TABLE ONLY auth.oauth_grants
    ADD CONSTRAINT oauth_grants_pkey PRIMARY KEY (organization_id, id);

ALTER TABLE ONLY auth.oauth_logins
    ADD CONSTRAINT oauth_logins_pkey PRIMARY KEY (token_hash);

ALTER TABLE ONLY auth.organizations
    ADD CONSTRAINT organizations_pkey PRIMARY KEY (id);

ALTER TABLE ONLY auth.passkey_ceremonies
    ADD CONSTRAINT passkey_ceremonies_pkey PRIMARY KEY (token_hash);

ALTER TABLE ONLY auth.passkeys
    ADD CONSTRAINT passkeys_credential UNIQUE (credential_id);

ALTER TABLE ONLY auth.passkeys
    ADD CONSTRAINT passkeys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY auth.provider_attempts
    ADD CONSTRAINT provider_attempts_pkey PRIMARY KEY (state_hash);

ALTER TABLE ONLY auth.publishable_keys
    ADD CONSTRAINT publishable_keys_key_key UNIQUE (key);

ALTER TABLE ONLY auth.publishable_keys
    ADD CONSTRAINT publishable_keys_pkey PRIMARY KEY (organization_id, id);

ALTER TABLE ONLY auth.recovery_codes
    ADD CONSTRAINT recovery_codes_pkey PRIMARY KEY (user_id, code_hash);

ALTER TABLE ONLY auth.refresh_tokens
    ADD CONSTRAINT refresh_tokens_pkey PRIMARY KEY (token_hash);

ALTER TABLE ONLY auth.revocations
    ADD CONSTRAINT revocations_pkey PRIMARY KEY (id);

ALTER TABLE ONLY auth.roles
    ADD CONSTRAINT roles_pkey PRIMARY KEY (organization_id, id);

ALTER TABLE ONLY auth.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);

ALTER TABLE ONLY auth.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (organization_id, id);

ALTER TABLE ONLY auth.signing_keys
    ADD CONSTRAINT signing_keys_kid_key UNIQUE (kid);

ALTER TABLE ONLY auth.signing_keys
    ADD CONSTRAINT signing_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY auth.suspended_memberships
    ADD CONSTRAINT suspended_memberships_pkey PRIMARY KEY (organization_id, user_id);

ALTER TABLE ONLY auth.totp_factors
    ADD CONSTRAINT totp_factors_pkey PRIMARY KEY (id);

ALTER TABLE ONLY auth.totp_factors
    ADD CONSTRAINT totp_factors_user_id_key UNIQUE (user_id);

ALTER TABLE ONLY auth.users
    ADD CONSTRAINT users_email_unique UNIQUE (email_normalized);

ALTER TABLE ONLY auth.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);

CREATE INDEX api_keys_expires_idx ON auth.api_keys USING btree (expires_at) WHERE (expires_at IS NOT NULL);

CREATE INDEX api_keys_organization ON auth.api_keys USING btree (organization_id);

CREATE INDEX api_keys_user ON auth.api_keys USING btree (user_id, created_at DESC, id DESC);

CREATE INDEX erasures_created ON auth.erasures USING btree (created_at, id);

CREATE INDEX factor_challenges_expires_idx ON auth.factor_challenges USING btree (expires_at);

CREATE INDEX factor_challenges_user_idx ON auth.factor_challenges USING btree (user_id);

CREATE INDEX factor_tries_begins_idx ON auth.factor_tries USING btree (begins_at);

CREATE INDEX identities_user_idx ON auth.identities USING btree (user_id, created_at, id);

CREATE INDEX identity_providers_created ON auth.identity_providers USING btree (organization_id, created_at, id);

CREATE INDEX invitation_counts_expires_idx ON auth.invitation_counts USING btree (expires_at);

CREATE INDEX invitation_counts_inviter_idx ON auth.invitation_counts USING btree (inviter_id, day);

CREATE INDEX invitations_created ON auth.invitations USING btree (organization_id, created_at DESC, id DESC);

CREATE INDEX invitations_expires_idx ON auth.invitations USING btree (expires_at);

CREATE UNIQUE INDEX invitations_pending ON auth.invitations USING btree (organization_id, email_normalized) WHERE (accepted_at IS NULL);

CREATE INDEX letter_counts_begins_idx ON auth.letter_counts USING btree (begins_at);

CREATE INDEX mail_sign_ins_expires_idx ON auth.mail_sign_ins USING btree (expires_at);

CREATE INDEX mail_sign_ins_user_idx ON auth.mail_sign_ins USING btree (user_id);

CREATE INDEX mail_tokens_address_idx ON auth.mail_tokens USING btree (address_normalized, purpose);

CREATE INDEX mail_tokens_expires_idx ON auth.mail_tokens USING btree (expires_at);

CREATE INDEX mail_tokens_user_idx ON auth.mail_tokens USING btree (user_id);

CREATE INDEX memberships_joined_idx ON auth.memberships USING btree (organization_id, created_at, user_id);

CREATE INDEX memberships_user_idx ON auth.memberships USING btree (user_id, created_at, organization_id);

CREATE INDEX oauth_codes_client_idx ON auth.oauth_codes USING btree (client_id);

CREATE INDEX oauth_codes_expires_idx ON auth.oauth_codes USING btree (expires_at);

CREATE INDEX oauth_consents_client_idx ON auth.oauth_consents USING btree (client_id);

CREATE INDEX oauth_consents_expires_idx ON auth.oauth_consents USING btree (expires_at);

CREATE INDEX oauth_grants_client_idx ON auth.oauth_grants USING btree (client_id);

CREATE INDEX oauth_grants_user_idx ON auth.oauth_grants USING btree (user_id, created_at, id);

CREATE INDEX oauth_logins_session_idx ON auth.oauth_logins USING btree (organization_id, session_id);

CREATE INDEX organizations_purge_idx ON auth.organizations USING btree (purge_at) WHERE (purge_at IS NOT NULL);

CREATE INDEX passkey_ceremonies_expires_idx ON auth.passkey_ceremonies USING btree (expires_at);

CREATE INDEX passkeys_user_idx ON auth.passkeys USING btree (user_id, created_at, id);

CREATE INDEX provider_attempts_expires_idx ON auth.provider_attempts USING btree (expires_at);

CREATE INDEX provider_attempts_user_idx ON auth.provider_attempts USING btree (user_id);

CREATE INDEX publishable_keys_created ON auth.publishable_keys USING btree (organization_id, created_at, id);

CREATE INDEX refresh_tokens_newest_idx ON auth.refresh_tokens USING btree (organization_id, session_id, created_at);

CREATE INDEX revocations_created ON auth.revocations USING btree (created_at, id);

CREATE INDEX roles_created ON auth.roles USING btree (organization_id, created_at, id);

CREATE UNIQUE INDEX roles_name ON auth.roles USING btree (organization_id, lower(display_name));

CREATE INDEX sessions_client_idx ON auth.sessions USING btree (client_id) WHERE (client_id IS NOT NULL);

CREATE INDEX sessions_expires_idx ON auth.sessions USING btree (expires_at);

CREATE INDEX sessions_opened_from_idx ON auth.sessions USING btree (opened_from) WHERE (opened_from IS NOT NULL);

CREATE INDEX sessions_own_idx ON auth.sessions USING btree (user_id, created_at, id);

CREATE INDEX sessions_shown_idx ON auth.sessions USING btree (user_id, created_at, id) WHERE ((client_id IS NULL) AND (revoked_at IS NULL));

CREATE INDEX sessions_sign_ins_idx ON auth.sessions USING btree (user_id, created_at, id) WHERE (client_id IS NULL);

CREATE INDEX sessions_user_idx ON auth.sessions USING btree (organization_id, user_id);

CREATE INDEX suspended_memberships_user_idx ON auth.suspended_memberships USING btree (user_id);

CREATE INDEX users_created_idx ON auth.users USING btree (created_at, id) WHERE (kind = 'person'::text);

ALTER TABLE ONLY auth.api_keys
    ADD CONSTRAINT api_keys_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.factor_challenges
    ADD CONSTRAINT factor_challenges_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.factor_tries
    ADD CONSTRAINT factor_tries_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.identities
    ADD CONSTRAINT identities_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.identity_providers
    ADD CONSTRAINT identity_providers_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES auth.organizations(id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.invitation_counts
    ADD CONSTRAINT invitation_counts_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES auth.organizations(id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.invitations
    ADD CONSTRAINT invitations_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES auth.organizations(id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.mail_sign_ins
    ADD CONSTRAINT mail_sign_ins_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.mail_tokens
    ADD CONSTRAINT mail_tokens_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.memberships
    ADD CONSTRAINT memberships_organization FOREIGN KEY (organization_id) REFERENCES auth.organizations(id);

ALTER TABLE ONLY auth.memberships
    ADD CONSTRAINT memberships_user FOREIGN KEY (user_id) REFERENCES auth.users(id);

ALTER TABLE ONLY auth.oauth_clients
    ADD CONSTRAINT oauth_clients_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES auth.organizations(id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.oauth_codes
    ADD CONSTRAINT oauth_codes_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.oauth_grants
    ADD CONSTRAINT oauth_grants_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES auth.organizations(id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.oauth_grants
    ADD CONSTRAINT oauth_grants_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.oauth_logins
    ADD CONSTRAINT oauth_logins_organization_id_session_id_fkey FOREIGN KEY (organization_id, session_id) REFERENCES auth.sessions(organization_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.passkeys
    ADD CONSTRAINT passkeys_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.provider_attempts
    ADD CONSTRAINT provider_attempts_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.publishable_keys
    ADD CONSTRAINT publishable_keys_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES auth.organizations(id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.recovery_codes
    ADD CONSTRAINT recovery_codes_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.refresh_tokens
    ADD CONSTRAINT refresh_tokens_organization_id_session_id_fkey FOREIGN KEY (organization_id, session_id) REFERENCES auth.sessions(organization_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.roles
    ADD CONSTRAINT roles_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES auth.organizations(id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.sessions
    ADD CONSTRAINT sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id);

ALTER TABLE ONLY auth.suspended_memberships
    ADD CONSTRAINT suspended_memberships_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES auth.organizations(id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.suspended_memberships
    ADD CONSTRAINT suspended_memberships_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id);

ALTER TABLE ONLY auth.totp_factors
    ADD CONSTRAINT totp_factors_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE;

CREATE POLICY across ON auth.users FOR SELECT USING (( SELECT auth.acts_as_operator() AS acts_as_operator));

CREATE POLICY after_deletion ON auth.organizations FOR SELECT USING ((EXISTS ( SELECT
   FROM auth.suspended_memberships m
  WHERE ((m.organization_id = organizations.id) AND (m.user_id = gatehouse.user_id())))));

ALTER TABLE auth.api_keys ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.erasures ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.factor_challenges ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.factor_tries ENABLE ROW LEVEL SECURITY;

CREATE POLICY feed ON auth.erasures FOR SELECT USING (((gatehouse.organization_id() IS NULL) AND (gatehouse.user_id() IS NULL)));

CREATE POLICY fellow ON auth.users FOR SELECT USING ((EXISTS ( SELECT
   FROM auth.memberships m
  WHERE ((m.organization_id = gatehouse.organization_id()) AND (m.user_id = users.id)))));

ALTER TABLE auth.identities ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.identity_providers ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.invitation_counts ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.invitations ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.mail_sign_ins ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.mail_tokens ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.memberships ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.oauth_clients ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.oauth_codes ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.oauth_consents ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.oauth_grants ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.oauth_logins ENABLE ROW LEVEL SECURITY;

CREATE POLICY organization ON auth.identity_providers USING ((organization_id = gatehouse.organization_id())) WITH CHECK ((organization_id = gatehouse.organization_id()));

CREATE POLICY organization ON auth.invitation_counts USING ((organization_id = gatehouse.organization_id())) WITH CHECK ((organization_id = gatehouse.organization_id()));

CREATE POLICY organization ON auth.invitations USING ((organization_id = gatehouse.organization_id())) WITH CHECK ((organization_id = gatehouse.organization_id()));

CREATE POLICY organization ON auth.memberships USING ((organization_id = gatehouse.organization_id())) WITH CHECK ((organization_id = gatehouse.organization_id()));

CREATE POLICY organization ON auth.oauth_clients USING ((organization_id = gatehouse.organization_id())) WITH CHECK ((organization_id = gatehouse.organization_id()));

CREATE POLICY organization ON auth.oauth_codes USING ((organization_id = gatehouse.organization_id())) WITH CHECK ((organization_id = gatehouse.organization_id()));

CREATE POLICY organization ON auth.oauth_consents USING ((organization_id = gatehouse.organization_id())) WITH CHECK ((organization_id = gatehouse.organization_id()));

CREATE POLICY organization ON auth.oauth_grants USING ((organization_id = gatehouse.organization_id())) WITH CHECK ((organization_id = gatehouse.organization_id()));

CREATE POLICY organization ON auth.oauth_logins USING ((organization_id = gatehouse.organization_id())) WITH CHECK ((organization_id = gatehouse.organization_id()));

CREATE POLICY organization ON auth.organizations USING ((id = gatehouse.organization_id())) WITH CHECK ((id = gatehouse.organization_id()));

CREATE POLICY organization ON auth.publishable_keys USING ((organization_id = gatehouse.organization_id())) WITH CHECK ((organization_id = gatehouse.organization_id()));

CREATE POLICY organization ON auth.refresh_tokens USING ((organization_id = gatehouse.organization_id())) WITH CHECK ((organization_id = gatehouse.organization_id()));

CREATE POLICY organization ON auth.roles USING ((organization_id = gatehouse.organization_id())) WITH CHECK ((organization_id = gatehouse.organization_id()));

CREATE POLICY organization ON auth.sessions USING ((organization_id = gatehouse.organization_id())) WITH CHECK ((organization_id = gatehouse.organization_id()));

CREATE POLICY organization ON auth.suspended_memberships USING ((organization_id = gatehouse.organization_id())) WITH CHECK ((organization_id = gatehouse.organization_id()));

ALTER TABLE auth.organizations ENABLE ROW LEVEL SECURITY;

CREATE POLICY own ON auth.api_keys USING ((user_id = gatehouse.user_id())) WITH CHECK ((user_id = gatehouse.user_id()));

CREATE POLICY own ON auth.erasures FOR INSERT WITH CHECK ((of_user = gatehouse.user_id()));

CREATE POLICY own ON auth.factor_challenges USING ((user_id = gatehouse.user_id())) WITH CHECK ((user_id = gatehouse.user_id()));

CREATE POLICY own ON auth.factor_tries USING ((user_id = gatehouse.user_id())) WITH CHECK ((user_id = gatehouse.user_id()));

CREATE POLICY own ON auth.identities USING ((user_id = gatehouse.user_id())) WITH CHECK ((user_id = gatehouse.user_id()));

CREATE POLICY own ON auth.invitation_counts FOR SELECT USING ((inviter_id = gatehouse.user_id()));

CREATE POLICY own ON auth.mail_sign_ins USING ((user_id = gatehouse.user_id())) WITH CHECK ((user_id = gatehouse.user_id()));

CREATE POLICY own ON auth.mail_tokens USING ((user_id = gatehouse.user_id())) WITH CHECK ((user_id = gatehouse.user_id()));

CREATE POLICY own ON auth.memberships FOR SELECT USING ((user_id = gatehouse.user_id()));

CREATE POLICY own ON auth.oauth_codes FOR SELECT USING ((user_id = gatehouse.user_id()));

CREATE POLICY own ON auth.oauth_grants FOR SELECT USING ((user_id = gatehouse.user_id()));

CREATE POLICY own ON auth.organizations FOR SELECT USING ((EXISTS ( SELECT
   FROM auth.memberships m
  WHERE ((m.organization_id = organizations.id) AND (m.user_id = gatehouse.user_id())))));

CREATE POLICY own ON auth.passkeys USING ((user_id = gatehouse.user_id())) WITH CHECK ((user_id = gatehouse.user_id()));

CREATE POLICY own ON auth.provider_attempts USING ((user_id = gatehouse.user_id())) WITH CHECK ((user_id = gatehouse.user_id()));

CREATE POLICY own ON auth.recovery_codes USING ((user_id = gatehouse.user_id())) WITH CHECK ((user_id = gatehouse.user_id()));

CREATE POLICY own ON auth.refresh_tokens FOR SELECT USING ((EXISTS ( SELECT
   FROM auth.sessions s
  WHERE ((s.organization_id = refresh_tokens.organization_id) AND (s.id = refresh_tokens.session_id) AND (s.user_id = gatehouse.user_id())))));

CREATE POLICY own ON auth.sessions FOR SELECT USING ((user_id = gatehouse.user_id()));

CREATE POLICY own ON auth.suspended_memberships FOR SELECT USING ((user_id = gatehouse.user_id()));

CREATE POLICY own ON auth.totp_factors USING ((user_id = gatehouse.user_id())) WITH CHECK ((user_id = gatehouse.user_id()));

CREATE POLICY own_delete ON auth.oauth_codes FOR DELETE USING ((user_id = gatehouse.user_id()));

CREATE POLICY own_delete ON auth.sessions FOR DELETE USING ((user_id = gatehouse.user_id()));

CREATE POLICY own_end ON auth.oauth_grants FOR DELETE USING ((user_id = gatehouse.user_id()));

CREATE POLICY own_end ON auth.sessions FOR UPDATE USING ((user_id = gatehouse.user_id())) WITH CHECK ((user_id = gatehouse.user_id()));

ALTER TABLE auth.passkeys ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.provider_attempts ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.publishable_keys ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.recovery_codes ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.refresh_tokens ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.roles ENABLE ROW LEVEL SECURITY;

CREATE POLICY self ON auth.users USING ((id = gatehouse.user_id())) WITH CHECK ((id = gatehouse.user_id()));

ALTER TABLE auth.sessions ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.suspended_memberships ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.totp_factors ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.users ENABLE ROW LEVEL SECURITY;

GRANT USAGE ON SCHEMA auth TO gatehouse_auth;
GRANT ALL ON SCHEMA auth TO gatehouse_definer;

REVOKE ALL ON FUNCTION auth.accept_invitation(presented bytea, address text, at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.accept_invitation(presented bytea, address text, at timestamp with time zone) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.acts_as_operator() FROM PUBLIC;
GRANT ALL ON FUNCTION auth.acts_as_operator() TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.anonymize_own_invitations() FROM PUBLIC;
GRANT ALL ON FUNCTION auth.anonymize_own_invitations() TO gatehouse_auth;

GRANT ALL ON FUNCTION auth.custom_permissions(of_organization uuid, held text[]) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.delete_expired_api_keys(at timestamp with time zone, most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.delete_expired_api_keys(at timestamp with time zone, most integer) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.delete_expired_factor_challenges(at timestamp with time zone, most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.delete_expired_factor_challenges(at timestamp with time zone, most integer) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.delete_expired_factor_tries(at timestamp with time zone, most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.delete_expired_factor_tries(at timestamp with time zone, most integer) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.delete_expired_invitation_counts(at timestamp with time zone, most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.delete_expired_invitation_counts(at timestamp with time zone, most integer) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.delete_expired_invitations(at timestamp with time zone, most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.delete_expired_invitations(at timestamp with time zone, most integer) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.delete_expired_mail_sign_ins(at timestamp with time zone, most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.delete_expired_mail_sign_ins(at timestamp with time zone, most integer) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.delete_expired_mail_tokens(at timestamp with time zone, most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.delete_expired_mail_tokens(at timestamp with time zone, most integer) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.delete_expired_oauth(at timestamp with time zone, most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.delete_expired_oauth(at timestamp with time zone, most integer) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.delete_expired_provider_attempts(at timestamp with time zone, most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.delete_expired_provider_attempts(at timestamp with time zone, most integer) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.delete_expired_sessions(at timestamp with time zone, most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.delete_expired_sessions(at timestamp with time zone, most integer) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.directory_users(ids uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.directory_users(ids uuid[]) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.end_oauth_client(client uuid, at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.end_oauth_client(client uuid, at timestamp with time zone) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.end_oauth_login(presented bytea, at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.end_oauth_login(presented bytea, at timestamp with time zone) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.end_session(presented bytea, client uuid, at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.end_session(presented bytea, client uuid, at timestamp with time zone) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.factor_challenge_user(presented bytea, at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.factor_challenge_user(presented bytea, at timestamp with time zone) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.forget_identities(of_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.forget_identities(of_id uuid) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.forget_mail_tokens(of_address text, of_user uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.forget_mail_tokens(of_address text, of_user uuid) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.hold_oauth_client(of_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.hold_oauth_client(of_id uuid) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.identity_provider(of_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.identity_provider(of_id uuid) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.identity_user(of_provider text, of_issuer text, of_subject text) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.identity_user(of_provider text, of_issuer text, of_subject text) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.invitation_waits(presented bytea, address text, at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.invitation_waits(presented bytea, address text, at timestamp with time zone) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.keep_mail_sign_in(address text, challenge bytea, token bytea, code bytea, of_user uuid, at timestamp with time zone, until timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.keep_mail_sign_in(address text, challenge bytea, token bytea, code bytea, of_user uuid, at timestamp with time zone, until timestamp with time zone) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.keep_mail_token(id uuid, purpose text, token_hash bytea, address text, address_normalized text, user_id uuid, password_hash text, display_name text, at timestamp with time zone, until timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.keep_mail_token(id uuid, purpose text, token_hash bytea, address text, address_normalized text, user_id uuid, password_hash text, display_name text, at timestamp with time zone, until timestamp with time zone) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.keep_provider_attempt(state_hash bytea, secret_hash bytea, provider text, redirect_uri text, user_id uuid, session_id uuid, until timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.keep_provider_attempt(state_hash bytea, secret_hash bytea, provider text, redirect_uri text, user_id uuid, session_id uuid, until timestamp with time zone) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.mail_token_address(presented bytea, purposes text[], at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.mail_token_address(presented bytea, purposes text[], at timestamp with time zone) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.oauth_client(of_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.oauth_client(of_id uuid) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.oauth_client_names(ids uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.oauth_client_names(ids uuid[]) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.oauth_login(presented bytea, at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.oauth_login(presented bytea, at timestamp with time zone) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.oauth_refresh_token(presented bytea, client uuid, at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.oauth_refresh_token(presented bytea, client uuid, at timestamp with time zone) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.operator_exists() FROM PUBLIC;
GRANT ALL ON FUNCTION auth.operator_exists() TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.organization_active(of_organization uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.organization_active(of_organization uuid) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.purge_organization(at timestamp with time zone, most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.purge_organization(at timestamp with time zone, most integer) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.resolve_api_key(presented bytea, at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.resolve_api_key(presented bytea, at timestamp with time zone) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.resolve_publishable_key(shown text, of_origin text) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.resolve_publishable_key(shown text, of_origin text) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.revoke_reused(presented bytea, client uuid, at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.revoke_reused(presented bytea, client uuid, at timestamp with time zone) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.revoke_reused_oauth_code(presented bytea, client uuid, at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.revoke_reused_oauth_code(presented bytea, client uuid, at timestamp with time zone) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.rotate_refresh_token(presented bytea, successor bytea, client uuid, at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.rotate_refresh_token(presented bytea, successor bytea, client uuid, at timestamp with time zone) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.sign_in_account(address text) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.sign_in_account(address text) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.take_mail_link(presented bytea, at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.take_mail_link(presented bytea, at timestamp with time zone) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.take_mail_token(presented bytea, purposes text[], at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.take_mail_token(presented bytea, purposes text[], at timestamp with time zone) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.take_oauth_code(presented bytea, client uuid, session uuid, at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.take_oauth_code(presented bytea, client uuid, session uuid, at timestamp with time zone) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.take_oauth_consent(presented bytea, login bytea, at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.take_oauth_consent(presented bytea, login bytea, at timestamp with time zone) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.take_provider_attempt(state bytea, secret bytea, of_provider text, links boolean, at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.take_provider_attempt(state bytea, secret bytea, of_provider text, links boolean, at timestamp with time zone) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.try_factor_challenge(presented bytea, at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.try_factor_challenge(presented bytea, at timestamp with time zone) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.try_mail_code(challenge bytea, code bytea, at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.try_mail_code(challenge bytea, code bytea, at timestamp with time zone) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.waiting_invitation(presented bytea, address text, at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.waiting_invitation(presented bytea, address text, at timestamp with time zone) TO gatehouse_auth;

REVOKE ALL ON FUNCTION auth.waiting_sign_up(of_address text, at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.waiting_sign_up(of_address text, at timestamp with time zone) TO gatehouse_auth;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.api_keys TO gatehouse_auth;
GRANT SELECT,DELETE,UPDATE ON TABLE auth.api_keys TO gatehouse_definer;

GRANT SELECT,INSERT ON TABLE auth.erasures TO gatehouse_auth;
GRANT INSERT ON TABLE auth.erasures TO gatehouse_definer;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.factor_challenges TO gatehouse_auth;
GRANT SELECT,DELETE,UPDATE ON TABLE auth.factor_challenges TO gatehouse_definer;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.factor_tries TO gatehouse_auth;
GRANT SELECT,DELETE,UPDATE ON TABLE auth.factor_tries TO gatehouse_definer;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.identities TO gatehouse_auth;
GRANT SELECT,DELETE ON TABLE auth.identities TO gatehouse_definer;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.identity_providers TO gatehouse_auth;
GRANT SELECT ON TABLE auth.identity_providers TO gatehouse_definer;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.invitation_counts TO gatehouse_auth;
GRANT SELECT,DELETE,UPDATE ON TABLE auth.invitation_counts TO gatehouse_definer;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.invitations TO gatehouse_auth;
GRANT SELECT,DELETE,UPDATE ON TABLE auth.invitations TO gatehouse_definer;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.letter_counts TO gatehouse_auth;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.mail_sign_ins TO gatehouse_auth;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.mail_sign_ins TO gatehouse_definer;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.mail_tokens TO gatehouse_auth;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.mail_tokens TO gatehouse_definer;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.memberships TO gatehouse_auth;
GRANT SELECT ON TABLE auth.memberships TO gatehouse_definer;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.oauth_clients TO gatehouse_auth;
GRANT SELECT ON TABLE auth.oauth_clients TO gatehouse_definer;

GRANT UPDATE(id) ON TABLE auth.oauth_clients TO gatehouse_definer;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.oauth_codes TO gatehouse_auth;
GRANT SELECT,DELETE,UPDATE ON TABLE auth.oauth_codes TO gatehouse_definer;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.oauth_consents TO gatehouse_auth;
GRANT SELECT,DELETE,UPDATE ON TABLE auth.oauth_consents TO gatehouse_definer;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.oauth_grants TO gatehouse_auth;
GRANT SELECT,DELETE ON TABLE auth.oauth_grants TO gatehouse_definer;

GRANT UPDATE(id) ON TABLE auth.oauth_grants TO gatehouse_definer;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.oauth_logins TO gatehouse_auth;
GRANT SELECT,DELETE ON TABLE auth.oauth_logins TO gatehouse_definer;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.organizations TO gatehouse_auth;
GRANT SELECT,DELETE,UPDATE ON TABLE auth.organizations TO gatehouse_definer;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.passkey_ceremonies TO gatehouse_auth;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.passkeys TO gatehouse_auth;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.provider_attempts TO gatehouse_auth;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.provider_attempts TO gatehouse_definer;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.publishable_keys TO gatehouse_auth;
GRANT SELECT ON TABLE auth.publishable_keys TO gatehouse_definer;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.recovery_codes TO gatehouse_auth;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.refresh_tokens TO gatehouse_auth;
GRANT SELECT,INSERT,UPDATE ON TABLE auth.refresh_tokens TO gatehouse_definer;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.revocations TO gatehouse_auth;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.roles TO gatehouse_auth;
GRANT SELECT ON TABLE auth.roles TO gatehouse_definer;

GRANT SELECT ON TABLE auth.schema_migrations TO gatehouse_auth;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.sessions TO gatehouse_auth;
GRANT SELECT,DELETE,UPDATE ON TABLE auth.sessions TO gatehouse_definer;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.signing_keys TO gatehouse_auth;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.suspended_memberships TO gatehouse_auth;
GRANT SELECT ON TABLE auth.suspended_memberships TO gatehouse_definer;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.totp_factors TO gatehouse_auth;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.users TO gatehouse_auth;
GRANT SELECT,DELETE,UPDATE ON TABLE auth.users TO gatehouse_definer;

GRANT UPDATE(id) ON TABLE auth.users TO gatehouse_definer;

ALTER DEFAULT PRIVILEGES FOR ROLE gatehouse_admin IN SCHEMA auth GRANT USAGE ON SEQUENCES  TO gatehouse_auth;

ALTER DEFAULT PRIVILEGES FOR ROLE gatehouse_admin IN SCHEMA auth GRANT ALL ON FUNCTIONS  TO gatehouse_auth;

ALTER DEFAULT PRIVILEGES FOR ROLE gatehouse_admin IN SCHEMA auth GRANT SELECT,INSERT,DELETE,UPDATE ON TABLES  TO gatehouse_auth;
