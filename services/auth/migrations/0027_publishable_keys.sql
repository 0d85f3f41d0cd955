-- Keys that stand in web pages. They are no secret, and kept so that they can be
-- shown again.
CREATE TABLE publishable_keys (
    organization_id uuid        NOT NULL REFERENCES organizations ON DELETE CASCADE,
    id              uuid        NOT NULL,
    key             text        NOT NULL UNIQUE,
    display_name    text        NOT NULL,
    origins         text[]      NOT NULL CHECK (cardinality(origins) > 0),
    disabled        boolean     NOT NULL,
    revision        bigint      NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id)
);

CREATE INDEX publishable_keys_created ON publishable_keys (organization_id, created_at, id);

ALTER TABLE publishable_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE publishable_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY organization ON publishable_keys
    USING (organization_id = gatehouse.organization_id()) WITH CHECK (organization_id = gatehouse.organization_id());

-- What a key stands for, and whether pages of an origin may show it: whoever shows
-- one says nothing else of itself.
CREATE FUNCTION resolve_publishable_key(shown text, of_origin text) RETURNS TABLE (id uuid, organization_id uuid, allowed boolean)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    SELECT k.id, k.organization_id, of_origin = ANY (k.origins) FROM publishable_keys k WHERE k.key = shown AND NOT k.disabled
$$;

REVOKE EXECUTE ON FUNCTION resolve_publishable_key(text, text) FROM PUBLIC;
GRANT SELECT ON publishable_keys TO gatehouse_definer;
ALTER FUNCTION resolve_publishable_key(text, text) OWNER TO gatehouse_definer;
