-- Messages are ordered by their time, and the clocks of processes differ. So no
-- message is older than the one before it in its conversation: here for answers, in
-- the room of conversations for what users say. All else is as it was.
CREATE OR REPLACE FUNCTION append_run_events(
    p_owner uuid, p_lease interval, p_now timestamptz,
    p_organizations uuid[], p_runs uuid[], p_attempts integer[], p_seqs integer[], p_states smallint[], p_ended boolean[],
    p_contents text[], p_details bytea[], p_problems bytea[], p_inputs bigint[], p_outputs bigint[], p_estimated boolean[],
    p_event_runs uuid[], p_event_seqs integer[], p_event_payloads bytea[], p_channel text, p_changed text)
RETURNS TABLE (run_id text, cancel_requested boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = chat, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH batch AS (
        SELECT * FROM unnest(p_organizations, p_runs, p_attempts, p_seqs, p_states, p_ended, p_contents, p_details,
            p_problems, p_inputs, p_outputs, p_estimated)
            AS b(organization, run, attempt, seq, state, ended, content, details, problem, input, output, estimated)
    ), written AS (
        UPDATE runs r SET last_seq = b.seq, state = b.state, lease_until = now() + p_lease, updated_at = p_now,
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
        -- A batch is written again when its commit was not heard of.
        ON CONFLICT DO NOTHING
    ), answers AS (
        INSERT INTO messages (organization_id, id, user_id, conversation_id, parent_id, role, content, details, run_id, created_at)
        SELECT w.organization_id, w.message_id, w.user_id, w.conversation_id, w.user_message_id, 2, w.content, w.details, w.id,
            greatest(p_now, (SELECT max(m.created_at) + interval '1 microsecond' FROM messages m
                WHERE m.organization_id = w.organization_id AND m.conversation_id = w.conversation_id))
        FROM written w WHERE w.ended
    ), touched AS (
        -- Whoever holds a conversation may be waiting for one of these runs to
        -- end: its time is then left to them, rather than to a deadlock.
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
