CREATE TABLE samples (
    organization_id uuid        NOT NULL,
    id              uuid        NOT NULL,
    display_name    text        NOT NULL,
    description     text        NOT NULL,
    revision        bigint      NOT NULL,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id)
);

CREATE INDEX samples_created ON samples (organization_id, created_at DESC, id DESC);

ALTER TABLE samples ENABLE ROW LEVEL SECURITY;
ALTER TABLE samples FORCE ROW LEVEL SECURITY;

CREATE POLICY organization ON samples
    USING (organization_id = gatehouse.organization_id())
    WITH CHECK (organization_id = gatehouse.organization_id());
