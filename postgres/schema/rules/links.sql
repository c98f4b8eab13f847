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

CREATE OR REPLACE FUNCTION find_circle(of link_kind, sources bigint[], targets bigint[], OUT ticket_id bigint, OUT other_id bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    -- Of the links that the new ones lead to, by where they lead: from where to where, by the numbers of the tickets, and
    -- what these are. Links to the ticket n are those from begins[n] on; ways[n] is how many lead on from it.
    ids bigint[];
    behind integer[];
    ahead integer[];
    begins integer[];
    ways integer[];
    -- Those which lead to no circle, for all that they lead to are among them.
    safe integer[];
    -- Of the others, one that each leads on to.
    following integer[];
    at integer := 1;
    seen bigint[] := '{}';
BEGIN
    IF cardinality(sources) = 1 THEN
        -- As nearly always: there is a circle if it leads to where it begins.
        WITH RECURSIVE reached(id) AS (
            SELECT targets[1] UNION SELECT links.other_id FROM reached JOIN links ON links.ticket_id = reached.id AND links.kind = of)
        SELECT sources[1], targets[1] INTO ticket_id, other_id FROM reached WHERE id = sources[1];
        RETURN;
    END IF;
    WITH RECURSIVE reached(id) AS (
        SELECT unnest(targets) UNION SELECT links.other_id FROM reached JOIN links ON links.ticket_id = reached.id AND links.kind = of),
    edges AS (
        SELECT row_number() OVER (ORDER BY links.other_id, links.ticket_id) AS edge, links.ticket_id AS source, links.other_id AS target
            FROM reached JOIN links ON links.ticket_id = reached.id AND links.kind = of),
    ends AS (
        SELECT edge, id, is_target, dense_rank() OVER (ORDER BY id)::integer AS n
            FROM edges, LATERAL (VALUES (source, false), (target, true)) AS both_ends(id, is_target))
    SELECT array_agg(DISTINCT id ORDER BY id), array_agg(n ORDER BY edge) FILTER (WHERE NOT is_target),
        array_agg(n ORDER BY edge) FILTER (WHERE is_target)
        INTO ids, behind, ahead FROM ends;
    IF ids IS NULL THEN
        RETURN;
    END IF;
    ways := array_fill(0, ARRAY[cardinality(ids)]);
    begins := array_fill(cardinality(ahead) + 1, ARRAY[cardinality(ids) + 1]);
    FOR place IN REVERSE cardinality(ahead) .. 1 LOOP
        ways[behind[place]] := ways[behind[place]] + 1;
        begins[ahead[place]] := place;
    END LOOP;
    -- To some, nothing leads.
    FOR n IN REVERSE cardinality(ids) .. 1 LOOP
        IF begins[n] > begins[n + 1] THEN
            begins[n] := begins[n + 1];
        END IF;
    END LOOP;
    safe := ARRAY(SELECT n FROM unnest(ways) WITH ORDINALITY AS counted(many, n) WHERE many = 0);
    WHILE at <= cardinality(safe) LOOP
        FOR place IN begins[safe[at]] .. begins[safe[at] + 1] - 1 LOOP
            ways[behind[place]] := ways[behind[place]] - 1;
            IF ways[behind[place]] = 0 THEN
                safe := array_append(safe, behind[place]);
            END IF;
        END LOOP;
        at := at + 1;
    END LOOP;
    IF cardinality(safe) = cardinality(ids) THEN
        RETURN;
    END IF;
    following := array_fill(0, ARRAY[cardinality(ids)]);
    FOR target IN 1 .. cardinality(ids) LOOP
        FOR place IN begins[target] .. begins[target + 1] - 1 LOOP
            IF ways[target] > 0 AND ways[behind[place]] > 0 THEN
                following[behind[place]] := target;
                at := target;
            END IF;
        END LOOP;
    END LOOP;
    -- After as many steps as there are tickets, this is one on a circle; after as many again, it was all around.
    FOR step IN 1 .. 2 * cardinality(ids) LOOP
        at := following[at];
        IF step > cardinality(ids) THEN
            seen := array_append(seen, ids[at]);
        END IF;
    END LOOP;
    SELECT new.source, new.target INTO ticket_id, other_id FROM unnest(sources, targets) AS new(source, target)
        JOIN (SELECT id, lead(id) OVER (ORDER BY n) AS next_id FROM unnest(seen || seen[1]) WITH ORDINALITY AS walked(id, n)) AS circle
            ON circle.id = new.source AND circle.next_id = new.target
        LIMIT 1;
END $$;
COMMENT ON FUNCTION find_circle(link_kind, bigint[], bigint[]) IS
    'Which of these links of a kind, all of which are there, is part of a circle: one of them, or NULL; in time that grows with all that they lead to';

CREATE OR REPLACE FUNCTION links_inserted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    -- The links of a kind that can make a circle, from where to where.
    made record;
    circle record;
BEGIN
    FOR made IN SELECT kind, array_agg(ticket_id) AS sources, array_agg(other_id) AS targets FROM new_rows
            WHERE kind IN ('blocks', 'parent') GROUP BY kind ORDER BY kind LOOP
        SELECT * INTO circle FROM find_circle(made.kind, made.sources, made.targets);
        IF circle.ticket_id IS NOT NULL THEN
            RAISE SQLSTATE 'IR002' USING MESSAGE = format(CASE made.kind
                WHEN 'blocks' THEN 'ticket %s can''t block ticket %s: it would be blocked by itself in the end'
                ELSE 'ticket %s can''t have the parent %s: it would be its own parent in the end' END,
                circle.ticket_id, circle.other_id);
        END IF;
    END LOOP;
    -- Both ends show the link, so both have a new version.
    WITH touched AS MATERIALIZED (SELECT * FROM touch(ARRAY(SELECT ticket_id FROM new_rows UNION ALL SELECT other_id FROM new_rows)))
    INSERT INTO stored_events (at, actor, source, ticket_id, kind, changes, kept_version, kept_updated, other_id, other_kept)
        SELECT this.at, left(actor(), 100), source(), new_rows.ticket_id, 'linked',
            jsonb_build_object('kind', jsonb_build_array(NULL, kind), 'other_id', jsonb_build_array(NULL, new_rows.other_id)),
            this.version, this.updated, new_rows.other_id,
            jsonb_build_object('version', jsonb_build_array(other.version), 'updated', jsonb_build_array(other.updated))
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
    INSERT INTO stored_events (at, actor, source, ticket_id, kind, changes, kept_version, kept_updated, other_id, other_kept)
        SELECT coalesce(this.at, other.at, after_last(old_rows.ticket_id)), left(actor(), 100), source(), old_rows.ticket_id, 'unlinked',
            jsonb_build_object('kind', jsonb_build_array(kind, NULL), 'other_id', jsonb_build_array(old_rows.other_id, NULL)),
            this.version, this.updated, old_rows.other_id,
            CASE WHEN other.ticket_id IS NOT NULL THEN jsonb_build_object('version', jsonb_build_array(other.version), 'updated', jsonb_build_array(other.updated)) END
        FROM old_rows LEFT JOIN touched AS this USING (ticket_id) LEFT JOIN touched AS other ON other.ticket_id = old_rows.other_id
        ORDER BY old_rows;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION links_deleted() IS 'Counts the versions of both ends on; writes history';

CREATE OR REPLACE TRIGGER links_inserted AFTER INSERT ON links
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION links_inserted();
CREATE OR REPLACE TRIGGER links_deleted AFTER DELETE ON links
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION links_deleted();
