CREATE TABLE assistants (
    organization_id uuid             NOT NULL,
    id              uuid             NOT NULL,
    display_name    text             NOT NULL,
    description     text             NOT NULL DEFAULT '',
    instructions    text             NOT NULL DEFAULT '',
    model           text             NOT NULL DEFAULT '',
    temperature     double precision,
    collection_ids  uuid[]           NOT NULL DEFAULT '{}',
    tools           text[]           NOT NULL DEFAULT '{}',
    revision        bigint           NOT NULL DEFAULT 1,
    created_at      timestamptz      NOT NULL,
    updated_at      timestamptz      NOT NULL,
    deleted_at      timestamptz,
    PRIMARY KEY (organization_id, id)
);

CREATE INDEX assistants_created ON assistants (organization_id, created_at DESC, id DESC);

ALTER TABLE assistants ENABLE ROW LEVEL SECURITY;
ALTER TABLE assistants FORCE ROW LEVEL SECURITY;

CREATE POLICY organization ON assistants
    USING (organization_id = gatehouse.organization_id())
    WITH CHECK (organization_id = gatehouse.organization_id());
