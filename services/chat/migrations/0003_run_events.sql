-- Events come by the ten thousand a second, and the check of the foreign key was
-- more than half of what each of them cost. What it held is held without it:
-- append_run_events is the one writer, and takes events only together with their
-- run, which it locks; the policy of the table asks for the run of whoever else
-- would write; and a run takes its events along.
ALTER TABLE run_events DROP CONSTRAINT run_events_organization_id_run_id_fkey;

-- forget_run_events deletes the events of deleted runs. An append that was under
-- way then held the runs' locks, so its events are seen here; one that comes
-- later finds no run.
CREATE FUNCTION forget_run_events() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = chat, pg_temp AS $$
BEGIN
    DELETE FROM run_events e USING deleted d WHERE e.organization_id = d.organization_id AND e.run_id = d.id;
    RETURN NULL;
END $$;

CREATE TRIGGER forget_events AFTER DELETE ON runs
    REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT EXECUTE FUNCTION forget_run_events();

GRANT DELETE ON run_events TO gatehouse_definer;
ALTER FUNCTION forget_run_events OWNER TO gatehouse_definer;
