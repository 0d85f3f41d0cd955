-- How far auth's feed of erasures was followed.
CREATE TABLE erasures_followed (
    one         boolean     PRIMARY KEY DEFAULT true CHECK (one),
    followed_to timestamptz NOT NULL
);

-- It concerns the installation, and is read and moved on outside of any scope.
ALTER TABLE erasures_followed ENABLE ROW LEVEL SECURITY;
ALTER TABLE erasures_followed FORCE ROW LEVEL SECURITY;
CREATE POLICY installation ON erasures_followed
    USING (gatehouse.organization_id() IS NULL AND gatehouse.user_id() IS NULL)
    WITH CHECK (gatehouse.organization_id() IS NULL AND gatehouse.user_id() IS NULL);
