-- Users by their ids, of whatever organization, for the services of the suite.
-- What they hold to sign in is not among it.
CREATE FUNCTION directory_users(ids uuid[])
    RETURNS TABLE (id uuid, display_name text, email text, email_verified boolean, locale text, disabled boolean, service boolean)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    SELECT u.id, u.display_name, u.email, u.email_verified, u.locale, u.disabled, u.kind = 'service' FROM users u WHERE u.id = ANY (ids)
$$;

REVOKE EXECUTE ON FUNCTION directory_users(uuid[]) FROM PUBLIC;
ALTER FUNCTION directory_users(uuid[]) OWNER TO gatehouse_definer;
