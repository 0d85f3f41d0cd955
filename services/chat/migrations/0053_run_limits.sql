-- admit_run says whether one more run may start: "" when it may, else whose limit is
-- reached, "user" or "organization". 0 is no limit. It is asked in the transaction that
-- adds the run, and holds a lock until that one ends: of starts that come at once, each
-- counts those before it, on every replica.
CREATE FUNCTION admit_run(p_organization uuid, p_user uuid, p_per_user integer, p_per_organization integer) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = chat, pg_temp AS $$
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

REVOKE EXECUTE ON FUNCTION admit_run(uuid, uuid, integer, integer) FROM PUBLIC;
ALTER FUNCTION admit_run OWNER TO gatehouse_definer;

CREATE INDEX runs_live_user ON runs (user_id) WHERE finished_at IS NULL;
