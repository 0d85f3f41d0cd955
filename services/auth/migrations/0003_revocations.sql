-- Whose access tokens have lost their force, for the services to learn of. It
-- concerns the installation: the services ask for all of it, and of whom they
-- have never heard they forget it soon.
CREATE TABLE revocations (
    id         uuid        PRIMARY KEY,
    session_id uuid,
    user_id    uuid,
    member_of  uuid,
    created_at timestamptz NOT NULL,
    CHECK (num_nonnulls(session_id, user_id) = 1),
    CHECK (member_of IS NULL OR user_id IS NOT NULL)
);

CREATE INDEX revocations_created ON revocations (created_at, id);
