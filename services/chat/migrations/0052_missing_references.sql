-- What a run had to do without: the collections and the assistant that its conversation
-- named, and that no longer existed when it started.
ALTER TABLE runs
    ADD COLUMN missing_collection_ids uuid[] NOT NULL DEFAULT '{}',
    ADD COLUMN missing_assistant_id   uuid;
