-- Found by the sweep alone, which looks for the few that do not rest.
CREATE INDEX documents_unfinished ON documents (updated_at) WHERE state IN ('PENDING', 'PROCESSING');

-- Fails documents of every organization that have waited too long to be indexed:
-- a document that takes the process down with every attempt loses its job, and
-- nobody would ever tell its owner. Should a job come to it after all, it is
-- indexed all the same.
CREATE FUNCTION fail_abandoned_documents(before timestamptz, at timestamptz, reason text, message text, most integer) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = chat, pg_temp
AS $$
    WITH abandoned AS (
        SELECT organization_id, id FROM documents WHERE state IN ('PENDING', 'PROCESSING') AND updated_at < before
        ORDER BY updated_at LIMIT most FOR UPDATE SKIP LOCKED
    ), failed AS (
        UPDATE documents d SET state = 'FAILED', failure_reason = reason, failure_message = message,
            revision = d.revision + 1, updated_at = at
        FROM abandoned a WHERE d.organization_id = a.organization_id AND d.id = a.id
        RETURNING d.id
    )
    SELECT count(*) FROM failed
$$;

REVOKE EXECUTE ON FUNCTION fail_abandoned_documents(timestamptz, timestamptz, text, text, integer) FROM PUBLIC;
GRANT SELECT, UPDATE ON documents TO gatehouse_definer;
ALTER FUNCTION fail_abandoned_documents(timestamptz, timestamptz, text, text, integer) OWNER TO gatehouse_definer;
