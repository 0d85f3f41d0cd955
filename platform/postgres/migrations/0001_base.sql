-- What every service leans on: the extensions, the scope that row level
-- security compares with, and the audit trail.

CREATE EXTENSION IF NOT EXISTS vector SCHEMA extensions;
CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA extensions;

-- The organization and the user of the current transaction, or NULL, which no
-- row equals. Once a setting was made locally in a session it reads '' rather
-- than NULL afterwards, and '' is no uuid. Postgres inlines these functions, so
-- a policy that calls one can use an index.
CREATE FUNCTION gatehouse.organization_id() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT nullif(current_setting('app.organization_id', true), '')::uuid $$;

CREATE FUNCTION gatehouse.user_id() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT nullif(current_setting('app.user_id', true), '')::uuid $$;

-- Who did what to which resource, from where, and what changed. Services may
-- only insert, and only for the organization that they act for.
CREATE TABLE audit.events (
    organization_id uuid        NOT NULL,
    id              uuid        NOT NULL,
    time            timestamptz NOT NULL DEFAULT now(),
    actor_type      text        NOT NULL,
    actor_id        text        NOT NULL,
    action          text        NOT NULL,
    resource_type   text        NOT NULL,
    resource_id     text        NOT NULL,
    ip_address      inet,
    request_id      text        NOT NULL DEFAULT '',
    changes         jsonb       NOT NULL DEFAULT '{}',
    PRIMARY KEY (organization_id, id)
);

CREATE INDEX events_time ON audit.events (organization_id, time DESC, id DESC);
CREATE INDEX events_resource ON audit.events (organization_id, resource_type, resource_id, time DESC);

ALTER TABLE audit.events ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit.events FORCE ROW LEVEL SECURITY;

CREATE POLICY organization ON audit.events
    USING (organization_id = gatehouse.organization_id())
    WITH CHECK (organization_id = gatehouse.organization_id());
