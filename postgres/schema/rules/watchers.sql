-- RULES OF WATCHERS: who hears of a ticket. Who filed it, who is to do it, who commented on it and whom it calls by @ and their
-- name is seen by looking; only who joins or leaves by hand is written down (watches). So writing a ticket costs nothing
-- more, and what is deleted, brought back, imported or restored has its watchers with it.

CREATE OR REPLACE FUNCTION spoken(value text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN value ~ '`|~~~' THEN regexp_replace(
        regexp_replace(regexp_replace(value, '^ {0,3}?```.*?(?:^ {0,3}?```|\Z)', ' ', 'gw'), '^ {0,3}?~~~.*?(?:^ {0,3}?~~~|\Z)', ' ', 'gw'),
        '`+[^`\n]+`+', ' ', 'g')
    ELSE value END;
COMMENT ON FUNCTION spoken(text) IS 'A text without the code in it, as Markdown has it: `…` and what stands between lines of ```';

CREATE OR REPLACE FUNCTION is_mentioned(value text, names text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN strpos(value, '@') > 0 THEN spoken(value) ~* mentioning(names) ELSE false END;
COMMENT ON FUNCTION is_mentioned(text, text[]) IS 'Whether a text, not its code, mentions one of these names: is_mentioned(body, ''{alice}'')';

CREATE OR REPLACE FUNCTION mentioned(value text) RETURNS SETOF text
LANGUAGE sql STABLE PARALLEL SAFE
-- The very names that mentioning() finds.
BEGIN ATOMIC
    SELECT DISTINCT found[1] FROM regexp_matches(spoken(value), '(?<![[:alnum:]_.@+-])@([[:alnum:]_]+(?:[.@-][[:alnum:]_]+)*)', 'g') AS found
        WHERE strpos(value, '@') > 0 AND char_length(found[1]) <= 100;
END;
COMMENT ON FUNCTION mentioned(text) IS 'The names that a text, not its code, mentions: @alice';

CREATE OR REPLACE FUNCTION watches_before() RETURNS trigger
LANGUAGE plpgsql
-- As whoever writes: what they may is a part of the rule.
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND OLD.who <> actor() OR TG_OP <> 'DELETE' AND normalize(NEW.who) <> actor() THEN
        IF NOT has_any_column_privilege('tickets', 'UPDATE') THEN
            RAISE insufficient_privilege USING MESSAGE = 'permission denied for watchers other than oneself';
        END IF;
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    ELSIF NEW.ticket_id IS NULL OR NEW.who IS NULL THEN
        RAISE not_null_violation USING MESSAGE = CASE WHEN NEW.who IS NULL THEN 'who' ELSE 'ticket_id' END || ' is required',
            COLUMN = CASE WHEN NEW.who IS NULL THEN 'who' ELSE 'ticket_id' END;
    END IF;
    NEW.who := normalize(NEW.who);
    NEW.muted := coalesce(NEW.muted, false);
    IF TG_OP = 'INSERT' AND NOT EXISTS (SELECT FROM tickets WHERE ticket_id = NEW.ticket_id) THEN
        RAISE foreign_key_violation USING MESSAGE = format('there is no ticket %s', NEW.ticket_id),
            CONSTRAINT = 'watches_ticket_id_fkey', COLUMN = 'ticket_id';
    ELSIF TG_OP = 'UPDATE' THEN
        NEW.ticket_id := OLD.ticket_id;
        NEW.who := OLD.who;
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION watches_before() IS 'Keeps who joined and left to tickets that are there, and readers to themselves';

CREATE OR REPLACE TRIGGER watches_before BEFORE INSERT OR UPDATE OR DELETE ON watches
    FOR EACH ROW EXECUTE FUNCTION watches_before();

CREATE OR REPLACE VIEW watchers AS
    SELECT ticket_id, who, bool_or(muted) AS muted FROM (
        SELECT ticket_id, reporter AS who, false AS muted FROM tickets
        UNION ALL
        SELECT ticket_id, assignee, false FROM tickets WHERE assignee IS NOT NULL
        UNION ALL
        SELECT ticket_id, who, false FROM tickets CROSS JOIN LATERAL mentioned(concat_ws(E'\n', title, description)) AS who
        UNION ALL
        SELECT ticket_id, author, false FROM comments
        UNION ALL
        SELECT ticket_id, who, false FROM comments CROSS JOIN LATERAL mentioned(body) AS who
        UNION ALL
        SELECT ticket_id, who, muted FROM watches JOIN tickets USING (ticket_id)
    ) AS each_one GROUP BY ticket_id, who;
COMMENT ON VIEW watchers IS
    'Who hears of a ticket: who filed it, is to do it, commented on it, is called there by @ and their name, or joined. INSERT joins; DELETE leaves, for good (muted)';
COMMENT ON COLUMN watchers.ticket_id IS 'The ticket';
COMMENT ON COLUMN watchers.who IS 'Who it is';
COMMENT ON COLUMN watchers.muted IS 'Whether they left: they hear nothing of it, whoever calls them';

CREATE OR REPLACE FUNCTION watchers_instead() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    INSERT INTO watches (ticket_id, who, muted)
        VALUES (CASE TG_OP WHEN 'INSERT' THEN NEW.ticket_id ELSE OLD.ticket_id END, CASE TG_OP WHEN 'INSERT' THEN NEW.who ELSE OLD.who END,
            CASE TG_OP WHEN 'DELETE' THEN true ELSE coalesce(NEW.muted, false) END)
        ON CONFLICT ON CONSTRAINT watches_pkey DO UPDATE SET muted = excluded.muted WHERE watches.muted <> excluded.muted;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
COMMENT ON FUNCTION watchers_instead() IS 'Writes down who joins and who leaves';

CREATE OR REPLACE TRIGGER watchers_instead INSTEAD OF INSERT OR UPDATE OR DELETE ON watchers
    FOR EACH ROW EXECUTE FUNCTION watchers_instead();

CREATE OR REPLACE FUNCTION watched(whose text) RETURNS SETOF bigint
LANGUAGE sql STABLE PARALLEL SAFE
-- As the view has it, from the other end: each by an index.
BEGIN ATOMIC
    SELECT ticket_id FROM (
        SELECT ticket_id FROM tickets WHERE reporter = whose
        UNION ALL
        SELECT ticket_id FROM tickets WHERE assignee = whose
        UNION ALL
        SELECT ticket_id FROM comments WHERE author = whose
        UNION ALL
        SELECT searches.ticket_id FROM searches WHERE words @@ wanted(whose) AND CASE WHEN comment_id = 0
            THEN (SELECT is_mentioned(concat_ws(E'\n', title, description), ARRAY[whose]) FROM tickets WHERE tickets.ticket_id = searches.ticket_id)
            ELSE (SELECT is_mentioned(body, ARRAY[whose]) FROM comments
                WHERE (comments.ticket_id, comments.comment_id) = (searches.ticket_id, searches.comment_id)) END
        UNION ALL
        SELECT ticket_id FROM watches WHERE who = whose
    ) AS each_one WHERE NOT EXISTS (SELECT FROM watches WHERE watches.ticket_id = each_one.ticket_id AND who = whose AND muted);
END;
COMMENT ON FUNCTION watched(text) IS 'The numbers of the tickets that somebody watches, some more than once; also of those that they joined and that are gone';

-- A view is not among what is revoked before the rules run.
REVOKE ALL ON watchers FROM PUBLIC, iris, iris_service, iris_reader, iris_writer, iris_admin;
GRANT EXECUTE ON FUNCTION spoken(text), is_mentioned(text, text[]), mentioned(text), watched(text) TO iris_reader;
