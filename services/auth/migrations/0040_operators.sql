-- Whether the user of the scope is an operator, by the database's own word.
CREATE FUNCTION acts_as_operator() RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$ SELECT EXISTS (SELECT FROM users WHERE id = gatehouse.user_id() AND operator AND NOT disabled) $$;

REVOKE EXECUTE ON FUNCTION acts_as_operator() FROM PUBLIC;
ALTER FUNCTION acts_as_operator() OWNER TO gatehouse_definer;

-- Operators see every user. Postgres asks policies in the reverse order of their
-- names, until one says yes: this one last, as a function is dear beside the others.
CREATE POLICY across ON users FOR SELECT USING ((SELECT acts_as_operator()));

CREATE INDEX users_created_idx ON users (created_at, id) WHERE kind = 'person';
