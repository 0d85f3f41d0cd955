-- Collections, the documents in them and the passages that are searched.
-- Every key begins with the organization: tables can be distributed by it, and
-- a reference can never reach into another organization, as foreign keys do not
-- look at row level security.

CREATE TABLE collections (
    organization_id uuid        NOT NULL,
    id              uuid        NOT NULL,
    display_name    text        NOT NULL,
    description     text        NOT NULL DEFAULT '',
    revision        bigint      NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id)
);

CREATE INDEX collections_created ON collections (organization_id, created_at DESC, id DESC);

CREATE TABLE documents (
    organization_id uuid             NOT NULL,
    id              uuid             NOT NULL,
    collection_id   uuid             NOT NULL,
    title           text             NOT NULL,
    content_type    text             NOT NULL,
    size_bytes      bigint           NOT NULL,
    state           text             NOT NULL CHECK (state IN ('PENDING', 'PROCESSING', 'READY', 'FAILED')),
    progress        double precision NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 1),
    failure_reason  text             NOT NULL DEFAULT '',
    failure_message text             NOT NULL DEFAULT '',
    chunk_count     integer          NOT NULL DEFAULT 0,
    revision        bigint           NOT NULL DEFAULT 1,
    created_at      timestamptz      NOT NULL,
    updated_at      timestamptz      NOT NULL,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT documents_collection FOREIGN KEY (organization_id, collection_id)
        REFERENCES collections (organization_id, id) ON DELETE CASCADE
);

CREATE INDEX documents_created ON documents (organization_id, collection_id, created_at DESC, id DESC);

-- What was sent and what was extracted are large and rarely read: apart from the
-- row that lists show and that indexing updates.
CREATE TABLE document_sources (
    organization_id uuid  NOT NULL,
    document_id     uuid  NOT NULL,
    content         bytea NOT NULL,
    PRIMARY KEY (organization_id, document_id),
    FOREIGN KEY (organization_id, document_id) REFERENCES documents (organization_id, id) ON DELETE CASCADE
);

CREATE TABLE document_texts (
    organization_id uuid NOT NULL,
    document_id     uuid NOT NULL,
    content         text NOT NULL,
    PRIMARY KEY (organization_id, document_id),
    FOREIGN KEY (organization_id, document_id) REFERENCES documents (organization_id, id) ON DELETE CASCADE
);

-- Offsets count the Unicode code points of the extracted text. Headings are the
-- document's title and the headings above the passage, a line each: a passage is
-- found by them, but they are no part of what is cited.
CREATE TABLE chunks (
    organization_id uuid        NOT NULL,
    id              uuid        NOT NULL,
    collection_id   uuid        NOT NULL,
    document_id     uuid        NOT NULL,
    ordinal         integer     NOT NULL,
    start_offset    integer     NOT NULL,
    end_offset      integer     NOT NULL CHECK (end_offset > start_offset),
    text            text        NOT NULL,
    headings        text        NOT NULL,
    embedder        text        NOT NULL,
    embedding       vector(384) NOT NULL,
    tsv             tsvector    NOT NULL GENERATED ALWAYS AS (
        setweight(to_tsvector('english'::regconfig, text), 'A') ||
        setweight(to_tsvector('english'::regconfig, headings), 'B')) STORED,
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, document_id, ordinal),
    FOREIGN KEY (organization_id, document_id) REFERENCES documents (organization_id, id) ON DELETE CASCADE
);

CREATE INDEX chunks_collection ON chunks (organization_id, collection_id);
CREATE INDEX chunks_tsv ON chunks USING gin (tsv);

-- pgvector before 0.8.2 can overflow a buffer when it builds in parallel.
SET LOCAL max_parallel_maintenance_workers = 0;
CREATE INDEX chunks_embedding ON chunks USING hnsw (embedding vector_cosine_ops);

ALTER TABLE collections      ENABLE ROW LEVEL SECURITY;
ALTER TABLE collections      FORCE ROW LEVEL SECURITY;
ALTER TABLE documents        ENABLE ROW LEVEL SECURITY;
ALTER TABLE documents        FORCE ROW LEVEL SECURITY;
ALTER TABLE document_sources ENABLE ROW LEVEL SECURITY;
ALTER TABLE document_sources FORCE ROW LEVEL SECURITY;
ALTER TABLE document_texts   ENABLE ROW LEVEL SECURITY;
ALTER TABLE document_texts   FORCE ROW LEVEL SECURITY;
ALTER TABLE chunks           ENABLE ROW LEVEL SECURITY;
ALTER TABLE chunks           FORCE ROW LEVEL SECURITY;

CREATE POLICY organization ON collections
    USING (organization_id = gatehouse.organization_id())
    WITH CHECK (organization_id = gatehouse.organization_id());
CREATE POLICY organization ON documents
    USING (organization_id = gatehouse.organization_id())
    WITH CHECK (organization_id = gatehouse.organization_id());
CREATE POLICY organization ON document_sources
    USING (organization_id = gatehouse.organization_id())
    WITH CHECK (organization_id = gatehouse.organization_id());
CREATE POLICY organization ON document_texts
    USING (organization_id = gatehouse.organization_id())
    WITH CHECK (organization_id = gatehouse.organization_id());
CREATE POLICY organization ON chunks
    USING (organization_id = gatehouse.organization_id())
    WITH CHECK (organization_id = gatehouse.organization_id());

-- search_chunks ranks the passages of the transaction's organization, by vector
-- and by full text, and fuses the two ranks (1 / (60 + rank), summed).
--
-- It is a SECURITY DEFINER function because @@ is not leakproof and could not
-- use its index under row level security. It takes no organization: it reads the
-- same setting as the policies do, so a caller cannot ask for another's.
--
-- An empty list of collections means all. Up to 10,000 candidates are compared
-- one by one: the added 0 keeps the planner off the HNSW index, which for a
-- small part of the table would return too few rows. Full text asks for all
-- words first, and for any word only when that finds too little, as the second
-- question is many times dearer.
CREATE FUNCTION search_chunks(
    query_text text, query_embedding vector, query_embedder text, within uuid[], max_results integer)
RETURNS TABLE (chunk_id uuid, vector_rank integer, text_rank integer, score double precision)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = chat, extensions, pg_temp
SET plan_cache_mode = force_custom_plan
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

REVOKE EXECUTE ON FUNCTION search_chunks(text, vector, text, uuid[], integer) FROM PUBLIC;
GRANT SELECT ON chunks TO gatehouse_definer;
ALTER FUNCTION search_chunks(text, vector, text, uuid[], integer) OWNER TO gatehouse_definer;
