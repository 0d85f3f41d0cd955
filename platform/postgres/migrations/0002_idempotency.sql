-- Answers to requests that carried an Idempotency-Key, so that the same request
-- sent again is answered alike and not carried out again. A row is written in
-- the transaction of what the request did.
CREATE TABLE gatehouse.idempotency_keys (
    organization_id uuid        NOT NULL,
    user_id         uuid        NOT NULL,
    method          text        NOT NULL,
    key             text        NOT NULL,
    request_hash    bytea       NOT NULL,
    answer          bytea       NOT NULL DEFAULT '',
    created_at      timestamptz NOT NULL,
    PRIMARY KEY (organization_id, user_id, method, key)
);

CREATE INDEX idempotency_keys_created ON gatehouse.idempotency_keys (created_at);

ALTER TABLE gatehouse.idempotency_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE gatehouse.idempotency_keys FORCE ROW LEVEL SECURITY;

CREATE POLICY principal ON gatehouse.idempotency_keys
    USING (organization_id = gatehouse.organization_id() AND user_id = gatehouse.user_id())
    WITH CHECK (organization_id = gatehouse.organization_id() AND user_id = gatehouse.user_id());

-- Removes rows of every organization; who may call it learns how many, no more.
CREATE FUNCTION gatehouse.delete_idempotency_keys(before timestamptz, most integer) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = gatehouse, pg_temp
    AS $$
    WITH gone AS (
        DELETE FROM gatehouse.idempotency_keys WHERE ctid IN (
            SELECT ctid FROM gatehouse.idempotency_keys WHERE created_at < before
            ORDER BY created_at LIMIT most FOR UPDATE SKIP LOCKED)
        RETURNING 1)
    SELECT count(*) FROM gone $$;

REVOKE EXECUTE ON FUNCTION gatehouse.delete_idempotency_keys(timestamptz, integer) FROM PUBLIC;

GRANT CREATE, USAGE ON SCHEMA gatehouse TO gatehouse_definer;
GRANT SELECT, UPDATE, DELETE ON gatehouse.idempotency_keys TO gatehouse_definer;
ALTER FUNCTION gatehouse.delete_idempotency_keys(timestamptz, integer) OWNER TO gatehouse_definer;
REVOKE CREATE ON SCHEMA gatehouse FROM gatehouse_definer;
