-- How far auth's feed of erasures was followed.
CREATE TABLE erasures_followed (
    one         boolean     PRIMARY KEY DEFAULT true CHECK (one),
    followed_to timestamptz NOT NULL
);

-- It concerns the installation, and is read and moved on outside of any scope.
ALTER TABLE erasures_followed ENABLE ROW LEVEL SECURITY;
ALTER TABLE erasures_followed FORCE ROW LEVEL SECURITY;
CREATE POLICY installation ON erasures_followed
    USING (gatehouse.organization_id() IS NULL AND gatehouse.user_id() IS NULL)
    WITH CHECK (gatehouse.organization_id() IS NULL AND gatehouse.user_id() IS NULL);

CREATE INDEX conversations_user ON conversations (user_id);

-- Deletes some conversations, with all that belongs to them, of an organization or of
-- a user that is gone: nobody's own scope shows them all.
CREATE FUNCTION erase_conversations(of_organization uuid, of_user uuid, most integer) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = chat, pg_temp
AS $$
    WITH gone AS (
        SELECT organization_id, id FROM conversations
        WHERE organization_id = of_organization OR user_id = of_user
        LIMIT most FOR UPDATE SKIP LOCKED
    ), deleted AS (
        DELETE FROM conversations c USING gone g WHERE c.organization_id = g.organization_id AND c.id = g.id
        RETURNING c.id
    )
    SELECT count(*) FROM deleted
$$;

REVOKE EXECUTE ON FUNCTION erase_conversations(uuid, uuid, integer) FROM PUBLIC;
GRANT DELETE ON conversations TO gatehouse_definer;
ALTER FUNCTION erase_conversations(uuid, uuid, integer) OWNER TO gatehouse_definer;
