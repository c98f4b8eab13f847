-- RULES OF LINKS: to somewhere, no circles, one parent; history

CREATE OR REPLACE FUNCTION links_before() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    parent_id bigint;
    absent text;
BEGIN
    -- Two halves of a circle, or two parents, written at once would not see each other.
    IF NEW.kind IN ('blocks', 'parent') THEN
        PERFORM latch('links');
    END IF;
    -- Locked, in the order of their numbers, so that they can't go before the link is there.
    PERFORM FROM tickets WHERE ticket_id IN (NEW.ticket_id, NEW.other_id) ORDER BY ticket_id FOR KEY SHARE;
    SELECT string_agg(id::text, ' and no ticket ') INTO absent FROM unnest(ARRAY[NEW.ticket_id, NEW.other_id]) AS id
        WHERE NOT EXISTS (SELECT FROM tickets WHERE ticket_id = id);
    IF absent IS NOT NULL THEN
        RAISE foreign_key_violation USING MESSAGE = format('there is no ticket %s', absent), CONSTRAINT = 'links_ticket_id_fkey';
    END IF;
    IF NEW.kind = 'parent' THEN
        SELECT other_id INTO parent_id FROM links
            WHERE ticket_id = NEW.ticket_id AND kind = 'parent' AND other_id <> NEW.other_id;
        IF FOUND THEN
            RAISE SQLSTATE 'IR003' USING MESSAGE = format('ticket %s already has a parent, ticket %s', NEW.ticket_id, parent_id),
                HINT = 'Unlink the one it has first.';
        END IF;
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION links_before() IS 'Refuses a link to nowhere and a second parent';

CREATE OR REPLACE TRIGGER links_before BEFORE INSERT ON links
    FOR EACH ROW EXECUTE FUNCTION links_before();

CREATE OR REPLACE FUNCTION links_inserted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    circle record;
BEGIN
    IF EXISTS (SELECT FROM new_rows WHERE kind IN ('blocks', 'parent')) THEN
        WITH RECURSIVE walk(ticket_id, kind, first_id, reached_id) AS (
            SELECT ticket_id, kind, other_id, other_id FROM new_rows WHERE kind IN ('blocks', 'parent')
            UNION
            SELECT walk.ticket_id, walk.kind, walk.first_id, links.other_id
                FROM walk JOIN links ON links.ticket_id = walk.reached_id AND links.kind = walk.kind)
        SELECT ticket_id, kind, first_id INTO circle FROM walk WHERE reached_id = ticket_id LIMIT 1;
        IF FOUND THEN
            RAISE SQLSTATE 'IR002' USING MESSAGE = format(CASE circle.kind
                WHEN 'blocks' THEN 'ticket %s can''t block ticket %s: it would be blocked by itself in the end'
                ELSE 'ticket %s can''t have the parent %s: it would be its own parent in the end' END,
                circle.ticket_id, circle.first_id);
        END IF;
    END IF;
    -- Both ends show the link, so both have a new version.
    WITH touched AS MATERIALIZED (SELECT * FROM touch(ARRAY(SELECT ticket_id FROM new_rows UNION ALL SELECT other_id FROM new_rows)))
    INSERT INTO events (at, actor, source, ticket_id, kind, changes, kept, other_id, other_kept)
        SELECT this.at, left(actor(), 100), source(), new_rows.ticket_id, 'linked',
            jsonb_build_object('kind', jsonb_build_array(NULL, kind), 'other_id', jsonb_build_array(NULL, new_rows.other_id)),
            this.kept, new_rows.other_id, other.kept
        FROM new_rows JOIN touched AS this USING (ticket_id) JOIN touched AS other ON other.ticket_id = new_rows.other_id
        ORDER BY new_rows;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION links_inserted() IS 'Refuses a circle of blocks or of parents; counts the versions of both ends on; writes history';

CREATE OR REPLACE FUNCTION links_deleted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM old_rows) THEN
        RETURN NULL;
    END IF;
    -- An end that goes with the link is not there to be touched any more.
    WITH touched AS MATERIALIZED (SELECT * FROM touch(ARRAY(SELECT ticket_id FROM old_rows UNION ALL SELECT other_id FROM old_rows)))
    INSERT INTO events (at, actor, source, ticket_id, kind, changes, kept, other_id, other_kept)
        SELECT coalesce(this.at, other.at, clock_timestamp()), left(actor(), 100), source(), old_rows.ticket_id, 'unlinked',
            jsonb_build_object('kind', jsonb_build_array(kind, NULL), 'other_id', jsonb_build_array(old_rows.other_id, NULL)),
            coalesce(this.kept, '{}'), old_rows.other_id, coalesce(other.kept, '{}')
        FROM old_rows LEFT JOIN touched AS this USING (ticket_id) LEFT JOIN touched AS other ON other.ticket_id = old_rows.other_id
        ORDER BY old_rows;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION links_deleted() IS 'Counts the versions of both ends on; writes history';

CREATE OR REPLACE TRIGGER links_inserted AFTER INSERT ON links
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION links_inserted();
CREATE OR REPLACE TRIGGER links_deleted AFTER DELETE ON links
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION links_deleted();
