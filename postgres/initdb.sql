-- Iris: the whole database, read from top to bottom by psql.
--
--   IRIS_PASS=… psql -v ON_ERROR_STOP=1 -d iris -f postgres/initdb.sql
--
-- Run it once, as the database's owner, in an empty database. Rules live here, so that they hold
-- for whoever writes: HTTP and psql are refused alike, with the same words. A database that is
-- there already is brought up to date by `iris db upgrade` (postgres/migrations), which ends in
-- the very same schema.

\set ON_ERROR_STOP on
\getenv iris_pass IRIS_PASS
\if :{?iris_pass}
\else
    \warn 'initdb.sql: IRIS_PASS is not set: it is the password that the role iris will get.'
    DO $$ BEGIN RAISE EXCEPTION 'IRIS_PASS is not set'; END $$;
\endif

BEGIN;


-- ROLES ------------------------------------------------------------------------------------------
-- The service connects as `iris`, and psql is best used as `iris`, too. It owns nothing.

-- Roles belong to the whole server and outlive a database, so this may find its own work.
SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'iris') AS role_is_new \gset
\if :role_is_new
    CREATE ROLE iris LOGIN;
\endif
ALTER ROLE iris PASSWORD :'iris_pass';
-- Times are shown in UTC at both doors.
ALTER DATABASE :"DBNAME" SET timezone TO 'UTC';
-- For disks without arms, and for tables that mostly fit into memory. By the default, 4, a search in
-- 20,000 tickets read all of them.
ALTER DATABASE :"DBNAME" SET random_page_cost TO 1.1;

-- >>> What stands between here and the <<< is also the first migration.

-- A function is for whom it is granted to: with the right to execute a trigger function, one could
-- hang it on a table of one's own and write what only the rules may write.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO iris;


-- TYPES AND SMALL FUNCTIONS ----------------------------------------------------------------------

CREATE TYPE priority AS ENUM ('low', 'normal', 'high', 'urgent');
COMMENT ON TYPE priority IS 'How much a ticket matters; sorts in this order';

CREATE TYPE link_kind AS ENUM ('blocks', 'duplicates', 'parent', 'relates');
COMMENT ON TYPE link_kind IS 'What ticket_id is to other_id: it blocks it, duplicates it, has it as its parent, relates to it';

CREATE FUNCTION actor() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(nullif(current_setting('iris.actor', true), ''), session_user::text);
COMMENT ON FUNCTION actor() IS 'Who is acting: the setting iris.actor, else the session''s user';

CREATE FUNCTION source() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(nullif(current_setting('application_name'), ''), 'sql');
COMMENT ON FUNCTION source() IS 'By which door: http, or the client''s application_name, such as psql';

CREATE FUNCTION refuse(words text, rule text, about text) RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE check_violation USING MESSAGE = words, CONSTRAINT = rule, COLUMN = about;
END $$;
COMMENT ON FUNCTION refuse(text, text, text) IS
    'Stands behind OR in a constraint: refuses in words that a person understands, and costs nothing while the constraint holds';

CREATE FUNCTION is_blank(value text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- All that Unicode calls white space and the two invisible characters that texts get by pasting;
-- spelled out, for a regular expression's \s depends on how the server was initialised.
RETURN btrim(value, U&'\0009\000A\000B\000C\000D\0020\0085\00A0\1680\2000\2001\2002\2003\2004\2005\2006\2007\2008\2009\200A\200B\2028\2029\202F\205F\3000\FEFF') = '';
COMMENT ON FUNCTION is_blank(text) IS 'Whether a text is empty or holds nothing that can be seen';

CREATE FUNCTION ticket_words(title text, description text, labels text[]) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN setweight(to_tsvector('simple', title), 'A')
    || setweight(to_tsvector('simple', array_to_string(labels, ' ', '')), 'B')
    || setweight(to_tsvector('simple', coalesce(description, '')), 'C');
COMMENT ON FUNCTION ticket_words(text, text, text[]) IS 'A ticket''s own words, for searching; comments have theirs';

CREATE FUNCTION changed(name text, old anycompatible, new anycompatible) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT CASE WHEN old IS DISTINCT FROM new THEN jsonb_build_object(name, jsonb_build_array(old, new)) ELSE '{}' END $$;
COMMENT ON FUNCTION changed(text, anycompatible, anycompatible) IS 'One column''s part of a change: {name: [old, new]}, or nothing if they are the same';

GRANT EXECUTE ON FUNCTION actor(), source(), refuse(text, text, text), is_blank(text),
    ticket_words(text, text, text[]) TO iris;


-- WORKFLOW ---------------------------------------------------------------------------------------

CREATE TABLE statuses (
    status text CONSTRAINT statuses_pkey PRIMARY KEY,
    position integer NOT NULL,
    is_open boolean NOT NULL DEFAULT true,
    -- Commas separate the values of a filter, and ! negates one.
    CONSTRAINT statuses_status_check CHECK (
        (char_length(status) BETWEEN 1 AND 50 AND status !~ '[,[:cntrl:]]' AND status !~ '^[! ]| $' AND NOT is_blank(status))
        OR refuse('a status has 1 to 50 characters, no comma, no ! in front and no blank at either end', 'statuses_status_check', 'status')),
    -- Deferrable, so that one statement can swap two.
    CONSTRAINT statuses_position_key UNIQUE (position) DEFERRABLE
);
COMMENT ON TABLE statuses IS 'What a ticket can be; the one with the lowest position is where tickets start';
COMMENT ON COLUMN statuses.status IS 'Its name, 1 to 50 characters';
COMMENT ON COLUMN statuses.position IS 'Its place in the workflow, lowest first';
COMMENT ON COLUMN statuses.is_open IS 'Whether a ticket in it still wants work';

CREATE TABLE transitions (
    from_status text NOT NULL CONSTRAINT transitions_from_status_fkey REFERENCES statuses ON DELETE CASCADE ON UPDATE CASCADE,
    to_status text NOT NULL CONSTRAINT transitions_to_status_fkey REFERENCES statuses ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT transitions_pkey PRIMARY KEY (from_status, to_status),
    CONSTRAINT transitions_self_check CHECK (from_status <> to_status
        OR refuse(format('"%s" needs no transition to itself', to_status), 'transitions_self_check', 'to_status'))
);
-- Serves the foreign key when a status is dropped.
CREATE INDEX transitions_to_status_idx ON transitions (to_status);
COMMENT ON TABLE transitions IS 'Which status may follow which; what is not here is refused';
COMMENT ON COLUMN transitions.from_status IS 'The status a ticket is in';
COMMENT ON COLUMN transitions.to_status IS 'A status it may go to from there';

CREATE FUNCTION first_status() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN (SELECT status FROM statuses ORDER BY position LIMIT 1);
COMMENT ON FUNCTION first_status() IS 'Where tickets start';

GRANT EXECUTE ON FUNCTION first_status() TO iris;


-- TICKETS ----------------------------------------------------------------------------------------

CREATE FUNCTION ticket_fits(title text, description text, assignee text, reporter text, labels text[], fields jsonb, due timestamptz)
RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
-- One function for all columns, which a session prepares once: every statement prepares every CHECK
-- anew, and seven of them took longer than writing the row.
AS $$
DECLARE
    label text;
BEGIN
    IF char_length(title) > 300 OR public.is_blank(title) THEN
        RETURN public.refuse('title must have 1 to 300 characters, not only blanks', 'tickets_check', 'title');
    ELSIF char_length(description) > 100000 THEN
        RETURN public.refuse('description must have at most 100,000 characters', 'tickets_check', 'description');
    ELSIF char_length(assignee) > 100 THEN
        RETURN public.refuse('assignee must have at most 100 characters', 'tickets_check', 'assignee');
    ELSIF char_length(reporter) > 100 OR public.is_blank(reporter) THEN
        RETURN public.refuse('reporter must have 1 to 100 characters, not only blanks', 'tickets_check', 'reporter');
    ELSIF jsonb_typeof(fields) <> 'object' OR octet_length(fields::text) > 16384 THEN
        RETURN public.refuse('fields must be a JSON object of at most 16 KiB', 'tickets_check', 'fields');
    ELSIF NOT isfinite(due) THEN
        RETURN public.refuse('due must be a finite time', 'tickets_check', 'due');
    END IF;
    FOREACH label IN ARRAY labels LOOP
        IF label IS NULL OR char_length(label) > 50 OR cardinality(labels) > 50 OR array_ndims(labels) > 1 THEN
            RETURN public.refuse('labels must be a list of at most 50 texts of at most 50 characters', 'tickets_check', 'labels');
        END IF;
    END LOOP;
    RETURN true;
END $$;
COMMENT ON FUNCTION ticket_fits(text, text, text, text, text[], jsonb, timestamptz) IS
    'Whether a ticket''s columns are what they may be; refuses what is not, in words';

GRANT EXECUTE ON FUNCTION ticket_fits(text, text, text, text, text[], jsonb, timestamptz) TO iris;

CREATE TABLE tickets (
    ticket_id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT tickets_pkey PRIMARY KEY,
    title text NOT NULL,
    description text,
    status text NOT NULL DEFAULT first_status() CONSTRAINT tickets_status_fkey REFERENCES statuses,
    assignee text,
    reporter text NOT NULL DEFAULT actor(),
    priority priority NOT NULL DEFAULT 'normal',
    labels text[] NOT NULL DEFAULT '{}',
    fields jsonb NOT NULL DEFAULT '{}',
    due timestamptz,
    created timestamptz NOT NULL,
    updated timestamptz NOT NULL,
    closed timestamptz,
    version bigint NOT NULL,
    CONSTRAINT tickets_check CHECK (ticket_fits(title, description, assignee, reporter, labels, fields, due))
);
COMMENT ON TABLE tickets IS 'The tickets';
COMMENT ON COLUMN tickets.ticket_id IS 'Its number, made by the database, never given';
COMMENT ON COLUMN tickets.title IS 'One line, 1 to 300 characters';
COMMENT ON COLUMN tickets.description IS 'All there is to say, up to 100,000 characters';
COMMENT ON COLUMN tickets.status IS 'Where it stands in the workflow; starts at the first status';
COMMENT ON COLUMN tickets.assignee IS 'Who works on it, up to 100 characters';
COMMENT ON COLUMN tickets.reporter IS 'Who filed it; the actor, unless given';
COMMENT ON COLUMN tickets.priority IS 'How much it matters';
COMMENT ON COLUMN tickets.labels IS 'Up to 50 words of up to 50 characters, sorted, no repeats';
COMMENT ON COLUMN tickets.fields IS 'Anything else a team wants to keep, a JSON object of up to 16 KiB';
COMMENT ON COLUMN tickets.due IS 'When it should be done';
COMMENT ON COLUMN tickets.created IS 'When it was filed; kept by the database';
COMMENT ON COLUMN tickets.updated IS 'When it, its comments or its links last changed; kept by the database';
COMMENT ON COLUMN tickets.closed IS 'When its status stopped being open, null while it is open; kept by the database';
COMMENT ON COLUMN tickets.version IS '1 at first, +1 with every change of the ticket, its comments or its links; kept by the database';

-- The list as it comes, newest first; created_before and created_after.
CREATE INDEX tickets_created_idx ON tickets (created, ticket_id);
-- sort=updated; updated_before and updated_after.
CREATE INDEX tickets_updated_idx ON tickets (updated, ticket_id);
-- sort=due, in which tickets without one come last; due_before, due_after and overdue.
CREATE INDEX tickets_due_idx ON tickets (coalesce(due, 'infinity'), ticket_id);
-- sort=priority, and its filter.
CREATE INDEX tickets_priority_idx ON tickets (priority, created, ticket_id);
-- The filters people use most, each with the order of the list behind it. The first one also
-- answers whether a status is in use.
CREATE INDEX tickets_status_idx ON tickets (status, created, ticket_id);
CREATE INDEX tickets_assignee_idx ON tickets (assignee, created, ticket_id);
CREATE INDEX tickets_reporter_idx ON tickets (reporter, created, ticket_id);
-- open=true: most tickets of an old tracker are closed.
CREATE INDEX tickets_open_idx ON tickets (created, ticket_id) WHERE closed IS NULL;
-- What somebody has to do, most urgent first: open=true&assignee=…&sort=-priority.
CREATE INDEX tickets_todo_idx ON tickets (assignee, priority, created, ticket_id) WHERE closed IS NULL;
-- closed_before and closed_after.
CREATE INDEX tickets_closed_idx ON tickets (closed) WHERE closed IS NOT NULL;
-- label= and fields.NAME=.
CREATE INDEX tickets_labels_idx ON tickets USING gin (labels);
CREATE INDEX tickets_fields_idx ON tickets USING gin (fields jsonb_path_ops);

CREATE FUNCTION tickets_before() RETURNS trigger
LANGUAGE plpgsql
-- Names are qualified rather than a search_path set, which every single row would pay for.
AS $$
DECLARE
    missing text := CASE WHEN NEW.title IS NULL THEN 'title' WHEN NEW.status IS NULL THEN 'status'
        WHEN NEW.reporter IS NULL THEN 'reporter' WHEN NEW.priority IS NULL THEN 'priority'
        WHEN NEW.labels IS NULL THEN 'labels' WHEN NEW.fields IS NULL THEN 'fields' END;
    open boolean;
    advice text;
BEGIN
    IF missing IS NOT NULL THEN
        RAISE not_null_violation USING MESSAGE = missing || ' is required', COLUMN = missing;
    END IF;
    IF cardinality(NEW.labels) > 1 THEN
        NEW.labels := ARRAY(SELECT DISTINCT label COLLATE "C" FROM unnest(NEW.labels) AS label ORDER BY 1);
    END IF;

    IF TG_OP = 'INSERT' THEN
        NEW.version := 1;
        NEW.created := clock_timestamp();
        NEW.updated := NEW.created;
    ELSE
        NEW.ticket_id := OLD.ticket_id;
        NEW.created := OLD.created;
        -- Only the rules themselves, which run as the tables' owner, may count a version on and say
        -- when: a comment came, or a status was declared closed.
        IF NEW.version <> OLD.version
            AND current_user::regrole = (SELECT relowner FROM pg_catalog.pg_class WHERE oid = TG_RELID) THEN
            RETURN NEW;
        END IF;
        NEW.version := OLD.version;
        NEW.updated := OLD.updated;
        NEW.closed := OLD.closed;
        IF (NEW.title, NEW.description, NEW.status, NEW.assignee, NEW.reporter, NEW.priority, NEW.labels, NEW.fields, NEW.due)
            IS NOT DISTINCT FROM
            (OLD.title, OLD.description, OLD.status, OLD.assignee, OLD.reporter, OLD.priority, OLD.labels, OLD.fields, OLD.due) THEN
            RETURN NEW;
        END IF;
        NEW.version := OLD.version + 1;
        -- The row is locked by now, so a ticket's times are in the order of its versions; one
        -- microsecond on, where the clock was set back.
        NEW.updated := greatest(clock_timestamp(), OLD.updated + interval '1 microsecond');
        IF NEW.status = OLD.status THEN
            RETURN NEW;
        END IF;
    END IF;

    SELECT is_open INTO open FROM public.statuses WHERE status = NEW.status;
    IF NOT FOUND THEN
        SELECT 'The workflow has: ' || string_agg(status, ', ' ORDER BY position) INTO advice FROM public.statuses;
        RAISE foreign_key_violation USING MESSAGE = format('there is no status "%s"', NEW.status), HINT = advice,
            CONSTRAINT = 'tickets_status_fkey', COLUMN = 'status';
    END IF;
    IF TG_OP = 'UPDATE' AND NOT EXISTS (
        SELECT FROM public.transitions WHERE from_status = OLD.status AND to_status = NEW.status) THEN
        SELECT format('From "%s" it may go ', OLD.status) || coalesce('to: ' || string_agg(to_status, ', ' ORDER BY position), 'nowhere')
            INTO advice FROM public.transitions JOIN public.statuses ON status = to_status WHERE from_status = OLD.status;
        RAISE SQLSTATE 'IR001' USING HINT = advice, COLUMN = 'status',
            MESSAGE = format('ticket %s can''t go from "%s" to "%s"', OLD.ticket_id, OLD.status, NEW.status);
    END IF;
    NEW.closed := CASE WHEN open THEN NULL
        WHEN TG_OP = 'UPDATE' AND OLD.closed IS NOT NULL THEN OLD.closed
        ELSE NEW.updated END;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION tickets_before() IS 'Keeps what the database keeps of a ticket, and holds it to the workflow';

CREATE TRIGGER tickets_before BEFORE INSERT OR UPDATE ON tickets
    FOR EACH ROW EXECUTE FUNCTION tickets_before();

CREATE FUNCTION touch(ids bigint[]) RETURNS TABLE (ticket_id bigint, at timestamptz, kept jsonb)
LANGUAGE plpgsql
-- Otherwise plans are made anew each time, for PostgreSQL takes an unknown list for a longer one.
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    moment timestamptz;
BEGIN
    -- Locked in the order of their numbers, so that two who touch the same tickets can't deadlock;
    -- one time for all of them, which is later than any of them has seen.
    SELECT greatest(clock_timestamp(), max(updated) + interval '1 microsecond') INTO moment
        FROM (SELECT updated FROM tickets WHERE ticket_id = ANY (ids) ORDER BY ticket_id FOR NO KEY UPDATE) AS locked;
    RETURN QUERY
        UPDATE tickets SET version = old.version + cardinality(array_positions(ids, old.ticket_id)), updated = moment
            FROM tickets AS old WHERE old.ticket_id = ANY (ids) AND tickets.ticket_id = old.ticket_id
            RETURNING old.ticket_id, moment,
                jsonb_build_object('version', jsonb_build_array(old.version), 'updated', jsonb_build_array(old.updated));
END $$;
COMMENT ON FUNCTION touch(bigint[]) IS
    'Counts the version of tickets on, once for each time they are named, when what hangs on them changed; gives when, and what they were';


-- COMMENTS ---------------------------------------------------------------------------------------

CREATE FUNCTION comment_fits(author text, body text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
    IF char_length(author) > 100 OR public.is_blank(author) THEN
        RETURN public.refuse('author must have 1 to 100 characters, not only blanks', 'comments_check', 'author');
    ELSIF char_length(body) > 100000 OR public.is_blank(body) THEN
        RETURN public.refuse('body must have 1 to 100,000 characters, not only blanks', 'comments_check', 'body');
    END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION comment_fits(text, text) IS 'Whether a comment''s columns are what they may be; refuses what is not, in words';

GRANT EXECUTE ON FUNCTION comment_fits(text, text) TO iris;

CREATE TABLE comments (
    comment_id bigint GENERATED ALWAYS AS IDENTITY,
    ticket_id bigint NOT NULL CONSTRAINT comments_ticket_id_fkey REFERENCES tickets ON DELETE CASCADE,
    author text NOT NULL DEFAULT actor(),
    body text NOT NULL,
    created timestamptz NOT NULL,
    updated timestamptz NOT NULL,
    -- The very index that reading a ticket with its comments needs.
    CONSTRAINT comments_pkey PRIMARY KEY (ticket_id, comment_id),
    CONSTRAINT comments_check CHECK (comment_fits(author, body))
);
COMMENT ON TABLE comments IS 'What people say about a ticket';
COMMENT ON COLUMN comments.comment_id IS 'Its number, made by the database, never given';
COMMENT ON COLUMN comments.ticket_id IS 'The ticket it is about';
COMMENT ON COLUMN comments.author IS 'Who wrote it; the actor, unless given';
COMMENT ON COLUMN comments.body IS 'What was written, 1 to 100,000 characters';
COMMENT ON COLUMN comments.created IS 'When it was written; kept by the database';
COMMENT ON COLUMN comments.updated IS 'When it was last changed; kept by the database';

-- One comment by its number, and all of them newest first. Not unique: identity sees to that.
CREATE INDEX comments_comment_id_idx ON comments (comment_id);
-- author=, created_before and created_after.
CREATE INDEX comments_author_idx ON comments (author, comment_id);
CREATE INDEX comments_created_idx ON comments (created);

CREATE FUNCTION comments_before() RETURNS trigger
LANGUAGE plpgsql
AS $$
DECLARE
    missing text := CASE WHEN NEW.ticket_id IS NULL THEN 'ticket_id' WHEN NEW.author IS NULL THEN 'author'
        WHEN NEW.body IS NULL THEN 'body' END;
BEGIN
    IF missing IS NOT NULL THEN
        RAISE not_null_violation USING MESSAGE = missing || ' is required', COLUMN = missing;
    END IF;
    IF TG_OP = 'INSERT' THEN
        IF NOT EXISTS (SELECT FROM public.tickets WHERE ticket_id = NEW.ticket_id) THEN
            RAISE foreign_key_violation USING MESSAGE = format('there is no ticket %s', NEW.ticket_id),
                CONSTRAINT = 'comments_ticket_id_fkey', COLUMN = 'ticket_id';
        END IF;
        NEW.created := clock_timestamp();
        NEW.updated := NEW.created;
    ELSE
        NEW.comment_id := OLD.comment_id;
        NEW.ticket_id := OLD.ticket_id;
        NEW.author := OLD.author;
        NEW.created := OLD.created;
        NEW.updated := CASE WHEN NEW.body = OLD.body THEN OLD.updated
            ELSE greatest(clock_timestamp(), OLD.updated + interval '1 microsecond') END;
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION comments_before() IS 'Keeps what the database keeps of a comment';

CREATE TRIGGER comments_before BEFORE INSERT OR UPDATE ON comments
    FOR EACH ROW EXECUTE FUNCTION comments_before();


-- LINKS ------------------------------------------------------------------------------------------

CREATE TABLE links (
    ticket_id bigint NOT NULL CONSTRAINT links_ticket_id_fkey REFERENCES tickets ON DELETE CASCADE,
    kind link_kind NOT NULL,
    other_id bigint NOT NULL CONSTRAINT links_other_id_fkey REFERENCES tickets ON DELETE CASCADE,
    CONSTRAINT links_pkey PRIMARY KEY (ticket_id, kind, other_id),
    CONSTRAINT links_self_check CHECK (ticket_id <> other_id
        OR refuse('a ticket can''t be linked to itself', 'links_self_check', 'other_id'))
);
COMMENT ON TABLE links IS 'How tickets hang together';
COMMENT ON COLUMN links.ticket_id IS 'The ticket that blocks, duplicates, relates, or has a parent';
COMMENT ON COLUMN links.kind IS 'blocks, duplicates, parent or relates';
COMMENT ON COLUMN links.other_id IS 'The ticket that is blocked, duplicated, related to, or is the parent';

-- A ticket's links from the other side; linked=.
CREATE INDEX links_other_id_idx ON links (other_id, kind, ticket_id);
-- At most one parent, also when two are given at the same instant.
CREATE UNIQUE INDEX links_parent_key ON links (ticket_id) WHERE kind = 'parent';

CREATE FUNCTION links_before() RETURNS trigger
LANGUAGE plpgsql
AS $$
DECLARE
    parent_id bigint;
    absent text;
BEGIN
    SELECT string_agg(id::text, ' and no ticket ') INTO absent FROM unnest(ARRAY[NEW.ticket_id, NEW.other_id]) AS id
        WHERE NOT EXISTS (SELECT FROM public.tickets WHERE ticket_id = id);
    IF absent IS NOT NULL THEN
        RAISE foreign_key_violation USING MESSAGE = format('there is no ticket %s', absent), CONSTRAINT = 'links_ticket_id_fkey';
    END IF;
    IF NEW.kind = 'parent' THEN
        SELECT other_id INTO parent_id FROM public.links
            WHERE ticket_id = NEW.ticket_id AND kind = 'parent' AND other_id <> NEW.other_id;
        IF FOUND THEN
            RAISE SQLSTATE 'IR003' USING MESSAGE = format('ticket %s already has a parent, ticket %s', NEW.ticket_id, parent_id),
                HINT = 'Unlink the one it has first.';
        END IF;
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION links_before() IS 'Refuses a link to nowhere and a second parent';

CREATE TRIGGER links_before BEFORE INSERT ON links
    FOR EACH ROW EXECUTE FUNCTION links_before();

CREATE FUNCTION links_inserted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    circle record;
BEGIN
    IF EXISTS (SELECT FROM new_rows WHERE kind IN ('blocks', 'parent')) THEN
        -- Two halves of a circle, written at once, would not see each other: one at a time, and
        -- with eyes that are younger than the lock, which other isolation levels don't have.
        IF current_setting('transaction_isolation') <> 'read committed' THEN
            RAISE 'links of the kinds blocks and parent are written in READ COMMITTED transactions only' USING ERRCODE = '0A000';
        END IF;
        PERFORM pg_advisory_xact_lock(hashtext('iris links'));
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
            changed('kind', NULL, kind::text) || changed('other_id', NULL, new_rows.other_id),
            this.kept, new_rows.other_id, other.kept
        FROM new_rows JOIN touched AS this USING (ticket_id) JOIN touched AS other ON other.ticket_id = new_rows.other_id
        ORDER BY new_rows;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION links_inserted() IS 'Refuses a circle of blocks or of parents; counts the versions of both ends on; writes history';

CREATE FUNCTION links_deleted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM old_rows) THEN
        RETURN NULL;
    END IF;
    -- An end that goes with the link is not there to be touched any more.
    WITH touched AS MATERIALIZED (SELECT * FROM touch(ARRAY(SELECT ticket_id FROM old_rows UNION ALL SELECT other_id FROM old_rows)))
    INSERT INTO events (at, actor, source, ticket_id, kind, changes, kept, other_id, other_kept)
        SELECT coalesce(this.at, other.at, clock_timestamp()), left(actor(), 100), source(), old_rows.ticket_id, 'unlinked',
            changed('kind', kind::text, NULL) || changed('other_id', old_rows.other_id, NULL),
            coalesce(this.kept, '{}'), old_rows.other_id, coalesce(other.kept, '{}')
        FROM old_rows LEFT JOIN touched AS this USING (ticket_id) LEFT JOIN touched AS other ON other.ticket_id = old_rows.other_id
        ORDER BY old_rows;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION links_deleted() IS 'Counts the versions of both ends on; writes history';

CREATE TRIGGER links_inserted AFTER INSERT ON links
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION links_inserted();
CREATE TRIGGER links_deleted AFTER DELETE ON links
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION links_deleted();


-- SEARCH -----------------------------------------------------------------------------------------
-- Words stand beside the tickets, not in them: in the row itself every change of status would cost
-- all of its words once more, in the row and in the index.

CREATE TABLE searches (
    ticket_id bigint NOT NULL,
    comment_id bigint NOT NULL,
    words tsvector NOT NULL,
    CONSTRAINT searches_pkey PRIMARY KEY (ticket_id, comment_id)
);
COMMENT ON TABLE searches IS 'The words of tickets and comments; kept by the database';
COMMENT ON COLUMN searches.ticket_id IS 'The ticket';
COMMENT ON COLUMN searches.comment_id IS 'The comment whose words these are, 0 for the ticket''s own';
COMMENT ON COLUMN searches.words IS 'Title (A), labels (B), description (C), comment (D)';

-- q=.
CREATE INDEX searches_words_idx ON searches USING gin (words);
-- So that 5,000 words are known by how common they are: a word that isn't known was taken for a common
-- one, of which the newest are found by date, and looked for in every single ticket.
ALTER TABLE searches ALTER words SET STATISTICS 500;

CREATE FUNCTION tickets_after() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    changes jsonb;
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO searches VALUES (NEW.ticket_id, 0, ticket_words(NEW.title, NEW.description, NEW.labels));
        INSERT INTO events (at, actor, source, ticket_id, kind, changes)
            VALUES (NEW.created, left(actor(), 100), source(), NEW.ticket_id, 'created',
                -- All that is never null at once: to add one to another is to copy it.
                jsonb_build_object('title', jsonb_build_array(NULL, NEW.title), 'status', jsonb_build_array(NULL, NEW.status),
                    'reporter', jsonb_build_array(NULL, NEW.reporter), 'priority', jsonb_build_array(NULL, NEW.priority),
                    'labels', jsonb_build_array(NULL, NEW.labels), 'fields', jsonb_build_array(NULL, NEW.fields))
                 || changed('description', NULL, NEW.description) || changed('assignee', NULL, NEW.assignee)
                 || changed('due', NULL, NEW.due));
    ELSIF TG_OP = 'DELETE' THEN
        DELETE FROM searches WHERE ticket_id = OLD.ticket_id;
        INSERT INTO events (at, actor, source, ticket_id, kind, changes, kept)
            VALUES (greatest(clock_timestamp(), OLD.updated + interval '1 microsecond'), left(actor(), 100), source(), OLD.ticket_id, 'deleted',
                changed('title', OLD.title, NULL) || changed('description', OLD.description, NULL)
                 || changed('status', OLD.status, NULL) || changed('assignee', OLD.assignee, NULL)
                 || changed('reporter', OLD.reporter, NULL) || changed('priority', OLD.priority, NULL)
                 || changed('labels', OLD.labels, NULL) || changed('fields', OLD.fields, NULL)
                 || changed('due', OLD.due, NULL),
                jsonb_build_object('version', jsonb_build_array(OLD.version), 'created', jsonb_build_array(OLD.created),
                    'updated', jsonb_build_array(OLD.updated), 'closed', jsonb_build_array(OLD.closed)));
    ELSE
        changes := changed('title', OLD.title, NEW.title) || changed('description', OLD.description, NEW.description)
             || changed('status', OLD.status, NEW.status) || changed('assignee', OLD.assignee, NEW.assignee)
             || changed('reporter', OLD.reporter, NEW.reporter) || changed('priority', OLD.priority, NEW.priority)
             || changed('labels', OLD.labels, NEW.labels) || changed('fields', OLD.fields, NEW.fields)
             || changed('due', OLD.due, NEW.due);
        IF changes = '{}' THEN
            -- What is closed follows the status, unless the status itself was declared closed.
            changes := changed('closed', OLD.closed, NEW.closed);
            IF changes = '{}' THEN
                RETURN NULL;
            END IF;
        END IF;
        INSERT INTO events (at, actor, source, ticket_id, kind, changes, kept)
            VALUES (NEW.updated, left(actor(), 100), source(), NEW.ticket_id, 'changed', changes,
                jsonb_build_object('version', jsonb_build_array(OLD.version),
                    'updated', jsonb_build_array(OLD.updated), 'closed', jsonb_build_array(OLD.closed)));
        IF changes ?| '{title,description,labels}' THEN
            UPDATE searches SET words = ticket_words(NEW.title, NEW.description, NEW.labels)
                WHERE ticket_id = NEW.ticket_id AND comment_id = 0;
        END IF;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION tickets_after() IS 'Keeps the words of tickets; writes history';

CREATE TRIGGER tickets_inserted AFTER INSERT ON tickets
    FOR EACH ROW EXECUTE FUNCTION tickets_after();
-- Not when only a comment or a link counted the version on. By columns, for a WHEN is read anew by each statement.
CREATE TRIGGER tickets_updated AFTER UPDATE OF title, description, status, assignee, reporter, priority, labels, fields, due, closed
    ON tickets FOR EACH ROW EXECUTE FUNCTION tickets_after();
CREATE TRIGGER tickets_deleted AFTER DELETE ON tickets
    FOR EACH ROW EXECUTE FUNCTION tickets_after();

CREATE FUNCTION comments_after() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    touched bigint := coalesce(NEW.ticket_id, OLD.ticket_id);
    moment timestamptz;
    was jsonb;
BEGIN
    -- As touch() does, which is for many and takes longer. With its ticket gone, there is nothing left to touch.
    SELECT greatest(clock_timestamp(), updated + interval '1 microsecond'),
            jsonb_build_object('version', jsonb_build_array(version), 'updated', jsonb_build_array(updated))
        INTO moment, was FROM tickets WHERE ticket_id = touched FOR NO KEY UPDATE;
    UPDATE tickets SET version = version + 1, updated = moment WHERE ticket_id = touched;
    IF TG_OP = 'INSERT' THEN
        INSERT INTO searches VALUES (NEW.ticket_id, NEW.comment_id, to_tsvector('simple', NEW.body));
        INSERT INTO events (at, actor, source, ticket_id, kind, comment_id, changes, kept)
            VALUES (moment, left(actor(), 100), source(), NEW.ticket_id, 'commented', NEW.comment_id,
                changed('body', NULL, NEW.body), was);
    ELSIF TG_OP = 'UPDATE' THEN
        UPDATE searches SET words = to_tsvector('simple', NEW.body)
            WHERE ticket_id = NEW.ticket_id AND comment_id = NEW.comment_id;
        INSERT INTO events (at, actor, source, ticket_id, kind, comment_id, changes, kept)
            VALUES (moment, left(actor(), 100), source(), NEW.ticket_id, 'comment_changed', NEW.comment_id,
                changed('body', OLD.body, NEW.body),
                was || jsonb_build_object('comment', changed('updated', OLD.updated, NEW.updated)));
    ELSE
        DELETE FROM searches WHERE ticket_id = OLD.ticket_id AND comment_id = OLD.comment_id;
        INSERT INTO events (at, actor, source, ticket_id, kind, comment_id, changes, kept)
            VALUES (coalesce(moment, clock_timestamp()), left(actor(), 100), source(), OLD.ticket_id, 'comment_deleted', OLD.comment_id,
                changed('body', OLD.body, NULL),
                coalesce(was, '{}') || jsonb_build_object('comment', changed('author', OLD.author, NULL)
                    || changed('created', OLD.created, NULL) || changed('updated', OLD.updated, NULL)));
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION comments_after() IS 'Keeps the words of comments; counts the version of their ticket on; writes history';

CREATE TRIGGER comments_inserted AFTER INSERT ON comments
    FOR EACH ROW EXECUTE FUNCTION comments_after();
CREATE TRIGGER comments_updated AFTER UPDATE ON comments
    FOR EACH ROW WHEN (OLD.body <> NEW.body) EXECUTE FUNCTION comments_after();
CREATE TRIGGER comments_deleted AFTER DELETE ON comments
    FOR EACH ROW EXECUTE FUNCTION comments_after();


-- HISTORY ----------------------------------------------------------------------------------------

CREATE TYPE event_kind AS ENUM ('created', 'changed', 'deleted', 'commented', 'comment_changed', 'comment_deleted', 'linked', 'unlinked');
COMMENT ON TYPE event_kind IS 'What happened to a ticket';

CREATE TABLE events (
    event_id bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    source text NOT NULL,
    -- No foreign key: history stays when its ticket goes.
    ticket_id bigint NOT NULL,
    kind event_kind NOT NULL,
    comment_id bigint,
    changes jsonb NOT NULL,
    position bigint,
    kept jsonb NOT NULL DEFAULT '{}',
    other_id bigint,
    other_kept jsonb NOT NULL DEFAULT '{}',
    -- The very index that a ticket's history needs.
    CONSTRAINT events_pkey PRIMARY KEY (ticket_id, event_id)
);
COMMENT ON TABLE events IS 'The history: a row for each change of a ticket, a comment or a link, through whichever door; written by the rules, never changed';
COMMENT ON COLUMN events.event_id IS 'Its number; not the order of commits: that is position';
COMMENT ON COLUMN events.at IS 'When it happened';
COMMENT ON COLUMN events.actor IS 'Who did it: the setting iris.actor, else the session''s user';
COMMENT ON COLUMN events.source IS 'By which door: http, or the client''s application_name, such as psql';
COMMENT ON COLUMN events.ticket_id IS 'The ticket, which may be gone by now';
COMMENT ON COLUMN events.kind IS 'What happened';
COMMENT ON COLUMN events.comment_id IS 'The comment that was written, changed or deleted';
COMMENT ON COLUMN events.changes IS '{"column": [old, new]}';
COMMENT ON COLUMN events.position IS 'Its place in the feed, given when the feed is first read; null until then';
COMMENT ON COLUMN events.kept IS 'What the database kept of the ticket (and the comment) before: {"version": [old], …}, for tickets_as_of()';
COMMENT ON COLUMN events.other_id IS 'Of a link: the other ticket';
COMMENT ON COLUMN events.other_kept IS 'The same as kept, of the other ticket';

-- All events, newest first.
CREATE INDEX events_event_id_idx ON events (event_id);
-- at_before and at_after.
CREATE INDEX events_at_idx ON events (at);
-- The feed; and what has no place in it yet, which must cost nothing to ask while there is nothing.
CREATE INDEX events_position_idx ON events (position) WHERE position IS NOT NULL;
CREATE INDEX events_unpositioned_idx ON events (event_id) WHERE position IS NULL;
-- Tickets, comments and links as of some time: the other end of links, and what is gone.
CREATE INDEX events_other_id_idx ON events (other_id, event_id) WHERE other_id IS NOT NULL;
CREATE INDEX events_deleted_idx ON events (at) WHERE kind = 'deleted';
CREATE INDEX events_comment_deleted_idx ON events (at) WHERE kind = 'comment_deleted';

CREATE FUNCTION events_after(after bigint, most integer DEFAULT 100)
RETURNS TABLE ("position" bigint, event_id bigint, at timestamptz, actor text, source text, ticket_id bigint,
    kind event_kind, comment_id bigint, changes jsonb)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    IF EXISTS (SELECT FROM events WHERE position IS NULL) AND current_setting('transaction_read_only') = 'off' THEN
        -- Positions are given under a lock and must be committed at once: a transaction that stays
        -- open with them would hold up everybody else's feed. In a transaction of its own, a
        -- statement begins when its transaction does.
        IF statement_timestamp() = transaction_timestamp() AND current_setting('transaction_isolation') = 'read committed' THEN
            PERFORM pg_advisory_xact_lock(hashtext('iris feed'));
            -- A statement of its own, whose eyes are younger than the lock. What commits later
            -- gets a later position; in portions, so that no reader waits for a million.
            WITH last AS (SELECT coalesce(max(position), 0) AS position FROM events WHERE position IS NOT NULL),
            fresh AS (SELECT ticket_id, event_id, row_number() OVER (ORDER BY event_id) AS place
                FROM (SELECT ticket_id, event_id FROM events WHERE position IS NULL ORDER BY event_id LIMIT 5000) AS portion)
            UPDATE events SET position = last.position + fresh.place
                FROM fresh, last WHERE events.ticket_id = fresh.ticket_id AND events.event_id = fresh.event_id;
        ELSE
            RAISE WARNING 'there are events without a position yet, which is given outside of transaction blocks only';
        END IF;
    END IF;
    RETURN QUERY SELECT position, event_id, at, actor, source, ticket_id, kind, comment_id, changes
        FROM events WHERE position > after ORDER BY position LIMIT most;
END $$;
COMMENT ON FUNCTION events_after(bigint, integer) IS
    'The feed: every event exactly once, in one order, however transactions overlap; keep the last position, and ask again from there';

-- The next three give what there was at some moment. Each is one plain SELECT, which PostgreSQL
-- takes into the query around it, so that conditions reach the indexes.

CREATE FUNCTION tickets_as_of(moment timestamptz) RETURNS SETOF tickets
LANGUAGE sql STABLE
BEGIN ATOMIC
    -- Not touched since: as they are.
    SELECT tickets.* FROM tickets WHERE tickets.updated <= moment
    UNION ALL
    -- Touched or deleted since: what is there now, if anything, with the first old value since of
    -- each column laid over it.
    -- (touched.ticket_id, not was.ticket_id, so that a condition on it reaches the index)
    SELECT touched.ticket_id, was.title, was.description, was.status, was.assignee, was.reporter, was.priority, was.labels,
        was.fields, was.due, was.created, was.updated, was.closed, was.version
        FROM (SELECT tickets.ticket_id FROM tickets WHERE tickets.updated > moment AND tickets.created <= moment
            UNION ALL
            SELECT events.ticket_id FROM events
                WHERE events.kind = 'deleted' AND events.at > moment) AS touched
        LEFT JOIN tickets ON tickets.ticket_id = touched.ticket_id
        CROSS JOIN LATERAL (
            SELECT coalesce(jsonb_object_agg(first.key, first.value -> 0), '{}') AS old
                FROM (SELECT DISTINCT ON (item.key) item.key, item.value
                    FROM (SELECT events.event_id, events.changes || events.kept AS old FROM events
                            WHERE events.ticket_id = touched.ticket_id AND events.at > moment
                        UNION ALL
                        SELECT events.event_id, events.other_kept FROM events
                            WHERE events.other_id = touched.ticket_id AND events.at > moment) AS since
                    CROSS JOIN LATERAL jsonb_each(since.old) AS item
                    ORDER BY item.key, since.event_id) AS first) AS undone
        CROSS JOIN LATERAL jsonb_populate_record(tickets, undone.old) AS was
        WHERE was.created <= moment;
END;
COMMENT ON FUNCTION tickets_as_of(timestamptz) IS 'The tickets as they were at some moment, deleted ones included';

CREATE FUNCTION comments_as_of(moment timestamptz) RETURNS SETOF comments
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT comments.* FROM comments WHERE comments.updated <= moment
    UNION ALL
    SELECT touched.comment_id, touched.ticket_id, was.author, was.body, was.created, was.updated
        FROM (SELECT comments.ticket_id, comments.comment_id FROM comments WHERE comments.updated > moment AND comments.created <= moment
            UNION ALL
            SELECT events.ticket_id, events.comment_id FROM events
                WHERE events.kind = 'comment_deleted' AND events.at > moment) AS touched
        LEFT JOIN comments ON comments.ticket_id = touched.ticket_id AND comments.comment_id = touched.comment_id
        CROSS JOIN LATERAL (
            SELECT coalesce(jsonb_object_agg(first.key, first.value -> 0), '{}') AS old
                FROM (SELECT DISTINCT ON (item.key) item.key, item.value
                    FROM events CROSS JOIN LATERAL jsonb_each(events.changes || coalesce(events.kept -> 'comment', '{}')) AS item
                    WHERE events.ticket_id = touched.ticket_id AND events.comment_id = touched.comment_id AND events.at > moment
                    ORDER BY item.key, events.event_id) AS first) AS undone
        CROSS JOIN LATERAL jsonb_populate_record(comments, undone.old) AS was
        WHERE was.created <= moment;
END;
COMMENT ON FUNCTION comments_as_of(timestamptz) IS 'The comments as they were at some moment, deleted ones included';

CREATE FUNCTION links_as_of(moment timestamptz) RETURNS SETOF links
LANGUAGE sql STABLE
BEGIN ATOMIC
    -- There now, and not made since.
    SELECT links.* FROM links
        WHERE NOT EXISTS (SELECT FROM events WHERE events.ticket_id = links.ticket_id AND events.other_id = links.other_id
            AND events.at > moment AND events.kind = 'linked' AND events.changes -> 'kind' ->> 1 = links.kind::text)
    UNION ALL
    -- Unlinked since, with nothing before that since.
    SELECT first.ticket_id, (first.changes -> 'kind' ->> 0)::link_kind, first.other_id
        FROM (SELECT DISTINCT ON (events.ticket_id, events.other_id, coalesce(events.changes -> 'kind' ->> 0, events.changes -> 'kind' ->> 1))
                events.ticket_id, events.other_id, events.kind, events.changes
            FROM events WHERE events.kind IN ('linked', 'unlinked') AND events.other_id IS NOT NULL AND events.at > moment
            ORDER BY events.ticket_id, events.other_id, coalesce(events.changes -> 'kind' ->> 0, events.changes -> 'kind' ->> 1),
                events.event_id) AS first
        WHERE first.kind = 'unlinked';
END;
COMMENT ON FUNCTION links_as_of(timestamptz) IS 'The links as they were at some moment, those of deleted tickets included';

CREATE FUNCTION searches_as_of(moment timestamptz) RETURNS SETOF searches
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT ticket_id, 0::bigint, ticket_words(title, description, labels) FROM tickets_as_of(moment)
    UNION ALL
    SELECT ticket_id, comment_id, to_tsvector('simple', body) FROM comments_as_of(moment);
END;
COMMENT ON FUNCTION searches_as_of(timestamptz) IS 'The words as they were at some moment; made anew, as nothing keeps them';


-- SAFE TO REPEAT ---------------------------------------------------------------------------------

CREATE TABLE replays (
    actor text NOT NULL,
    key text NOT NULL,
    request text NOT NULL,
    answer json,
    created timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT replays_pkey PRIMARY KEY (actor, key)
);
COMMENT ON TABLE replays IS 'Answers to writes that carried an Idempotency-Key, to be given again';
COMMENT ON COLUMN replays.actor IS 'Who wrote; everybody has keys of their own';
COMMENT ON COLUMN replays.key IS 'The Idempotency-Key';
COMMENT ON COLUMN replays.request IS 'A digest of the request, for the key is good for one request only';
COMMENT ON COLUMN replays.answer IS 'The row that the write gave';
COMMENT ON COLUMN replays.created IS 'When; kept for 24 hours at least';

-- Serves the sweeping out of old ones.
CREATE INDEX replays_created_idx ON replays (created);

CREATE FUNCTION once(the_key text, the_request text, write text) RETURNS TABLE (answer json, replayed boolean)
LANGUAGE plpgsql
-- Runs as the caller, who could run the write as well without this.
AS $$
DECLARE
    earlier public.replays;
    written record;
    rows integer;
BEGIN
    DELETE FROM public.replays WHERE (replays.actor, replays.key) IN (
        SELECT old.actor, old.key FROM public.replays AS old WHERE old.created < now() - interval '25 hours'
            LIMIT 100 FOR UPDATE SKIP LOCKED);
    -- Who comes second waits here for the first one's end.
    INSERT INTO public.replays (actor, key, request) VALUES (public.actor(), the_key, the_request)
        ON CONFLICT ON CONSTRAINT replays_pkey DO NOTHING;
    IF NOT FOUND THEN
        SELECT * INTO earlier FROM public.replays WHERE replays.actor = public.actor() AND replays.key = the_key;
        IF earlier.request <> the_request THEN
            RAISE SQLSTATE 'IR005' USING MESSAGE = 'this Idempotency-Key was used for another request',
                HINT = 'Make a new key for each new request.';
        END IF;
        RETURN QUERY SELECT earlier.answer, true;
        RETURN;
    END IF;
    EXECUTE write INTO written;
    GET DIAGNOSTICS rows = ROW_COUNT;
    IF rows = 0 THEN
        -- Nothing was there to be written to: as if it had not been tried.
        DELETE FROM public.replays WHERE replays.actor = public.actor() AND replays.key = the_key;
    ELSE
        answer := row_to_json(written);
        UPDATE public.replays SET answer = once.answer WHERE replays.actor = public.actor() AND replays.key = the_key;
    END IF;
    replayed := false;
    RETURN NEXT;
END $$;
COMMENT ON FUNCTION once(text, text, text) IS
    'Runs a write in the transaction that keeps its answer, or gives the answer that is kept';


-- WORKFLOW, CHANGED ------------------------------------------------------------------------------

CREATE FUNCTION statuses_before() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF (TG_OP = 'DELETE' OR NEW.status <> OLD.status)
        AND EXISTS (SELECT FROM public.tickets WHERE status = OLD.status) THEN
        RAISE SQLSTATE 'IR004' USING MESSAGE = format('tickets are in the status "%s"', OLD.status),
            HINT = 'Move them to another status first.';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;
COMMENT ON FUNCTION statuses_before() IS 'Refuses to drop or rename a status that tickets are in';

CREATE TRIGGER statuses_before BEFORE DELETE OR UPDATE OF status ON statuses
    FOR EACH ROW EXECUTE FUNCTION statuses_before();

CREATE FUNCTION statuses_after() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF NOT EXISTS (SELECT FROM statuses) THEN
            RAISE check_violation USING MESSAGE = 'a workflow needs at least one status', COLUMN = 'statuses';
        END IF;
    ELSIF NEW.is_open <> OLD.is_open THEN
        -- Who is moving a ticket into this status just now has read the old is_open: wait for them.
        LOCK TABLE tickets IN SHARE ROW EXCLUSIVE MODE;
        UPDATE tickets SET version = version + 1, closed = CASE WHEN NOT NEW.is_open THEN clock_timestamp() END,
            updated = greatest(clock_timestamp(), updated + interval '1 microsecond')
            WHERE status = NEW.status AND (closed IS NULL) <> NEW.is_open;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION statuses_after() IS 'Keeps one status at least; opens or closes the tickets of a status whose is_open changes';

CREATE TRIGGER statuses_deleted AFTER DELETE ON statuses
    FOR EACH STATEMENT EXECUTE FUNCTION statuses_after();
CREATE TRIGGER statuses_updated AFTER UPDATE OF is_open ON statuses
    FOR EACH ROW EXECUTE FUNCTION statuses_after();

CREATE FUNCTION workflow() RETURNS json
LANGUAGE sql STABLE
RETURN json_build_object(
    'statuses', (SELECT json_agg(json_build_object('status', status, 'is_open', is_open) ORDER BY position) FROM statuses),
    'transitions', (SELECT json_object_agg(status, targets ORDER BY position) FROM (
        SELECT status, position, coalesce((SELECT json_agg(to_status ORDER BY target.position) FROM transitions
            JOIN statuses AS target ON target.status = to_status WHERE from_status = origin.status), '[]') AS targets
        FROM statuses AS origin) AS origins));
COMMENT ON FUNCTION workflow() IS 'The workflow as one JSON document, as GET /workflow shows it';

CREATE FUNCTION set_workflow(document jsonb) RETURNS json
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
DECLARE
    wrong text;
BEGIN
    SELECT key INTO wrong FROM jsonb_object_keys(document) AS key WHERE key NOT IN ('statuses', 'transitions') LIMIT 1;
    IF FOUND THEN
        RAISE check_violation USING MESSAGE = format('a workflow has statuses and transitions, no "%s"', wrong), COLUMN = wrong;
    END IF;
    IF jsonb_typeof(document -> 'statuses') IS DISTINCT FROM 'array' OR EXISTS (
        SELECT FROM jsonb_array_elements(document -> 'statuses') AS item WHERE jsonb_typeof(item) <> 'object'
            OR jsonb_typeof(item -> 'status') IS DISTINCT FROM 'string'
            OR jsonb_typeof(item -> 'is_open') IS DISTINCT FROM 'boolean'
            OR item - '{status,is_open}'::text[] <> '{}') THEN
        RAISE check_violation USING MESSAGE = 'statuses must be a list like [{"status": "open", "is_open": true}, …]', COLUMN = 'statuses';
    END IF;
    IF jsonb_array_length(document -> 'statuses') = 0 THEN
        RAISE check_violation USING MESSAGE = 'a workflow needs at least one status', COLUMN = 'statuses';
    END IF;
    IF (SELECT count(DISTINCT item -> 'status') <> count(*) FROM jsonb_array_elements(document -> 'statuses') AS item) THEN
        RAISE check_violation USING MESSAGE = 'statuses must not name a status twice', COLUMN = 'statuses';
    END IF;
    IF jsonb_typeof(document -> 'transitions') IS DISTINCT FROM 'object' OR EXISTS (
        SELECT FROM jsonb_each(document -> 'transitions') WHERE jsonb_typeof(value) <> 'array') OR EXISTS (
        SELECT FROM jsonb_each(document -> 'transitions') AS origin, jsonb_array_elements(origin.value) AS target
            WHERE jsonb_typeof(target) <> 'string') THEN
        RAISE check_violation USING MESSAGE = 'transitions must be like {"open": ["active", …], …}', COLUMN = 'transitions';
    END IF;
    SELECT name INTO wrong FROM (
        SELECT key FROM jsonb_object_keys(document -> 'transitions') AS key
        UNION ALL
        SELECT jsonb_array_elements_text(value) FROM jsonb_each(document -> 'transitions')) AS names(name)
        WHERE name NOT IN (SELECT item ->> 'status' FROM jsonb_array_elements(document -> 'statuses') AS item) LIMIT 1;
    IF FOUND THEN
        RAISE check_violation USING MESSAGE = format('transitions name "%s", which is none of the statuses', wrong), COLUMN = 'transitions';
    END IF;

    -- Two who change it at once: the later one's stands, whole.
    LOCK TABLE statuses, transitions IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM transitions;
    SET CONSTRAINTS statuses_position_key DEFERRED;
    INSERT INTO statuses (status, position, is_open)
        SELECT item ->> 'status', place, (item ->> 'is_open')::boolean
            FROM jsonb_array_elements(document -> 'statuses') WITH ORDINALITY AS listed(item, place)
        ON CONFLICT ON CONSTRAINT statuses_pkey
            DO UPDATE SET position = excluded.position, is_open = excluded.is_open;
    DELETE FROM statuses WHERE status NOT IN (SELECT item ->> 'status' FROM jsonb_array_elements(document -> 'statuses') AS item);
    INSERT INTO transitions (from_status, to_status)
        SELECT DISTINCT origin.key, target FROM jsonb_each(document -> 'transitions') AS origin,
            jsonb_array_elements_text(origin.value) AS target;
    RETURN workflow();
END $$;
COMMENT ON FUNCTION set_workflow(jsonb) IS
    'Replaces the workflow by a document like workflow() gives; a status that tickets are in can''t be dropped';


-- MANY AT ONCE -----------------------------------------------------------------------------------

CREATE FUNCTION put_rows(rows jsonb, compare boolean) RETURNS json
LANGUAGE sql
BEGIN ATOMIC
    WITH given AS MATERIALIZED (
        SELECT place - 1 AS index, item, (item ->> 'ticket_id')::bigint AS id,
            CASE WHEN item ->> 'ticket_id' IS NULL
                THEN row_number() OVER (PARTITION BY item ->> 'ticket_id' IS NULL ORDER BY place) END AS place
            FROM jsonb_array_elements(rows) WITH ORDINALITY AS listed(item, place)),
    -- In the order of their numbers, so that two who change the same tickets can't deadlock.
    before AS MATERIALIZED (
        SELECT * FROM tickets WHERE ticket_id IN (SELECT id FROM given) ORDER BY ticket_id FOR NO KEY UPDATE),
    created AS (
        INSERT INTO tickets (title, description, status, assignee, reporter, priority, labels, fields, due)
            SELECT item ->> 'title', item ->> 'description',
                CASE WHEN item ? 'status' THEN item ->> 'status' ELSE first_status() END,
                item ->> 'assignee',
                CASE WHEN item ? 'reporter' THEN item ->> 'reporter' ELSE actor() END,
                CASE WHEN item ? 'priority' THEN (item ->> 'priority')::priority ELSE 'normal' END,
                CASE WHEN NOT item ? 'labels' THEN '{}' WHEN item -> 'labels' <> 'null' THEN
                    ARRAY(SELECT jsonb_array_elements_text(item -> 'labels')) END,
                CASE WHEN item ? 'fields' THEN nullif(item -> 'fields', 'null') ELSE '{}' END,
                (item ->> 'due')::timestamptz
            FROM given WHERE id IS NULL ORDER BY index
        RETURNING *),
    changed AS (
        UPDATE tickets SET
            title = CASE WHEN item ? 'title' THEN item ->> 'title' ELSE tickets.title END,
            description = CASE WHEN item ? 'description' THEN item ->> 'description' ELSE tickets.description END,
            status = CASE WHEN item ? 'status' THEN item ->> 'status' ELSE tickets.status END,
            assignee = CASE WHEN item ? 'assignee' THEN item ->> 'assignee' ELSE tickets.assignee END,
            reporter = CASE WHEN item ? 'reporter' THEN item ->> 'reporter' ELSE tickets.reporter END,
            priority = CASE WHEN item ? 'priority' THEN (item ->> 'priority')::priority ELSE tickets.priority END,
            labels = CASE WHEN NOT item ? 'labels' THEN tickets.labels WHEN item -> 'labels' <> 'null' THEN
                ARRAY(SELECT jsonb_array_elements_text(item -> 'labels')) END,
            fields = CASE WHEN item ? 'fields' THEN nullif(item -> 'fields', 'null') ELSE tickets.fields END,
            due = CASE WHEN item ? 'due' THEN (item ->> 'due')::timestamptz ELSE tickets.due END
            FROM given JOIN before ON before.ticket_id = given.id WHERE tickets.ticket_id = given.id
        RETURNING tickets.*),
    numbered AS (SELECT created.*, row_number() OVER (ORDER BY ticket_id) AS place FROM created),
    after AS (
        SELECT given.index, NULL::json AS before, numbered.ticket_id, title, description, status, assignee, reporter,
                priority, labels, fields, due, created, updated, closed, version
            FROM given JOIN numbered USING (place)
        UNION ALL
        SELECT given.index, row_to_json(before), changed.* FROM given
            JOIN changed ON changed.ticket_id = given.id JOIN before ON before.ticket_id = given.id)
    SELECT json_agg(CASE WHEN compare
            THEN json_build_object('index', index, 'before', before, 'after', this)
            ELSE row_to_json(this) END ORDER BY index)
        FROM after CROSS JOIN LATERAL (SELECT after.ticket_id, after.title, after.description, after.status, after.assignee,
            after.reporter, after.priority, after.labels, after.fields, after.due, after.created, after.updated,
            after.closed, after.version) AS this;
END;
COMMENT ON FUNCTION put_rows(jsonb, boolean) IS 'Files and changes tickets, set by set; a part of put_tickets()';

CREATE FUNCTION put_tickets(rows jsonb, dry_run boolean DEFAULT false) RETURNS json
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
DECLARE
    outcome json;
    mistakes jsonb := '[]';
    one jsonb;
    nth integer;
    earlier integer;
    message text;
    hint text;
    state text;
    about text;
    rule text;
BEGIN
    IF jsonb_typeof(rows) IS DISTINCT FROM 'array' THEN
        RAISE check_violation USING MESSAGE = 'tickets must be a list';
    END IF;
    BEGIN
        IF EXISTS (SELECT FROM jsonb_array_elements(rows) AS item WHERE item ->> 'ticket_id' IS NOT NULL
                GROUP BY item ->> 'ticket_id' HAVING count(*) > 1)
            OR EXISTS (SELECT FROM jsonb_array_elements(rows) AS item WHERE item ->> 'ticket_id' IS NOT NULL
                AND NOT EXISTS (SELECT FROM tickets WHERE ticket_id = (item ->> 'ticket_id')::bigint)) THEN
            RAISE SQLSTATE 'IR000';
        END IF;
        outcome := put_rows(rows, dry_run);
        IF dry_run THEN
            -- What has been done is undone; the variable stays.
            RAISE SQLSTATE 'IR100';
        END IF;
        RETURN coalesce(outcome, '[]');
    EXCEPTION
        WHEN SQLSTATE 'IR100' THEN
            RETURN coalesce(outcome, '[]');
        WHEN integrity_constraint_violation OR data_exception OR program_limit_exceeded OR SQLSTATE 'IR000' THEN
            -- Some row is to blame: each is tried by itself, below.
            GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, state = RETURNED_SQLSTATE;
    END;
    FOR one, nth, earlier IN
        SELECT value, ordinality - 1, min(ordinality) OVER (PARTITION BY value ->> 'ticket_id') - 1
            FROM jsonb_array_elements(rows) WITH ORDINALITY ORDER BY ordinality LOOP
        BEGIN
            IF one ->> 'ticket_id' IS NOT NULL AND earlier < nth THEN
                RAISE SQLSTATE 'IR007' USING MESSAGE = format('ticket %s is in row %s already', one ->> 'ticket_id', earlier);
            END IF;
            IF put_rows(jsonb_build_array(one), false) IS NULL THEN
                RAISE foreign_key_violation USING MESSAGE = format('there is no ticket %s', one ->> 'ticket_id'),
                    CONSTRAINT = 'comments_ticket_id_fkey', COLUMN = 'ticket_id';
            END IF;
        EXCEPTION WHEN integrity_constraint_violation OR data_exception OR program_limit_exceeded OR SQLSTATE 'IR000' THEN
            GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT, state = RETURNED_SQLSTATE,
                about = COLUMN_NAME, rule = CONSTRAINT_NAME;
            mistakes := mistakes || jsonb_build_object('index', nth, 'state', state, 'message', message,
                'hint', nullif(hint, ''), 'about', nullif(about, ''), 'rule', rule);
            EXIT WHEN jsonb_array_length(mistakes) = 100;
        END;
    END LOOP;
    IF mistakes = '[]' THEN
        RAISE EXCEPTION USING ERRCODE = state, MESSAGE = message;
    END IF;
    RAISE SQLSTATE 'IR006' USING MESSAGE = format('row %s: %s', mistakes -> 0 ->> 'index', mistakes -> 0 ->> 'message'),
        DETAIL = mistakes::text, HINT = format('Nothing was written; mistakes found: %s.', jsonb_array_length(mistakes));
END $$;
COMMENT ON FUNCTION put_tickets(jsonb, boolean) IS
    'Files and changes many tickets, [{"title": …}, {"ticket_id": 1, …}, …], all or nothing; a mistake names its row, from 0';


-- READING ----------------------------------------------------------------------------------------

CREATE FUNCTION read_ticket(id bigint, seen bigint[] DEFAULT '{}') RETURNS TABLE (body text, version bigint)
LANGUAGE plpgsql STABLE
-- In PL/pgSQL, for a session then plans this once: planning takes longer than reading.
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT CASE WHEN version = ANY (seen) THEN NULL ELSE row_to_json(ticket)::text END, version FROM (
            SELECT tickets.*,
                (SELECT coalesce(json_agg(item), '[]') FROM (SELECT * FROM public.comments
                    WHERE comments.ticket_id = tickets.ticket_id ORDER BY comment_id) AS item) AS comments,
                (SELECT coalesce(json_agg(item), '[]') FROM (SELECT * FROM public.links
                    WHERE links.ticket_id = tickets.ticket_id OR links.other_id = tickets.ticket_id
                    ORDER BY ticket_id, kind, other_id) AS item) AS links
            FROM public.tickets WHERE ticket_id = id) AS ticket;
END $$;
COMMENT ON FUNCTION read_ticket(bigint, bigint[]) IS
    'One ticket with its comments and links, as JSON, as GET /tickets/{ticket_id} shows it; null if its version was seen';


-- PRIVILEGES -------------------------------------------------------------------------------------
-- By column where one is never given: a ticket's number is the database's.

GRANT SELECT ON statuses, transitions, tickets, comments, links, searches, events TO iris;
GRANT SELECT, INSERT, UPDATE, DELETE ON replays TO iris;
GRANT INSERT, UPDATE, DELETE ON statuses, transitions TO iris;
GRANT INSERT (title, description, status, assignee, reporter, priority, labels, fields, due, created, updated, closed, version),
    UPDATE (title, description, status, assignee, reporter, priority, labels, fields, due, created, updated, closed, version),
    DELETE ON tickets TO iris;
GRANT INSERT (ticket_id, author, body, created, updated), UPDATE (author, body, created, updated), DELETE ON comments TO iris;
GRANT INSERT, DELETE ON links TO iris;
GRANT EXECUTE ON FUNCTION workflow(), set_workflow(jsonb), events_after(bigint, integer), tickets_as_of(timestamptz),
    comments_as_of(timestamptz), links_as_of(timestamptz), searches_as_of(timestamptz), once(text, text, text),
    changed(text, anycompatible, anycompatible), put_rows(jsonb, boolean), put_tickets(jsonb, boolean),
    read_ticket(bigint, bigint[]) TO iris;


-- SEEDS ------------------------------------------------------------------------------------------

INSERT INTO statuses (status, position, is_open) VALUES
    ('open', 1, true), ('active', 2, true), ('blocked', 3, true), ('resolved', 4, false), ('closed', 5, false);
INSERT INTO transitions (from_status, to_status) VALUES
    ('open', 'active'), ('open', 'resolved'), ('open', 'closed'),
    ('active', 'open'), ('active', 'blocked'), ('active', 'resolved'), ('active', 'closed'),
    ('blocked', 'open'), ('blocked', 'active'), ('blocked', 'closed'),
    ('resolved', 'open'), ('resolved', 'closed'),
    ('closed', 'open');

-- <<<

-- What the migrations would have noted.
CREATE TABLE alembic_version (version_num varchar(32) NOT NULL CONSTRAINT alembic_version_pkc PRIMARY KEY);
COMMENT ON TABLE alembic_version IS 'The revision of this schema; written by iris db upgrade';
INSERT INTO alembic_version VALUES ('0007');
GRANT SELECT ON alembic_version TO iris;

COMMIT;
