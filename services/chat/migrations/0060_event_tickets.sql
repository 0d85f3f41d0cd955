-- A ticket opens the stream of one run's events once, for a client that cannot send a
-- header. Only its hash is stored, with the caller that asked for it.
CREATE TABLE event_tickets (
    organization_id uuid        NOT NULL,
    ticket_hash     bytea       NOT NULL CHECK (octet_length(ticket_hash) = 32),
    user_id         uuid        NOT NULL,
    run_id          uuid        NOT NULL,
    principal       jsonb       NOT NULL,
    expires_at      timestamptz NOT NULL,
    PRIMARY KEY (organization_id, ticket_hash),
    FOREIGN KEY (organization_id, run_id) REFERENCES runs ON DELETE CASCADE
);
CREATE INDEX event_tickets_hash ON event_tickets (ticket_hash);
CREATE INDEX event_tickets_expiry ON event_tickets (expires_at);

ALTER TABLE event_tickets ENABLE ROW LEVEL SECURITY;
ALTER TABLE event_tickets FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON event_tickets
    USING (organization_id = gatehouse.organization_id() AND user_id = gatehouse.user_id())
    WITH CHECK (organization_id = gatehouse.organization_id() AND user_id = gatehouse.user_id());

-- redeem_event_ticket deletes a ticket and returns what it opens. The caller is not known
-- yet, so the function searches every organization, by the hash of the secret alone. One
-- statement finds and deletes the ticket: of two concurrent calls, one finds nothing.
CREATE FUNCTION redeem_event_ticket(p_hash bytea, p_now timestamptz) RETURNS TABLE (run_id uuid, principal jsonb)
LANGUAGE sql SECURITY DEFINER SET search_path = chat, pg_temp AS $$
    DELETE FROM event_tickets t WHERE t.ticket_hash = p_hash AND t.expires_at > p_now
    RETURNING t.run_id, t.principal
$$;
REVOKE EXECUTE ON FUNCTION redeem_event_ticket FROM PUBLIC;
GRANT EXECUTE ON FUNCTION redeem_event_ticket TO gatehouse_chat;

-- delete_expired_event_tickets deletes what nobody used in time, of every organization.
CREATE FUNCTION delete_expired_event_tickets(p_now timestamptz, p_most integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = chat, pg_temp AS $$
    WITH deleted AS (
        DELETE FROM event_tickets WHERE (organization_id, ticket_hash) IN (
            SELECT organization_id, ticket_hash FROM event_tickets WHERE expires_at <= p_now LIMIT p_most)
        RETURNING 1)
    SELECT count(*) FROM deleted
$$;
REVOKE EXECUTE ON FUNCTION delete_expired_event_tickets FROM PUBLIC;
GRANT EXECUTE ON FUNCTION delete_expired_event_tickets TO gatehouse_chat;

GRANT SELECT, DELETE ON event_tickets TO gatehouse_definer;
ALTER FUNCTION redeem_event_ticket OWNER TO gatehouse_definer;
ALTER FUNCTION delete_expired_event_tickets OWNER TO gatehouse_definer;
