-- A user sees and ends its own sessions in whatever organization they act.
CREATE POLICY own ON sessions FOR SELECT USING (user_id = gatehouse.user_id());
CREATE POLICY own_end ON sessions FOR UPDATE
    USING (user_id = gatehouse.user_id()) WITH CHECK (user_id = gatehouse.user_id());
CREATE POLICY own ON refresh_tokens FOR SELECT
    USING (EXISTS (SELECT FROM sessions s
                   WHERE s.organization_id = refresh_tokens.organization_id AND s.id = refresh_tokens.session_id
                     AND s.user_id = gatehouse.user_id()));

CREATE INDEX sessions_own_idx ON sessions (user_id, created_at, id);
