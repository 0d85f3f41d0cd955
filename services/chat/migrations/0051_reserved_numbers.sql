-- The numbers of a run's events are reserved before a reader sees them. reserved_seq is
-- the last number that the process of the run may have shown to a reader. The process that
-- ends a lost run numbers the terminal event past it, so no number means two events.
ALTER TABLE runs ADD COLUMN reserved_seq integer NOT NULL DEFAULT 0;

-- Runs that are live at this moment belong to processes that reserve nothing. Their readers
-- are some events ahead of what is stored, and far less than a block.
UPDATE runs SET reserved_seq = last_seq + 1024 WHERE finished_at IS NULL;

-- append_run_events also extends the reservation of each run, with the write that stores
-- its events. Neither number goes back: a journal may hold less than the database. All
-- else is as it was.
CREATE FUNCTION append_run_events(
    p_owner uuid, p_lease interval, p_now timestamptz,
    p_organizations uuid[], p_runs uuid[], p_attempts integer[], p_seqs integer[], p_reserved integer[], p_states smallint[], p_ended boolean[],
    p_contents text[], p_details bytea[], p_problems bytea[], p_inputs bigint[], p_outputs bigint[], p_estimated boolean[],
    p_event_runs uuid[], p_event_seqs integer[], p_event_payloads bytea[], p_channel text, p_changed text)
RETURNS TABLE (run_id text, cancel_requested boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = chat, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH batch AS (
        SELECT * FROM unnest(p_organizations, p_runs, p_attempts, p_seqs, p_reserved, p_states, p_ended, p_contents, p_details,
            p_problems, p_inputs, p_outputs, p_estimated)
            AS b(organization, run, attempt, seq, reserved, state, ended, content, details, problem, input, output, estimated)
    ), written AS (
        UPDATE runs r SET last_seq = greatest(r.last_seq, b.seq), reserved_seq = greatest(r.reserved_seq, b.reserved),
            state = b.state, lease_until = now() + p_lease, updated_at = p_now,
            problem = b.problem, input_tokens = b.input, output_tokens = b.output, estimated = b.estimated,
            finished_at = CASE WHEN b.ended THEN p_now END
        FROM batch b
        WHERE r.organization_id = b.organization AND r.id = b.run AND r.owner = p_owner AND r.attempt = b.attempt
            AND r.finished_at IS NULL
        RETURNING r.organization_id, r.id, r.user_id, r.conversation_id, r.user_message_id, r.message_id,
            r.cancel_requested, b.ended, b.content, b.details
    ), events AS (
        INSERT INTO run_events (organization_id, run_id, seq, payload)
        SELECT w.organization_id, w.id, e.seq, e.payload
        FROM unnest(p_event_runs, p_event_seqs, p_event_payloads) AS e(run, seq, payload)
        JOIN written w ON w.id = e.run
        -- A batch is retried when the reply to its commit was lost.
        ON CONFLICT DO NOTHING
    ), answers AS (
        INSERT INTO messages (organization_id, id, user_id, conversation_id, parent_id, role, content, details, run_id, created_at)
        SELECT w.organization_id, w.message_id, w.user_id, w.conversation_id, w.user_message_id, 2, w.content, w.details, w.id,
            greatest(p_now, (SELECT max(m.created_at) + interval '1 microsecond' FROM messages m
                WHERE m.organization_id = w.organization_id AND m.conversation_id = w.conversation_id))
        FROM written w WHERE w.ended
    ), touched AS (
        -- A transaction that holds a conversation may wait for one of these runs to
        -- end. Skipping the locked row avoids a deadlock; that transaction sets the time.
        UPDATE conversations c SET last_message_at = p_now
        FROM (SELECT f.organization_id, f.id FROM conversations f
              JOIN written w ON f.organization_id = w.organization_id AND f.id = w.conversation_id
              WHERE w.ended FOR NO KEY UPDATE OF f SKIP LOCKED) free
        WHERE c.organization_id = free.organization_id AND c.id = free.id
    )
    SELECT w.id::text, w.cancel_requested FROM written w;
    IF p_changed <> '' THEN
        PERFORM pg_notify(p_channel, p_changed);
    END IF;
END $$;
ALTER FUNCTION append_run_events(uuid, interval, timestamptz, uuid[], uuid[], integer[], integer[], integer[], smallint[], boolean[],
    text[], bytea[], bytea[], bigint[], bigint[], boolean[], uuid[], integer[], bytea[], text, text) OWNER TO gatehouse_definer;

-- Processes of the version before this one run on during a rollout, and call the function
-- without reservations. A block is reserved for them.
CREATE OR REPLACE FUNCTION append_run_events(
    p_owner uuid, p_lease interval, p_now timestamptz,
    p_organizations uuid[], p_runs uuid[], p_attempts integer[], p_seqs integer[], p_states smallint[], p_ended boolean[],
    p_contents text[], p_details bytea[], p_problems bytea[], p_inputs bigint[], p_outputs bigint[], p_estimated boolean[],
    p_event_runs uuid[], p_event_seqs integer[], p_event_payloads bytea[], p_channel text, p_changed text)
RETURNS TABLE (run_id text, cancel_requested boolean)
LANGUAGE sql SECURITY DEFINER SET search_path = chat, pg_temp AS $$
    SELECT * FROM append_run_events(p_owner, p_lease, p_now, p_organizations, p_runs, p_attempts, p_seqs,
        ARRAY(SELECT s.seq + 1024 FROM unnest(p_seqs) WITH ORDINALITY AS s(seq, n) ORDER BY s.n),
        p_states, p_ended, p_contents, p_details, p_problems, p_inputs, p_outputs, p_estimated,
        p_event_runs, p_event_seqs, p_event_payloads, p_channel, p_changed)
$$;

-- claim_lost_runs is claim_expired_runs, and returns the reservation too. The claim and the
-- reservation are read in one statement: the old owner extends nothing after it.
-- claim_expired_runs stays for processes of the version before this one.
CREATE FUNCTION claim_lost_runs(p_owner uuid, p_lease interval, p_limit integer)
RETURNS TABLE (organization_id text, user_id text, id text, conversation_id text, message_id text, attempt integer,
    reserved_seq integer, created_at timestamptz)
LANGUAGE sql SECURITY DEFINER SET search_path = chat, pg_temp AS $$
    UPDATE runs r SET owner = p_owner, attempt = r.attempt + 1, lease_until = now() + p_lease
    FROM (SELECT e.organization_id, e.id FROM runs e WHERE e.finished_at IS NULL AND e.lease_until < now()
          ORDER BY e.lease_until LIMIT p_limit FOR UPDATE SKIP LOCKED) expired
    WHERE r.organization_id = expired.organization_id AND r.id = expired.id
    RETURNING r.organization_id::text, r.user_id::text, r.id::text, r.conversation_id::text, r.message_id::text, r.attempt,
        r.reserved_seq, r.created_at;
$$;
ALTER FUNCTION claim_lost_runs OWNER TO gatehouse_definer;
