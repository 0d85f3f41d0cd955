-- Conversations, their messages, and the runs that answer them. Everything
-- here is its user's alone: row level security asks for both the organization
-- and the user.

CREATE TABLE conversations (
    organization_id uuid        NOT NULL,
    id              uuid        NOT NULL,
    user_id         uuid        NOT NULL,
    title           text        NOT NULL DEFAULT '',
    assistant_id    uuid,
    collection_ids  uuid[]      NOT NULL DEFAULT '{}',
    revision        bigint      NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    last_message_at timestamptz,
    PRIMARY KEY (organization_id, id)
);

CREATE INDEX conversations_created ON conversations (organization_id, user_id, created_at DESC, id DESC);

-- state is the number of gatehouse.chat.v1.Run.State. owner and attempt fence
-- writers: whoever does not hold both writes nothing.
CREATE TABLE runs (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    user_id          uuid        NOT NULL,
    conversation_id  uuid        NOT NULL,
    user_message_id  uuid        NOT NULL,
    message_id       uuid        NOT NULL,
    state            smallint    NOT NULL,
    last_seq         integer     NOT NULL DEFAULT 0,
    owner            uuid        NOT NULL,
    attempt          integer     NOT NULL DEFAULT 1,
    lease_until      timestamptz NOT NULL,
    cancel_requested boolean     NOT NULL DEFAULT false,
    idempotency_key  text,
    request_hash     bytea       NOT NULL,
    problem          bytea,
    input_tokens     bigint      NOT NULL DEFAULT 0,
    output_tokens    bigint      NOT NULL DEFAULT 0,
    estimated        boolean     NOT NULL DEFAULT false,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    finished_at      timestamptz,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, conversation_id) REFERENCES conversations ON DELETE CASCADE
);

CREATE UNIQUE INDEX runs_live ON runs (organization_id, conversation_id) WHERE finished_at IS NULL;
CREATE INDEX runs_conversation ON runs (organization_id, conversation_id);
CREATE UNIQUE INDEX runs_idempotency ON runs (organization_id, user_id, conversation_id, idempotency_key);
CREATE INDEX runs_lease ON runs (lease_until) WHERE finished_at IS NULL;

-- details is a gatehouse.chat.v1.AnsweredMessage without id and content.
CREATE TABLE messages (
    organization_id uuid        NOT NULL,
    id              uuid        NOT NULL,
    user_id         uuid        NOT NULL,
    conversation_id uuid        NOT NULL,
    parent_id       uuid,
    role            smallint    NOT NULL,
    content         text        NOT NULL,
    details         bytea       NOT NULL DEFAULT '',
    run_id          uuid,
    created_at      timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, conversation_id) REFERENCES conversations ON DELETE CASCADE
);

CREATE INDEX messages_order ON messages (organization_id, conversation_id, created_at, id);

-- payload is a gatehouse.chat.v1.RunEvent.
CREATE TABLE run_events (
    organization_id uuid    NOT NULL,
    run_id          uuid    NOT NULL,
    seq             integer NOT NULL,
    payload         bytea   NOT NULL,
    PRIMARY KEY (organization_id, run_id, seq),
    FOREIGN KEY (organization_id, run_id) REFERENCES runs ON DELETE CASCADE
);

ALTER TABLE conversations ENABLE ROW LEVEL SECURITY;
ALTER TABLE conversations FORCE ROW LEVEL SECURITY;
ALTER TABLE runs ENABLE ROW LEVEL SECURITY;
ALTER TABLE runs FORCE ROW LEVEL SECURITY;
ALTER TABLE messages ENABLE ROW LEVEL SECURITY;
ALTER TABLE messages FORCE ROW LEVEL SECURITY;
ALTER TABLE run_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE run_events FORCE ROW LEVEL SECURITY;

CREATE POLICY owner ON conversations
    USING (organization_id = gatehouse.organization_id() AND user_id = gatehouse.user_id())
    WITH CHECK (organization_id = gatehouse.organization_id() AND user_id = gatehouse.user_id());
CREATE POLICY owner ON runs
    USING (organization_id = gatehouse.organization_id() AND user_id = gatehouse.user_id())
    WITH CHECK (organization_id = gatehouse.organization_id() AND user_id = gatehouse.user_id());
CREATE POLICY owner ON messages
    USING (organization_id = gatehouse.organization_id() AND user_id = gatehouse.user_id())
    WITH CHECK (organization_id = gatehouse.organization_id() AND user_id = gatehouse.user_id());
-- An event is its run's, and the run's own policy asks for the user.
CREATE POLICY owner ON run_events
    USING (organization_id = gatehouse.organization_id() AND EXISTS (
        SELECT FROM runs r WHERE r.organization_id = run_events.organization_id AND r.id = run_events.run_id))
    WITH CHECK (organization_id = gatehouse.organization_id() AND EXISTS (
        SELECT FROM runs r WHERE r.organization_id = run_events.organization_id AND r.id = run_events.run_id));

-- append_run_events is the one write of a process's runs, of every
-- organization, at once: it renews the leases of the runs that the owner still
-- holds, appends their events, and ends those whose state says so, with their
-- message. It answers what it could write; a run that is missing from the
-- answer was taken over or deleted.
CREATE FUNCTION append_run_events(
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
        SELECT w.organization_id, w.message_id, w.user_id, w.conversation_id, w.user_message_id, 2, w.content, w.details, w.id, p_now
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

-- claim_expired_runs hands runs whose owner has died to the caller. The new
-- attempt fences the old owner, should it live after all.
CREATE FUNCTION claim_expired_runs(p_owner uuid, p_lease interval, p_limit integer)
RETURNS TABLE (organization_id text, user_id text, id text, conversation_id text, message_id text, attempt integer, created_at timestamptz)
LANGUAGE sql SECURITY DEFINER SET search_path = chat, pg_temp AS $$
    UPDATE runs r SET owner = p_owner, attempt = r.attempt + 1, lease_until = now() + p_lease
    FROM (SELECT e.organization_id, e.id FROM runs e WHERE e.finished_at IS NULL AND e.lease_until < now()
          ORDER BY e.lease_until LIMIT p_limit FOR UPDATE SKIP LOCKED) expired
    WHERE r.organization_id = expired.organization_id AND r.id = expired.id
    RETURNING r.organization_id::text, r.user_id::text, r.id::text, r.conversation_id::text, r.message_id::text, r.attempt, r.created_at;
$$;

GRANT SELECT, UPDATE ON runs, conversations TO gatehouse_definer;
GRANT SELECT, INSERT ON run_events, messages TO gatehouse_definer;
ALTER FUNCTION append_run_events OWNER TO gatehouse_definer;
ALTER FUNCTION claim_expired_runs OWNER TO gatehouse_definer;
