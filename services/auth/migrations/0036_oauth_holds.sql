-- A client as oauth_client tells it, which nobody changes until the transaction ends:
-- for issuing what its registration allows.
CREATE FUNCTION hold_oauth_client(of_id uuid)
    RETURNS TABLE (organization_id uuid, organization_name text, display_name text, redirect_uris text[],
        post_logout_redirect_uris text[], grant_types text[], scopes text[], members_only boolean, secret_hash bytea)
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    SELECT FROM oauth_clients c WHERE c.id = of_id FOR SHARE;
    SELECT * FROM oauth_client(of_id)
$$;

-- As it was, and it stands on the consent and the client's registration too. What
-- would end any of it waits for the session that the code opens, and so finds it, or
-- came first and is seen by the second statement.
CREATE OR REPLACE FUNCTION take_oauth_code(presented bytea, client uuid, session uuid, at timestamptz)
    RETURNS TABLE (organization_id uuid, user_id uuid, redirect_uri text, scopes text[], nonce text, code_challenge text,
        auth_time timestamptz, methods text[])
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
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

REVOKE EXECUTE ON FUNCTION hold_oauth_client(uuid) FROM PUBLIC;
-- To lock rows takes the right to update a column of theirs.
GRANT UPDATE (id) ON oauth_clients, oauth_grants, users TO gatehouse_definer;
ALTER FUNCTION hold_oauth_client(uuid) OWNER TO gatehouse_definer;
