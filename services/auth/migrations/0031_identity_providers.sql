-- The issuers by which people come into an organization. The client's secret is
-- sealed for its row.
CREATE TABLE identity_providers (
    organization_id uuid        NOT NULL REFERENCES organizations ON DELETE CASCADE,
    id              uuid        NOT NULL UNIQUE,
    display_name    text        NOT NULL,
    issuer          text        NOT NULL,
    client_id       text        NOT NULL,
    sealed_secret   bytea       NOT NULL,
    domains         text[]      NOT NULL CHECK (cardinality(domains) > 0),
    role            text        NOT NULL CHECK (role IN ('admin', 'member', 'viewer')),
    revision        bigint      NOT NULL,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id)
);

CREATE INDEX identity_providers_created ON identity_providers (organization_id, created_at, id);

ALTER TABLE identity_providers ENABLE ROW LEVEL SECURITY;
ALTER TABLE identity_providers FORCE ROW LEVEL SECURITY;

CREATE POLICY organization ON identity_providers
    USING (organization_id = gatehouse.organization_id()) WITH CHECK (organization_id = gatehouse.organization_id());

-- A provider by its id alone: whoever signs in by it is in no organization yet.
CREATE FUNCTION identity_provider(of_id uuid)
    RETURNS TABLE (organization_id uuid, id uuid, display_name text, issuer text, client_id text, sealed_secret bytea,
        domains text[], role text, revision bigint, created_at timestamptz, updated_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    SELECT p.organization_id, p.id, p.display_name, p.issuer, p.client_id, p.sealed_secret, p.domains, p.role, p.revision,
        p.created_at, p.updated_at
    FROM identity_providers p WHERE p.id = of_id
$$;

-- The identities at a provider of the transaction's organization, which nobody will
-- vouch for any more: of users whom the organization does not see.
CREATE FUNCTION forget_identities(of_id uuid) RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = auth, pg_temp
AS $$
    DELETE FROM identities i USING identity_providers p
    WHERE p.id = of_id AND p.organization_id = gatehouse.organization_id() AND i.provider = p.id::text
$$;

REVOKE EXECUTE ON FUNCTION identity_provider(uuid), forget_identities(uuid) FROM PUBLIC;
GRANT SELECT ON identity_providers TO gatehouse_definer;
GRANT SELECT, DELETE ON identities TO gatehouse_definer;
ALTER FUNCTION identity_provider(uuid) OWNER TO gatehouse_definer;
ALTER FUNCTION forget_identities(uuid) OWNER TO gatehouse_definer;
