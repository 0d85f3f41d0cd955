-- The tables of the management service after all migrations, for readers. The tests of package
-- migrations write it: go test ./management/migrations -update

CREATE SCHEMA management;

CREATE TABLE management.assistants (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    display_name text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    instructions text DEFAULT ''::text NOT NULL,
    model text DEFAULT ''::text NOT NULL,
    temperature double precision,
    collection_ids uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    tools text[] DEFAULT '{}'::text[] NOT NULL,
    revision bigint DEFAULT 1 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    deleted_at timestamp with time zone
);

ALTER TABLE ONLY management.assistants FORCE ROW LEVEL SECURITY;

CREATE TABLE management.erasures_followed (
    one boolean DEFAULT true NOT NULL,
    followed_to timestamp with time zone NOT NULL,
    CONSTRAINT erasures_followed_one_check CHECK (one)
);

ALTER TABLE ONLY management.erasures_followed FORCE ROW LEVEL SECURITY;

CREATE TABLE management.schema_migrations (
    version bigint NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY management.assistants
    ADD CONSTRAINT assistants_pkey PRIMARY KEY (organization_id, id);

ALTER TABLE ONLY management.erasures_followed
    ADD CONSTRAINT erasures_followed_pkey PRIMARY KEY (one);

ALTER TABLE ONLY management.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);

CREATE INDEX assistants_created ON management.assistants USING btree (organization_id, created_at DESC, id DESC);

ALTER TABLE management.assistants ENABLE ROW LEVEL SECURITY;

ALTER TABLE management.erasures_followed ENABLE ROW LEVEL SECURITY;

CREATE POLICY installation ON management.erasures_followed USING (((gatehouse.organization_id() IS NULL) AND (gatehouse.user_id() IS NULL))) WITH CHECK (((gatehouse.organization_id() IS NULL) AND (gatehouse.user_id() IS NULL)));

CREATE POLICY organization ON management.assistants USING ((organization_id = gatehouse.organization_id())) WITH CHECK ((organization_id = gatehouse.organization_id()));

GRANT USAGE ON SCHEMA management TO gatehouse_management;
GRANT ALL ON SCHEMA management TO gatehouse_definer;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE management.assistants TO gatehouse_management;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE management.erasures_followed TO gatehouse_management;

GRANT SELECT ON TABLE management.schema_migrations TO gatehouse_management;

ALTER DEFAULT PRIVILEGES FOR ROLE gatehouse_admin IN SCHEMA management GRANT USAGE ON SEQUENCES  TO gatehouse_management;

ALTER DEFAULT PRIVILEGES FOR ROLE gatehouse_admin IN SCHEMA management GRANT ALL ON FUNCTIONS  TO gatehouse_management;

ALTER DEFAULT PRIVILEGES FOR ROLE gatehouse_admin IN SCHEMA management GRANT SELECT,INSERT,DELETE,UPDATE ON TABLES  TO gatehouse_management;
