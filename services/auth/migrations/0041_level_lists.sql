-- A user's own sign-ins, newest or oldest first, past what clients have opened for it;
-- and those of them that go on, past what has ended. Each as the queries ask for it.
CREATE INDEX sessions_sign_ins_idx ON sessions (user_id, created_at, id) WHERE client_id IS NULL;
CREATE INDEX sessions_shown_idx ON sessions (user_id, created_at, id) WHERE client_id IS NULL AND revoked_at IS NULL;

-- When a session was last refreshed is the end of its part of the index.
CREATE INDEX refresh_tokens_newest_idx ON refresh_tokens (organization_id, session_id, created_at);
DROP INDEX refresh_tokens_session_idx;

CREATE INDEX memberships_joined_idx ON memberships (organization_id, created_at, user_id);

-- As it was, in a language that keeps its plan: reading a user may ask it.
CREATE OR REPLACE FUNCTION acts_as_operator() RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM users WHERE id = gatehouse.user_id() AND operator AND NOT disabled);
END
$$;
