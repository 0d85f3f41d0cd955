CREATE TABLE sample_items (
    organization_id uuid        NOT NULL,
    id              uuid        NOT NULL,
    display_name    text        NOT NULL,
    description     text        NOT NULL,
    revision        bigint      NOT NULL,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id)
);

CREATE INDEX sample_items_created ON sample_items (organization_id, created_at DESC, id DESC);

ALTER TABLE sample_items ENABLE ROW LEVEL SECURITY;
ALTER TABLE sample_items FORCE ROW LEVEL SECURITY;

CREATE POLICY organization ON sample_items
    USING (organization_id = gatehouse.organization_id())
    WITH CHECK (organization_id = gatehouse.organization_id());
