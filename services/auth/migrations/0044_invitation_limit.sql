-- How many invitations were sent on a day (UTC), by whom, for an organization. An
-- invitation that was withdrawn counts too, since its mail has left.
CREATE TABLE invitation_counts (
    organization_id uuid        NOT NULL REFERENCES organizations ON DELETE CASCADE,
    inviter_id      uuid        NOT NULL,
    day             date        NOT NULL,
    sent            integer     NOT NULL,
    expires_at      timestamptz NOT NULL,
    PRIMARY KEY (organization_id, inviter_id, day)
);

CREATE INDEX invitation_counts_inviter_idx ON invitation_counts (inviter_id, day);
CREATE INDEX invitation_counts_expires_idx ON invitation_counts (expires_at);

ALTER TABLE invitation_counts ENABLE ROW LEVEL SECURITY;
ALTER TABLE invitation_counts FORCE ROW LEVEL SECURITY;
CREATE POLICY organization ON invitation_counts
    USING (organization_id = gatehouse.organization_id()) WITH CHECK (organization_id = gatehouse.organization_id());
-- What somebody sends from several organizations adds up.
CREATE POLICY own ON invitation_counts FOR SELECT USING (inviter_id = gatehouse.user_id());
