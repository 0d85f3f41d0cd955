-- The tables of the chat service after all migrations, for readers. The tests of package
-- migrations write it: go test ./chat/migrations -update

CREATE SCHEMA chat;

CREATE FUNCTION chat.admit_run(p_organization uuid, p_user uuid, p_per_user integer, p_per_organization integer) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'chat', 'pg_temp'
    AS $$
BEGIN
    -- Always in this order, so that two starts never wait for each other. A statement
    -- that begins after a lock was waited for sees what its holder has committed.
    IF p_per_user > 0 THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('chat.runs of user ' || p_user, 0));
        IF (SELECT count(*) FROM runs r WHERE r.user_id = p_user AND r.finished_at IS NULL) >= p_per_user THEN
            RETURN 'user';
        END IF;
    END IF;
    IF p_per_organization > 0 THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('chat.runs of organization ' || p_organization, 0));
        IF (SELECT count(*) FROM runs r WHERE r.organization_id = p_organization AND r.finished_at IS NULL) >= p_per_organization THEN
            RETURN 'organization';
        END IF;
    END IF;
    RETURN '';
END $$;

CREATE FUNCTION chat.append_run_events(p_owner uuid, p_lease interval, p_now timestamp with time zone, p_organizations uuid[], p_runs uuid[], p_attempts integer[], p_seqs integer[], p_states smallint[], p_ended boolean[], p_contents text[], p_details bytea[], p_problems bytea[], p_inputs bigint[], p_outputs bigint[], p_estimated boolean[], p_event_runs uuid[], p_event_seqs integer[], p_event_payloads bytea[], p_channel text, p_changed text) RETURNS TABLE(run_id text, cancel_requested boolean)
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'chat', 'pg_temp'
    AS $$
    SELECT * FROM append_run_events(p_owner, p_lease, p_now, p_organizations, p_runs, p_attempts, p_seqs,
        ARRAY(SELECT s.seq + 1024 FROM unnest(p_seqs) WITH ORDINALITY AS s(seq, n) ORDER BY s.n),
        p_states, p_ended, p_contents, p_details, p_problems, p_inputs, p_outputs, p_estimated,
        p_event_runs, p_event_seqs, p_event_payloads, p_channel, p_changed)
$$;

CREATE FUNCTION chat.append_run_events(p_owner uuid, p_lease interval, p_now timestamp with time zone, p_organizations uuid[], p_runs uuid[], p_attempts integer[], p_seqs integer[], p_reserved integer[], p_states smallint[], p_ended boolean[], p_contents text[], p_details bytea[], p_problems bytea[], p_inputs bigint[], p_outputs bigint[], p_estimated boolean[], p_event_runs uuid[], p_event_seqs integer[], p_event_payloads bytea[], p_channel text, p_changed text) RETURNS TABLE(run_id text, cancel_requested boolean)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'chat', 'pg_temp'
    AS $$
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

CREATE FUNCTION chat.claim_expired_runs(p_owner uuid, p_lease interval, p_limit integer) RETURNS TABLE(organization_id text, user_id text, id text, conversation_id text, message_id text, attempt integer, created_at timestamp with time zone)
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'chat', 'pg_temp'
    AS $$
    UPDATE runs r SET owner = p_owner, attempt = r.attempt + 1, lease_until = now() + p_lease
    FROM (SELECT e.organization_id, e.id FROM runs e WHERE e.finished_at IS NULL AND e.lease_until < now()
          ORDER BY e.lease_until LIMIT p_limit FOR UPDATE SKIP LOCKED) expired
    WHERE r.organization_id = expired.organization_id AND r.id = expired.id
    RETURNING r.organization_id::text, r.user_id::text, r.id::text, r.conversation_id::text, r.message_id::text, r.attempt, r.created_at;
$$;

CREATE FUNCTION chat.claim_lost_runs(p_owner uuid, p_lease interval, p_limit integer) RETURNS TABLE(organization_id text, user_id text, id text, conversation_id text, message_id text, attempt integer, reserved_seq integer, created_at timestamp with time zone)
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'chat', 'pg_temp'
    AS $$
    UPDATE runs r SET owner = p_owner, attempt = r.attempt + 1, lease_until = now() + p_lease
    FROM (SELECT e.organization_id, e.id FROM runs e WHERE e.finished_at IS NULL AND e.lease_until < now()
          ORDER BY e.lease_until LIMIT p_limit FOR UPDATE SKIP LOCKED) expired
    WHERE r.organization_id = expired.organization_id AND r.id = expired.id
    RETURNING r.organization_id::text, r.user_id::text, r.id::text, r.conversation_id::text, r.message_id::text, r.attempt,
        r.reserved_seq, r.created_at;
$$;

CREATE FUNCTION chat.delete_expired_event_tickets(p_now timestamp with time zone, p_most integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'chat', 'pg_temp'
    AS $$
    WITH deleted AS (
        DELETE FROM event_tickets WHERE (organization_id, ticket_hash) IN (
            SELECT organization_id, ticket_hash FROM event_tickets WHERE expires_at <= p_now LIMIT p_most)
        RETURNING 1)
    SELECT count(*) FROM deleted
$$;

CREATE FUNCTION chat.erase_conversations(of_organization uuid, of_user uuid, most integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'chat', 'pg_temp'
    AS $$
    WITH gone AS (
        SELECT organization_id, id FROM conversations
        WHERE organization_id = of_organization OR user_id = of_user
        LIMIT most FOR UPDATE SKIP LOCKED
    ), deleted AS (
        DELETE FROM conversations c USING gone g WHERE c.organization_id = g.organization_id AND c.id = g.id
        RETURNING c.id
    )
    SELECT count(*) FROM deleted
$$;

CREATE FUNCTION chat.fail_abandoned_documents(before timestamp with time zone, at timestamp with time zone, reason text, message text, most integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'chat', 'pg_temp'
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

CREATE FUNCTION chat.forget_run_events() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'chat', 'pg_temp'
    AS $$
BEGIN
    DELETE FROM run_events e USING deleted d WHERE e.organization_id = d.organization_id AND e.run_id = d.id;
    RETURN NULL;
END $$;

CREATE FUNCTION chat.redeem_event_ticket(p_hash bytea, p_now timestamp with time zone) RETURNS TABLE(run_id uuid, principal jsonb)
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'chat', 'pg_temp'
    AS $$
    DELETE FROM event_tickets t WHERE t.ticket_hash = p_hash AND t.expires_at > p_now
    RETURNING t.run_id, t.principal
$$;

CREATE FUNCTION chat.search_chunks(query_text text, query_embedding extensions.vector, query_embedder text, within uuid[], max_results integer) RETURNS TABLE(chunk_id uuid, vector_rank integer, text_rank integer, score double precision)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'chat', 'extensions', 'pg_temp'
    SET plan_cache_mode TO 'force_custom_plan'
    AS $$
#variable_conflict use_column
DECLARE
    org        CONSTANT uuid    := gatehouse.organization_id();
    everywhere CONSTANT boolean := cardinality(within) = 0;
    depth      CONSTANT integer := greatest(50, max_results);
    -- A vector of zeros has no direction: every distance to it is NaN.
    comparable CONSTANT boolean := vector_norm(query_embedding) > 0;
    all_words  CONSTANT tsquery := plainto_tsquery('english', query_text);
    words      tsquery          := all_words;
    by_vector  uuid[];
    by_text    uuid[];
BEGIN
    IF org IS NULL THEN
        RETURN;
    END IF;

    IF (SELECT count(*) FROM (
            SELECT 1 FROM chunks c
            WHERE c.organization_id = org AND (everywhere OR c.collection_id = ANY (within))
            LIMIT 10001) candidates) <= 10000 THEN
        by_vector := ARRAY(
            SELECT c.id FROM chunks c
            WHERE c.organization_id = org AND (everywhere OR c.collection_id = ANY (within))
              AND c.embedder = query_embedder AND comparable
            ORDER BY (c.embedding <=> query_embedding) + 0, c.id
            LIMIT depth);
    ELSE
        -- Relaxed order returns rows nearly sorted: sort what came.
        by_vector := ARRAY(
            SELECT near.id FROM (
                SELECT c.id, c.embedding <=> query_embedding AS distance FROM chunks c
                WHERE c.organization_id = org AND (everywhere OR c.collection_id = ANY (within))
                  AND c.embedder = query_embedder AND comparable
                ORDER BY c.embedding <=> query_embedding
                LIMIT depth) near
            ORDER BY near.distance, near.id);
    END IF;

    IF (SELECT count(*) FROM (
            SELECT 1 FROM chunks c
            WHERE c.organization_id = org AND (everywhere OR c.collection_id = ANY (within))
              AND c.tsv @@ all_words
            LIMIT max_results) hits) < max_results THEN
        words := replace(all_words::text, ' & ', ' | ')::tsquery;
    END IF;
    by_text := ARRAY(
        SELECT c.id FROM chunks c
        WHERE c.organization_id = org AND (everywhere OR c.collection_id = ANY (within))
          AND c.tsv @@ words
        ORDER BY c.tsv @@ all_words DESC, ts_rank_cd(c.tsv, words, 32) DESC, c.id
        LIMIT depth);

    RETURN QUERY
        SELECT coalesce(v.id, t.id),
               coalesce(v.rank, 0)::integer,
               coalesce(t.rank, 0)::integer,
               (coalesce(1.0 / (60 + v.rank), 0) + coalesce(1.0 / (60 + t.rank), 0))::double precision AS fused
        FROM unnest(by_vector) WITH ORDINALITY AS v (id, rank)
        FULL JOIN unnest(by_text) WITH ORDINALITY AS t (id, rank) ON v.id = t.id
        ORDER BY fused DESC, coalesce(v.id, t.id)
        LIMIT max_results;
END
$$;

CREATE TABLE chat.chunks (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    collection_id uuid NOT NULL,
    document_id uuid NOT NULL,
    ordinal integer NOT NULL,
    start_offset integer NOT NULL,
    end_offset integer NOT NULL,
    text text NOT NULL,
    headings text NOT NULL,
    embedder text NOT NULL,
    embedding extensions.vector(384) NOT NULL,
    tsv tsvector GENERATED ALWAYS AS ((setweight(to_tsvector('english'::regconfig, text), 'A'::"char") || setweight(to_tsvector('english'::regconfig, headings), 'B'::"char"))) STORED NOT NULL,
    CONSTRAINT chunks_check CHECK ((end_offset > start_offset))
);

ALTER TABLE ONLY chat.chunks FORCE ROW LEVEL SECURITY;

CREATE TABLE chat.collections (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    display_name text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    revision bigint DEFAULT 1 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL
);

ALTER TABLE ONLY chat.collections FORCE ROW LEVEL SECURITY;

CREATE TABLE chat.conversations (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    title text DEFAULT ''::text NOT NULL,
    assistant_id uuid,
    collection_ids uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    revision bigint DEFAULT 1 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    last_message_at timestamp with time zone
);

ALTER TABLE ONLY chat.conversations FORCE ROW LEVEL SECURITY;

CREATE TABLE chat.document_sources (
    organization_id uuid NOT NULL,
    document_id uuid NOT NULL,
    content bytea NOT NULL
);

ALTER TABLE ONLY chat.document_sources FORCE ROW LEVEL SECURITY;

CREATE TABLE chat.document_texts (
    organization_id uuid NOT NULL,
    document_id uuid NOT NULL,
    content text NOT NULL
);

ALTER TABLE ONLY chat.document_texts FORCE ROW LEVEL SECURITY;

CREATE TABLE chat.documents (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    collection_id uuid NOT NULL,
    title text NOT NULL,
    content_type text NOT NULL,
    size_bytes bigint NOT NULL,
    state text NOT NULL,
    progress double precision DEFAULT 0 NOT NULL,
    failure_reason text DEFAULT ''::text NOT NULL,
    failure_message text DEFAULT ''::text NOT NULL,
    chunk_count integer DEFAULT 0 NOT NULL,
    revision bigint DEFAULT 1 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT documents_progress_check CHECK (((progress >= (0)::double precision) AND (progress <= (1)::double precision))),
    CONSTRAINT documents_state_check CHECK ((state = ANY (ARRAY['PENDING'::text, 'PROCESSING'::text, 'READY'::text, 'FAILED'::text])))
);

ALTER TABLE ONLY chat.documents FORCE ROW LEVEL SECURITY;

CREATE TABLE chat.erasures_followed (
    one boolean DEFAULT true NOT NULL,
    followed_to timestamp with time zone NOT NULL,
    CONSTRAINT erasures_followed_one_check CHECK (one)
);

ALTER TABLE ONLY chat.erasures_followed FORCE ROW LEVEL SECURITY;

CREATE TABLE chat.event_tickets (
    organization_id uuid NOT NULL,
    ticket_hash bytea NOT NULL,
    user_id uuid NOT NULL,
    run_id uuid NOT NULL,
    principal jsonb NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT event_tickets_ticket_hash_check CHECK ((octet_length(ticket_hash) = 32))
);

ALTER TABLE ONLY chat.event_tickets FORCE ROW LEVEL SECURITY;

CREATE TABLE chat.messages (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    conversation_id uuid NOT NULL,
    parent_id uuid,
    role smallint NOT NULL,
    content text NOT NULL,
    details bytea DEFAULT '\x'::bytea NOT NULL,
    run_id uuid,
    created_at timestamp with time zone NOT NULL
);

ALTER TABLE ONLY chat.messages FORCE ROW LEVEL SECURITY;

CREATE TABLE chat.run_events (
    organization_id uuid NOT NULL,
    run_id uuid NOT NULL,
    seq integer NOT NULL,
    payload bytea NOT NULL
);

ALTER TABLE ONLY chat.run_events FORCE ROW LEVEL SECURITY;

CREATE TABLE chat.runs (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    conversation_id uuid NOT NULL,
    user_message_id uuid NOT NULL,
    message_id uuid NOT NULL,
    state smallint NOT NULL,
    last_seq integer DEFAULT 0 NOT NULL,
    owner uuid NOT NULL,
    attempt integer DEFAULT 1 NOT NULL,
    lease_until timestamp with time zone NOT NULL,
    cancel_requested boolean DEFAULT false NOT NULL,
    idempotency_key text,
    request_hash bytea NOT NULL,
    problem bytea,
    input_tokens bigint DEFAULT 0 NOT NULL,
    output_tokens bigint DEFAULT 0 NOT NULL,
    estimated boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    reserved_seq integer DEFAULT 0 NOT NULL,
    missing_collection_ids uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    missing_assistant_id uuid
);

ALTER TABLE ONLY chat.runs FORCE ROW LEVEL SECURITY;

CREATE TABLE chat.schema_migrations (
    version bigint NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY chat.chunks
    ADD CONSTRAINT chunks_organization_id_document_id_ordinal_key UNIQUE (organization_id, document_id, ordinal);

ALTER TABLE ONLY chat.chunks
    ADD CONSTRAINT chunks_pkey PRIMARY KEY (organization_id, id);

ALTER TABLE ONLY chat.collections
    ADD CONSTRAINT collections_pkey PRIMARY KEY (organization_id, id);

ALTER TABLE ONLY chat.conversations
    ADD CONSTRAINT conversations_pkey PRIMARY KEY (organization_id, id);

ALTER TABLE ONLY chat.document_sources
    ADD CONSTRAINT document_sources_pkey PRIMARY KEY (organization_id, document_id);

ALTER TABLE ONLY chat.document_texts
    ADD CONSTRAINT document_texts_pkey PRIMARY KEY (organization_id, document_id);

ALTER TABLE ONLY chat.documents
    ADD CONSTRAINT documents_pkey PRIMARY KEY (organization_id, id);

ALTER TABLE ONLY chat.erasures_followed
    ADD CONSTRAINT erasures_followed_pkey PRIMARY KEY (one);

ALTER TABLE ONLY chat.event_tickets
    ADD CONSTRAINT event_tickets_pkey PRIMARY KEY (organization_id, ticket_hash);

ALTER TABLE ONLY chat.messages
    ADD CONSTRAINT messages_pkey PRIMARY KEY (organization_id, id);

ALTER TABLE ONLY chat.run_events
    ADD CONSTRAINT run_events_pkey PRIMARY KEY (organization_id, run_id, seq);

ALTER TABLE ONLY chat.runs
    ADD CONSTRAINT runs_pkey PRIMARY KEY (organization_id, id);

ALTER TABLE ONLY chat.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);

CREATE INDEX chunks_collection ON chat.chunks USING btree (organization_id, collection_id);

CREATE INDEX chunks_embedding ON chat.chunks USING hnsw (embedding extensions.vector_cosine_ops);

CREATE INDEX chunks_tsv ON chat.chunks USING gin (tsv);

CREATE INDEX collections_created ON chat.collections USING btree (organization_id, created_at DESC, id DESC);

CREATE INDEX conversations_created ON chat.conversations USING btree (organization_id, user_id, created_at DESC, id DESC);

CREATE INDEX conversations_user ON chat.conversations USING btree (user_id);

CREATE INDEX documents_created ON chat.documents USING btree (organization_id, collection_id, created_at DESC, id DESC);

CREATE INDEX documents_unfinished ON chat.documents USING btree (updated_at) WHERE (state = ANY (ARRAY['PENDING'::text, 'PROCESSING'::text]));

CREATE INDEX event_tickets_expiry ON chat.event_tickets USING btree (expires_at);

CREATE INDEX event_tickets_hash ON chat.event_tickets USING btree (ticket_hash);

CREATE INDEX messages_order ON chat.messages USING btree (organization_id, conversation_id, created_at, id);

CREATE INDEX runs_conversation ON chat.runs USING btree (organization_id, conversation_id);

CREATE UNIQUE INDEX runs_idempotency ON chat.runs USING btree (organization_id, user_id, conversation_id, idempotency_key);

CREATE INDEX runs_lease ON chat.runs USING btree (lease_until) WHERE (finished_at IS NULL);

CREATE UNIQUE INDEX runs_live ON chat.runs USING btree (organization_id, conversation_id) WHERE (finished_at IS NULL);

CREATE INDEX runs_live_user ON chat.runs USING btree (user_id) WHERE (finished_at IS NULL);

CREATE TRIGGER forget_events AFTER DELETE ON chat.runs REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT EXECUTE FUNCTION chat.forget_run_events();

ALTER TABLE ONLY chat.chunks
    ADD CONSTRAINT chunks_organization_id_document_id_fkey FOREIGN KEY (organization_id, document_id) REFERENCES chat.documents(organization_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY chat.document_sources
    ADD CONSTRAINT document_sources_organization_id_document_id_fkey FOREIGN KEY (organization_id, document_id) REFERENCES chat.documents(organization_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY chat.document_texts
    ADD CONSTRAINT document_texts_organization_id_document_id_fkey FOREIGN KEY (organization_id, document_id) REFERENCES chat.documents(organization_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY chat.documents
    ADD CONSTRAINT documents_collection FOREIGN KEY (organization_id, collection_id) REFERENCES chat.collections(organization_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY chat.event_tickets
    ADD CONSTRAINT event_tickets_organization_id_run_id_fkey FOREIGN KEY (organization_id, run_id) REFERENCES chat.runs(organization_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY chat.messages
    ADD CONSTRAINT messages_organization_id_conversation_id_fkey FOREIGN KEY (organization_id, conversation_id) REFERENCES chat.conversations(organization_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY chat.runs
    ADD CONSTRAINT runs_organization_id_conversation_id_fkey FOREIGN KEY (organization_id, conversation_id) REFERENCES chat.conversations(organization_id, id) ON DELETE CASCADE;

ALTER TABLE chat.chunks ENABLE ROW LEVEL SECURITY;

ALTER TABLE chat.collections ENABLE ROW LEVEL SECURITY;

ALTER TABLE chat.conversations ENABLE ROW LEVEL SECURITY;

ALTER TABLE chat.document_sources ENABLE ROW LEVEL SECURITY;

ALTER TABLE chat.document_texts ENABLE ROW LEVEL SECURITY;

ALTER TABLE chat.documents ENABLE ROW LEVEL SECURITY;

ALTER TABLE chat.erasures_followed ENABLE ROW LEVEL SECURITY;

ALTER TABLE chat.event_tickets ENABLE ROW LEVEL SECURITY;

CREATE POLICY installation ON chat.erasures_followed USING (((gatehouse.organization_id() IS NULL) AND (gatehouse.user_id() IS NULL))) WITH CHECK (((gatehouse.organization_id() IS NULL) AND (gatehouse.user_id() IS NULL)));

ALTER TABLE chat.messages ENABLE ROW LEVEL SECURITY;

CREATE POLICY organization ON chat.chunks USING ((organization_id = gatehouse.organization_id())) WITH CHECK ((organization_id = gatehouse.organization_id()));

CREATE POLICY organization ON chat.collections USING ((organization_id = gatehouse.organization_id())) WITH CHECK ((organization_id = gatehouse.organization_id()));

CREATE POLICY organization ON chat.document_sources USING ((organization_id = gatehouse.organization_id())) WITH CHECK ((organization_id = gatehouse.organization_id()));

CREATE POLICY organization ON chat.document_texts USING ((organization_id = gatehouse.organization_id())) WITH CHECK ((organization_id = gatehouse.organization_id()));

CREATE POLICY organization ON chat.documents USING ((organization_id = gatehouse.organization_id())) WITH CHECK ((organization_id = gatehouse.organization_id()));

CREATE POLICY owner ON chat.conversations USING (((organization_id = gatehouse.organization_id()) AND (user_id = gatehouse.user_id()))) WITH CHECK (((organization_id = gatehouse.organization_id()) AND (user_id = gatehouse.user_id())));

CREATE POLICY owner ON chat.event_tickets USING (((organization_id = gatehouse.organization_id()) AND (user_id = gatehouse.user_id()))) WITH CHECK (((organization_id = gatehouse.organization_id()) AND (user_id = gatehouse.user_id())));

CREATE POLICY owner ON chat.messages USING (((organization_id = gatehouse.organization_id()) AND (user_id = gatehouse.user_id()))) WITH CHECK (((organization_id = gatehouse.organization_id()) AND (user_id = gatehouse.user_id())));

CREATE POLICY owner ON chat.run_events USING (((organization_id = gatehouse.organization_id()) AND (EXISTS ( SELECT
   FROM chat.runs r
  WHERE ((r.organization_id = run_events.organization_id) AND (r.id = run_events.run_id)))))) WITH CHECK (((organization_id = gatehouse.organization_id()) AND (EXISTS ( SELECT
   FROM chat.runs r
  WHERE ((r.organization_id = run_events.organization_id) AND (r.id = run_events.run_id))))));

CREATE POLICY owner ON chat.runs USING (((organization_id = gatehouse.organization_id()) AND (user_id = gatehouse.user_id()))) WITH CHECK (((organization_id = gatehouse.organization_id()) AND (user_id = gatehouse.user_id())));

ALTER TABLE chat.run_events ENABLE ROW LEVEL SECURITY;

ALTER TABLE chat.runs ENABLE ROW LEVEL SECURITY;

GRANT USAGE ON SCHEMA chat TO gatehouse_chat;
GRANT ALL ON SCHEMA chat TO gatehouse_definer;

REVOKE ALL ON FUNCTION chat.admit_run(p_organization uuid, p_user uuid, p_per_user integer, p_per_organization integer) FROM PUBLIC;
GRANT ALL ON FUNCTION chat.admit_run(p_organization uuid, p_user uuid, p_per_user integer, p_per_organization integer) TO gatehouse_chat;

GRANT ALL ON FUNCTION chat.append_run_events(p_owner uuid, p_lease interval, p_now timestamp with time zone, p_organizations uuid[], p_runs uuid[], p_attempts integer[], p_seqs integer[], p_states smallint[], p_ended boolean[], p_contents text[], p_details bytea[], p_problems bytea[], p_inputs bigint[], p_outputs bigint[], p_estimated boolean[], p_event_runs uuid[], p_event_seqs integer[], p_event_payloads bytea[], p_channel text, p_changed text) TO gatehouse_chat;

GRANT ALL ON FUNCTION chat.append_run_events(p_owner uuid, p_lease interval, p_now timestamp with time zone, p_organizations uuid[], p_runs uuid[], p_attempts integer[], p_seqs integer[], p_reserved integer[], p_states smallint[], p_ended boolean[], p_contents text[], p_details bytea[], p_problems bytea[], p_inputs bigint[], p_outputs bigint[], p_estimated boolean[], p_event_runs uuid[], p_event_seqs integer[], p_event_payloads bytea[], p_channel text, p_changed text) TO gatehouse_chat;

GRANT ALL ON FUNCTION chat.claim_expired_runs(p_owner uuid, p_lease interval, p_limit integer) TO gatehouse_chat;

GRANT ALL ON FUNCTION chat.claim_lost_runs(p_owner uuid, p_lease interval, p_limit integer) TO gatehouse_chat;

REVOKE ALL ON FUNCTION chat.delete_expired_event_tickets(p_now timestamp with time zone, p_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION chat.delete_expired_event_tickets(p_now timestamp with time zone, p_most integer) TO gatehouse_chat;

REVOKE ALL ON FUNCTION chat.erase_conversations(of_organization uuid, of_user uuid, most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION chat.erase_conversations(of_organization uuid, of_user uuid, most integer) TO gatehouse_chat;

REVOKE ALL ON FUNCTION chat.fail_abandoned_documents(before timestamp with time zone, at timestamp with time zone, reason text, message text, most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION chat.fail_abandoned_documents(before timestamp with time zone, at timestamp with time zone, reason text, message text, most integer) TO gatehouse_chat;

GRANT ALL ON FUNCTION chat.forget_run_events() TO gatehouse_chat;

REVOKE ALL ON FUNCTION chat.redeem_event_ticket(p_hash bytea, p_now timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION chat.redeem_event_ticket(p_hash bytea, p_now timestamp with time zone) TO gatehouse_chat;

REVOKE ALL ON FUNCTION chat.search_chunks(query_text text, query_embedding extensions.vector, query_embedder text, within uuid[], max_results integer) FROM PUBLIC;
GRANT ALL ON FUNCTION chat.search_chunks(query_text text, query_embedding extensions.vector, query_embedder text, within uuid[], max_results integer) TO gatehouse_chat;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE chat.chunks TO gatehouse_chat;
GRANT SELECT ON TABLE chat.chunks TO gatehouse_definer;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE chat.collections TO gatehouse_chat;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE chat.conversations TO gatehouse_chat;
GRANT SELECT,DELETE,UPDATE ON TABLE chat.conversations TO gatehouse_definer;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE chat.document_sources TO gatehouse_chat;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE chat.document_texts TO gatehouse_chat;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE chat.documents TO gatehouse_chat;
GRANT SELECT,UPDATE ON TABLE chat.documents TO gatehouse_definer;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE chat.erasures_followed TO gatehouse_chat;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE chat.event_tickets TO gatehouse_chat;
GRANT SELECT,DELETE ON TABLE chat.event_tickets TO gatehouse_definer;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE chat.messages TO gatehouse_chat;
GRANT SELECT,INSERT ON TABLE chat.messages TO gatehouse_definer;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE chat.run_events TO gatehouse_chat;
GRANT SELECT,INSERT,DELETE ON TABLE chat.run_events TO gatehouse_definer;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE chat.runs TO gatehouse_chat;
GRANT SELECT,UPDATE ON TABLE chat.runs TO gatehouse_definer;

GRANT SELECT ON TABLE chat.schema_migrations TO gatehouse_chat;

ALTER DEFAULT PRIVILEGES FOR ROLE gatehouse_admin IN SCHEMA chat GRANT USAGE ON SEQUENCES  TO gatehouse_chat;

ALTER DEFAULT PRIVILEGES FOR ROLE gatehouse_admin IN SCHEMA chat GRANT ALL ON FUNCTIONS  TO gatehouse_chat;

ALTER DEFAULT PRIVILEGES FOR ROLE gatehouse_admin IN SCHEMA chat GRANT SELECT,INSERT,DELETE,UPDATE ON TABLES  TO gatehouse_chat;
