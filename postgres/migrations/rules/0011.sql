-- ROLES
-- psql is best used as `iris`. The service may have a login of its own, `iris_service`, which can do
-- the same and which nobody shares: what somebody does to the login iris (its password, its defaults,
-- ending its sessions) then hurts nobody else. Both own nothing. What may be done is granted to three roles without a
-- login, each of which may do what the one before may: iris_reader, iris_writer, iris_admin (privileges.sql). `iris` is an admin;
-- a statement for somebody's token runs under the token's role.

DO $$
DECLARE
    login text;
    setting text[];
BEGIN
    -- Roles belong to the whole server and outlive a database, so this may find its own work.
    FOREACH login IN ARRAY '{iris,iris_service}'::text[] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = login) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', login);
        END IF;
    END LOOP;
    FOREACH login IN ARRAY '{iris_reader,iris_writer,iris_admin}'::text[] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = login) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', login);
        ELSIF EXISTS (SELECT FROM pg_roles WHERE rolname = login AND (rolcanlogin OR rolsuper OR rolcreaterole OR rolcreatedb
                OR rolreplication OR rolbypassrls OR oid = (SELECT datdba FROM pg_database WHERE datname = current_database()))) THEN
            -- Whoever may act for somebody's token would be whoever this is.
            RAISE duplicate_object USING MESSAGE = format('there is a role %s already, which may do more than Iris gives it', login),
                HINT = 'Iris needs the names iris_reader, iris_writer and iris_admin for roles of its own: rename that one.';
        END IF;
    END LOOP;
    FOREACH setting SLICE 1 IN ARRAY ARRAY[
            ['iris_reader', 'iris_writer'], ['iris_writer', 'iris_admin'], ['iris_admin', 'iris'], ['iris', 'iris_service']] LOOP
        IF NOT pg_has_role(setting[2], setting[1], 'USAGE') THEN
            EXECUTE format('GRANT %I TO %I', setting[1], setting[2]);
        END IF;
    END LOOP;
    -- What sessions start with. A role may change its own defaults for ever, so they are set anew here;
    -- the service doesn't trust them and says all of it whenever it connects (iris/database), but a
    -- pooler in between may drop what is said.
    FOREACH login IN ARRAY '{iris,iris_service}'::text[] LOOP
        BEGIN
            EXECUTE format('ALTER ROLE %I RESET ALL', login);
            EXECUTE format('ALTER ROLE %I IN DATABASE %I RESET ALL', login, current_database());
            FOREACH setting SLICE 1 IN ARRAY ARRAY[
                ['default_transaction_isolation', 'read committed'],
                ['default_transaction_read_only', 'off'],
                ['default_transaction_deferrable', 'off'],
                ['search_path', 'public'],
                ['timezone', 'UTC'],
                ['datestyle', 'ISO, MDY'],
                ['intervalstyle', 'postgres'],
                ['client_encoding', 'UTF8'],
                ['standard_conforming_strings', 'on'],
                ['backslash_quote', 'safe_encoding'],
                ['bytea_output', 'hex'],
                ['extra_float_digits', '1'],
                ['array_nulls', 'on'],
                ['transform_null_equals', 'off'],
                ['gin_fuzzy_search_limit', '0'],
                ['exit_on_error', 'off'],
                ['row_security', 'on'],
                ['synchronous_commit', 'on'],
                ['lock_timeout', '5s'],
                ['idle_in_transaction_session_timeout', '60s'],
                ['idle_session_timeout', '0']] LOOP
                EXECUTE format('ALTER ROLE %I IN DATABASE %I SET %I TO %L', login, current_database(), setting[1], setting[2]);
            END LOOP;
        EXCEPTION WHEN insufficient_privilege THEN
            -- An owner that may not: the service says it all by itself; a pooler has to keep what it says.
            RAISE WARNING 'the defaults of the role % were not set: %', login, SQLERRM;
        END;
    END LOOP;
    -- Times are shown in UTC at both doors.
    EXECUTE format('ALTER DATABASE %I SET timezone TO ''UTC''', current_database());
    -- For disks without arms, and for tables that mostly fit into memory. By the default, 4, a search
    -- in 20,000 tickets read all of them.
    EXECUTE format('ALTER DATABASE %I SET random_page_cost TO 1.1', current_database());
    -- Nor is a compiler of use: for each tickets_as_of() in psql it took a second to save some milliseconds.
    EXECUTE format('ALTER DATABASE %I SET jit TO off', current_database());
    -- Who may make temporary objects can give them the names of the rules' own; nobody needs to.
    EXECUTE format('REVOKE TEMPORARY, CREATE ON DATABASE %I FROM PUBLIC, iris, iris_service', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO iris, iris_service, iris_reader', current_database());
END $$;

-- A function is for whom it is granted to: with the right to execute a trigger function, one could
-- hang it on a table of one's own and write what only the rules may write.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM iris, iris_service;
GRANT USAGE ON SCHEMA public TO iris_reader;

COMMENT ON TYPE priority IS 'How much a ticket matters; sorts in this order';
COMMENT ON TYPE link_kind IS 'What ticket_id is to other_id: it blocks it, duplicates it, has it as its parent, relates to it';
COMMENT ON TYPE event_kind IS 'What happened, to a ticket, to the workflow or to a token';
COMMENT ON TYPE token_role IS 'What the holder of a token may do; each may do what the one before may';

-- SMALL FUNCTIONS that tables and rules are made with

CREATE OR REPLACE FUNCTION actor() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
-- The service, psql's iris and the owner may speak for others; a login of somebody's own is nobody but itself.
RETURN CASE WHEN session_user IN ('iris', 'iris_service') OR pg_has_role(session_user, 'iris', 'MEMBER')
        OR has_database_privilege(session_user, current_database(), 'CREATE')
    THEN coalesce(nullif(current_setting('iris.actor', true), ''), session_user::text) ELSE session_user::text END;
COMMENT ON FUNCTION actor() IS
    'Who is acting: the setting iris.actor, where the session may speak for others (iris, iris_service, the owner), else its user';

CREATE OR REPLACE FUNCTION source() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(nullif(current_setting('application_name'), ''), 'sql');
COMMENT ON FUNCTION source() IS 'By which door: http, or the client''s application_name, such as psql';

CREATE OR REPLACE FUNCTION refuse(words text, rule text, about text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    RAISE check_violation USING MESSAGE = words, CONSTRAINT = rule, COLUMN = about;
END $$;
COMMENT ON FUNCTION refuse(text, text, text) IS
    'Stands behind OR in a constraint: refuses in words that a person understands, and costs nothing while the constraint holds';

CREATE OR REPLACE FUNCTION is_blank(value text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- All that Unicode calls white space and the two invisible characters that texts get by pasting;
-- spelled out, for a regular expression's \s depends on how the server was initialised.
RETURN btrim(value, U&'\0009\000A\000B\000C\000D\0020\0085\00A0\1680\2000\2001\2002\2003\2004\2005\2006\2007\2008\2009\200A\200B\2028\2029\202F\205F\3000\FEFF') = '';
COMMENT ON FUNCTION is_blank(text) IS 'Whether a text is empty or holds nothing that can be seen';

-- WHAT IS FOUND. A text is taken apart before PostgreSQL makes words of it, for that keeps main.py, read/write, a path
-- and a whole line of Japanese as one word each. What is looked for is taken apart likewise, and its parts must follow
-- one another; so whatever stands in a text is found, and the index gets smaller.

CREATE OR REPLACE FUNCTION eastern() RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '[' || '\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f' -- Kana
    || '\u3005-\u3007\u3105-\u312f\u31a0-\u31bf\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff' -- Han, Bopomofo
    || '\u1100-\u11ff\u3131-\u318e\ua960-\ua97c\uac00-\ud7fb\uffa0-\uffdc' || ']'; -- Hangul
COMMENT ON FUNCTION eastern() IS 'A regular expression for a letter of Chinese, Japanese or Korean';

CREATE OR REPLACE FUNCTION paired(value text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- 日本語 becomes 日本 本語 語: no more bytes than a tsvector has room for.
RETURN regexp_replace(regexp_replace(value, '(' || eastern() || '+)', ' \1 ', 'g'), '(?<=' || eastern() || ')(' || eastern() || ')', '\1 \1', 'g');
COMMENT ON FUNCTION paired(text) IS 'A text in which Chinese, Japanese and Korean, written without blanks, are pairs of letters and the last letter';

CREATE OR REPLACE FUNCTION parted(value text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- One by one, for translate() takes six times as long; of other signs PostgreSQL makes blanks itself. A number with
-- points in it stays a word, 1.2.3 or 10.0.0.1: its parts are in every other text. \x01 keeps their place meanwhile.
RETURN replace(replace(replace(replace(replace(replace(replace(replace(
    regexp_replace(CASE WHEN octet_length(value) = char_length(value) THEN value ELSE paired(value) END, '\m([0-9]+)\.(?=[0-9])', E'\\1\x01', 'g'),
    '.', ' '), E'\x01', '.'), '/', ' '), '-', ' '), '@', ' '), '<', ' '), '&', ' '), '+', ' ');
COMMENT ON FUNCTION parted(text) IS 'A text with blanks between the parts of its compounds: main py, PROJ 1234, 日本 本語 語';

CREATE OR REPLACE FUNCTION body_words(body text) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN to_tsvector('simple', parted(body));
COMMENT ON FUNCTION body_words(text) IS 'The words of a comment, for searching';

CREATE OR REPLACE FUNCTION ticket_words(title text, description text, labels text[]) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN setweight(body_words(title), 'A')
    || setweight(body_words(array_to_string(labels, ' ', '')), 'B')
    || setweight(body_words(coalesce(description, '')), 'C');
COMMENT ON FUNCTION ticket_words(text, text, text[]) IS 'A ticket''s own words, for searching; comments have theirs';

CREATE OR REPLACE FUNCTION wanted(value text, is_beginning boolean DEFAULT false) RETURNS tsquery
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    parts text := parted(value);
    meant text := phraseto_tsquery('simple', parts);
BEGIN
    IF meant = '' THEN
        RETURN meant;
    END IF;
    IF octet_length(parts) <> char_length(parts) THEN
        -- A letter by itself is the first of some pair, or ends a piece; at the end of what is looked for, the pair before
        -- it has said so already.
        meant := regexp_replace(meant, '''(' || eastern() || ')''', '''\1'':*', 'g');
        meant := regexp_replace(meant, '((' || eastern() || ')'') <-> ''\2'':\*$', '\1');
    END IF;
    IF is_beginning AND value ~ '[0-9]\.$' THEN
        meant := rtrim(meant, '''') || '.'':*';
    ELSIF is_beginning AND right(meant, 1) = '''' AND right(parts, 1) <> ' ' THEN
        meant := meant || ':*';
    END IF;
    -- 1.2 is where 1.2.3 is.
    meant := regexp_replace(meant, '''([0-9]+(?:\.[0-9]+)*)''(?!:)', '(''\1'' | ''\1.'':*)', 'g');
    IF parts <> value AND strpos(meant, '<->') > 0 THEN
        -- PostgreSQL counts places to 16,383; behind that, all of them are the same.
        meant := meant || ' | ' || replace(meant, '<->', '<0>');
    END IF;
    RETURN meant;
END $$;
COMMENT ON FUNCTION wanted(text, boolean) IS
    'What finds a word or a phrase in searches.words: WHERE words @@ wanted(''main.py''); is_beginning: a word that begins so will do';

CREATE OR REPLACE FUNCTION wanted_any(names text[]) RETURNS tsquery
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    RETURN (SELECT string_agg('(' || nullif(wanted(name)::text, '') || ')', ' | ') FROM unnest(names) AS name);
END $$;
COMMENT ON FUNCTION wanted_any(text[]) IS 'What finds any of several words or phrases';

CREATE OR REPLACE FUNCTION mentioning(names text[]) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    -- No mention of alice: bob@alice.org, @alice.b, @alice-b. One: (@alice), @alice.
    RETURN '(?<![[:alnum:]_.@+-])@(?:' || (SELECT string_agg(regexp_replace(name, '([^[:alnum:][:space:]])', '\\\1', 'g'), '|')
        FROM unnest(names) AS name) || ')(?![[:alnum:]_]|[.@-][[:alnum:]_])';
END $$;
COMMENT ON FUNCTION mentioning(text[]) IS 'A regular expression for texts that mention one of these names: body ~* mentioning(''{alice}'')';

CREATE OR REPLACE FUNCTION elapsed(span interval) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN extract(epoch FROM span) >= 86400 THEN floor(extract(epoch FROM span) / 86400) || 'd'
    WHEN extract(epoch FROM span) >= 3600 THEN floor(extract(epoch FROM span) / 3600) || 'h'
    ELSE floor(greatest(extract(epoch FROM span), 0) / 60) || 'm' END;
COMMENT ON FUNCTION elapsed(interval) IS 'A span of time as age_over= takes it: 30d, 12h, 5m; what is left over is left out';

-- RULES THAT NAME NO COLUMN are generated from the catalogue, by DO blocks, whenever they are replayed: a
-- new column is in the history, in bulk and in the past from then on. To compare rows as JSON instead
-- made a change dearer by half.

CREATE OR REPLACE FUNCTION kept() RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '{ticket_id,comment_id,author,created,updated,closed,version}'::text[];
COMMENT ON FUNCTION kept() IS
    'The columns that are no history by themselves: the database keeps them, or they never change, as the author of a comment';

CREATE OR REPLACE FUNCTION told() RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '{comments,links,next,age,idle,blocked_by}'::text[];
COMMENT ON FUNCTION told() IS
    'What an answer tells of a ticket beside its columns; where a ticket that was read is sent back, it says nothing';

CREATE OR REPLACE FUNCTION each_column(of regclass, pattern text, separator text DEFAULT ', ', required boolean DEFAULT NULL)
RETURNS text
LANGUAGE sql STABLE
RETURN (SELECT string_agg(format(pattern, attname, coalesce(pg_get_expr(adbin, adrelid), 'NULL'), format_type(atttypid, atttypmod)),
        separator ORDER BY attnum)
    FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE attrelid = of AND attnum > 0 AND NOT attisdropped AND attname <> ALL (kept()) AND (required IS NULL OR attnotnull = required));
COMMENT ON FUNCTION each_column(regclass, text, text, boolean) IS
    'A pattern of format(), filled in for each column that a client gives: %1$s its name, %2$s its default, %3$s its type; required: only those that are never null, or only those that may be';

CREATE OR REPLACE FUNCTION composed(of regclass) RETURNS text
LANGUAGE sql STABLE
-- Asked of all at once whether there is anything to do: most texts are ASCII. By few functions, for each one
-- named in a rule is looked up anew in every transaction, and who may execute it.
RETURN (SELECT format('IF octet_length(concat(%1$s)) <> char_length(concat(%1$s)) THEN ', string_agg(format('NEW.%I', attname), ', '))
        || string_agg(format('NEW.%1$I := normalize(NEW.%1$I);', attname), ' ') || ' END IF;'
    FROM pg_attribute WHERE attrelid = of AND attnum > 0 AND NOT attisdropped AND atttypid = 'text'::regtype);
COMMENT ON FUNCTION composed(regclass) IS
    'Statements that bring all texts of the row NEW into Unicode''s NFC, so that what looks alike is alike';

CREATE OR REPLACE FUNCTION recorded(of regclass, was text, now text) RETURNS text
LANGUAGE sql STABLE
-- All that is never null at once: to add one to another is to copy it.
RETURN CASE WHEN was = 'NULL' OR now = 'NULL' THEN
    'jsonb_build_object(' || each_column(of, replace(replace('%1$L, jsonb_build_array({was}, {now})',
        '{was}', CASE was WHEN 'NULL' THEN 'NULL' ELSE was || '.%1$I' END), '{now}', CASE now WHEN 'NULL' THEN 'NULL' ELSE now || '.%1$I' END),
        required => true) || ')'
    || coalesce(E'\n    || ' || each_column(of, replace(replace('CASE WHEN {row}.%1$I IS NULL THEN ''{}'' ELSE jsonb_build_object(%1$L, jsonb_build_array({pair})) END',
        '{row}', CASE was WHEN 'NULL' THEN now ELSE was END),
        '{pair}', CASE was WHEN 'NULL' THEN 'NULL, ' || now || '.%1$I' ELSE was || '.%1$I, NULL' END), E'\n    || ', required => false), '')
    ELSE each_column(of, replace(replace('CASE WHEN {was}.%1$I IS DISTINCT FROM {now}.%1$I'
        ' THEN jsonb_build_object(%1$L, jsonb_build_array({was}.%1$I, {now}.%1$I)) ELSE ''{}'' END', '{was}', was), '{now}', now), E'\n    || ') END;
COMMENT ON FUNCTION recorded(regclass, text, text) IS
    'An expression for the changes of an event, {"column": [old, new]}, made of every column that a client gives: of the rows was and now, of which one may be NULL';

GRANT EXECUTE ON FUNCTION actor(), source(), refuse(text, text, text), is_blank(text),
    eastern(), paired(text), parted(text), body_words(text), ticket_words(text, text, text[]), wanted(text, boolean), wanted_any(text[]),
    mentioning(text[]), elapsed(interval), kept(), told() TO iris_reader;

COMMENT ON TABLE latches IS
    'What only one may do at a time: a rule locks the row of its name. Rows of the owner''s, which nobody else can lock, as they could an advisory lock';
COMMENT ON COLUMN latches.name IS 'feed: giving positions; links: writing links that could make a circle; workflow: changing the workflow';

COMMENT ON TABLE statuses IS 'What a ticket can be; the one with the lowest position is where tickets start';
COMMENT ON COLUMN statuses.status IS 'Its name, 1 to 50 characters';
COMMENT ON COLUMN statuses.position IS 'Its place in the workflow, lowest first';
COMMENT ON COLUMN statuses.is_open IS 'Whether a ticket in it still wants work';

COMMENT ON TABLE transitions IS 'Which status may follow which; what is not here is refused';
COMMENT ON COLUMN transitions.from_status IS 'The status a ticket is in';
COMMENT ON COLUMN transitions.to_status IS 'A status it may go to from there';

-- WHAT COLUMNS MAY BE: defaults and checks of the tables

CREATE OR REPLACE FUNCTION first_status() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN (SELECT status FROM statuses ORDER BY position LIMIT 1);
COMMENT ON FUNCTION first_status() IS 'Where tickets start';

GRANT EXECUTE ON FUNCTION first_status() TO iris_writer;

CREATE OR REPLACE FUNCTION ticket_fits(title text, description text, assignee text, reporter text, labels text[], fields jsonb, due timestamptz)
RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, public, pg_temp
-- One function for all columns, which a session prepares once: every statement prepares every CHECK
-- anew, and seven of them took longer than writing the row.
AS $$
DECLARE
    label text;
BEGIN
    IF char_length(title) > 300 OR is_blank(title) THEN
        RETURN refuse('title must have 1 to 300 characters, not only blanks', 'tickets_check', 'title');
    ELSIF title ~ '[\u0001-\u001f\u007f-\u009f\u2028\u2029]' THEN
        -- In what is drawn of a ticket, a second line could look like another ticket's.
        RETURN refuse('title must be one line, without control characters', 'tickets_check', 'title');
    ELSIF char_length(description) > 100000 THEN
        RETURN refuse('description must have at most 100,000 characters', 'tickets_check', 'description');
    ELSIF char_length(assignee) > 100 THEN
        RETURN refuse('assignee must have at most 100 characters', 'tickets_check', 'assignee');
    ELSIF char_length(reporter) > 100 OR is_blank(reporter) THEN
        RETURN refuse('reporter must have 1 to 100 characters, not only blanks', 'tickets_check', 'reporter');
    ELSIF jsonb_typeof(fields) <> 'object' OR octet_length(fields::text) > 16384 THEN
        RETURN refuse('fields must be a JSON object of at most 16 KiB', 'tickets_check', 'fields');
    ELSIF NOT isfinite(due) THEN
        RETURN refuse('due must be a finite time', 'tickets_check', 'due');
    ELSIF due < '0001-01-01 00:00+00' OR due >= '10000-01-01 00:00+00' THEN
        -- RFC 3339 has no other years, nor has anybody who reads JSON.
        RETURN refuse('due must be in a year from 1 to 9999', 'tickets_check', 'due');
    END IF;
    FOREACH label IN ARRAY labels LOOP
        IF label IS NULL OR char_length(label) > 50 OR cardinality(labels) > 50 OR array_ndims(labels) > 1 THEN
            RETURN refuse('labels must be a list of at most 50 texts of at most 50 characters', 'tickets_check', 'labels');
        END IF;
    END LOOP;
    RETURN true;
END $$;
COMMENT ON FUNCTION ticket_fits(text, text, text, text, text[], jsonb, timestamptz) IS
    'Whether a ticket''s columns are what they may be; refuses what is not, in words';

GRANT EXECUTE ON FUNCTION ticket_fits(text, text, text, text, text[], jsonb, timestamptz) TO iris_writer;

CREATE OR REPLACE FUNCTION comment_fits(author text, body text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF char_length(author) > 100 OR is_blank(author) THEN
        RETURN refuse('author must have 1 to 100 characters, not only blanks', 'comments_check', 'author');
    ELSIF char_length(body) > 100000 OR is_blank(body) THEN
        RETURN refuse('body must have 1 to 100,000 characters, not only blanks', 'comments_check', 'body');
    END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION comment_fits(text, text) IS 'Whether a comment''s columns are what they may be; refuses what is not, in words';

GRANT EXECUTE ON FUNCTION comment_fits(text, text) TO iris_writer;

CREATE OR REPLACE FUNCTION token_fits(name text, actor text, expires timestamptz, digest bytea) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF char_length(name) > 60 OR is_blank(name) OR name ~ '[/[:cntrl:]]|^ | $|^[.]+$' OR name = 'me' THEN
        RETURN refuse('a token''s name has 1 to 60 characters, no slash and no blank at either end, and is not "me"', 'tokens_check', 'name');
    ELSIF char_length(actor) > 100 OR is_blank(actor) OR actor ~ '[[:cntrl:]]' THEN
        RETURN refuse('actor must have 1 to 100 characters, not only blanks', 'tokens_check', 'actor');
    ELSIF NOT isfinite(expires) OR expires >= '10000-01-01 00:00+00' THEN
        RETURN refuse('expires must be a time before the year 10000', 'tokens_check', 'expires');
    ELSIF octet_length(digest) <> 32 THEN
        RETURN refuse('digest must be a SHA-256, 32 bytes', 'tokens_check', 'digest');
    END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION token_fits(text, text, timestamptz, bytea) IS
    'Whether a token''s columns are what they may be; refuses what is not, in words';

GRANT EXECUTE ON FUNCTION token_fits(text, text, timestamptz, bytea) TO iris_admin;

COMMENT ON TABLE tickets IS 'The tickets';
COMMENT ON COLUMN tickets.ticket_id IS 'Its number, made by the database, never given';
COMMENT ON COLUMN tickets.title IS 'One line of 1 to 300 characters, none of them a control character';
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

COMMENT ON TABLE comments IS 'What people say about a ticket';
COMMENT ON COLUMN comments.comment_id IS 'Its number, made by the database, never given';
COMMENT ON COLUMN comments.ticket_id IS 'The ticket it is about';
COMMENT ON COLUMN comments.author IS 'Who wrote it; the actor, unless given';
COMMENT ON COLUMN comments.body IS 'What was written, 1 to 100,000 characters';
COMMENT ON COLUMN comments.created IS 'When it was written; kept by the database';
COMMENT ON COLUMN comments.updated IS 'When it was last changed; kept by the database';

COMMENT ON TABLE links IS 'How tickets hang together';
COMMENT ON COLUMN links.ticket_id IS 'The ticket that blocks, duplicates, relates, or has a parent';
COMMENT ON COLUMN links.kind IS 'blocks, duplicates, parent or relates';
COMMENT ON COLUMN links.other_id IS 'The ticket that is blocked, duplicated, related to, or is the parent';

COMMENT ON TABLE searches IS 'The words of tickets and comments; kept by the database';
COMMENT ON COLUMN searches.ticket_id IS 'The ticket';
COMMENT ON COLUMN searches.comment_id IS 'The comment whose words these are, 0 for the ticket''s own';
COMMENT ON COLUMN searches.words IS 'Title (A), labels (B), description (C), comment (D)';

COMMENT ON TABLE events IS 'The history: a row for each change of a ticket, a comment, a link, the workflow or a token, through whichever door; written by the rules, never changed';
COMMENT ON COLUMN events.event_id IS 'Its number; not the order of commits: that is position';
COMMENT ON COLUMN events.at IS 'When it happened';
COMMENT ON COLUMN events.actor IS 'Who did it: the setting iris.actor, where the session may speak for others, else its user';
COMMENT ON COLUMN events.source IS 'By which door: http, or the client''s application_name, such as psql';
COMMENT ON COLUMN events.ticket_id IS 'The ticket, which may be gone by now; null where it was the workflow that changed, or a token';
COMMENT ON COLUMN events.kind IS 'What happened';
COMMENT ON COLUMN events.comment_id IS 'The comment that was written, changed or deleted';
COMMENT ON COLUMN events.changes IS '{"column": [old, new]}; of the workflow {"statuses": [old, new], "transitions": [old, new]}; of a token its name, role, actor and end';
COMMENT ON COLUMN events.position IS 'Its place in the feed, given when the feed is first read; null until then';
COMMENT ON COLUMN events.kept IS 'What the database kept of the ticket (and the comment) before: {"version": [old], …}, for tickets_as_of()';
COMMENT ON COLUMN events.other_id IS 'Of a link: the other ticket';
COMMENT ON COLUMN events.other_kept IS 'The same as kept, of the other ticket';

COMMENT ON TABLE replays IS 'Answers to writes that carried an Idempotency-Key, to be given again';
COMMENT ON COLUMN replays.actor IS 'Who wrote; everybody has keys of their own';
COMMENT ON COLUMN replays.key IS 'The Idempotency-Key';
COMMENT ON COLUMN replays.request IS 'A digest of the request, for the key is good for one request only';
COMMENT ON COLUMN replays.answer IS 'The row that the write gave';
COMMENT ON COLUMN replays.created IS 'When; kept for 24 hours at least';

COMMENT ON TABLE workflow_recorded IS 'The workflow as the history knows it, one row; kept by the rules';
COMMENT ON COLUMN workflow_recorded.document IS 'As workflow() gives it';
COMMENT ON COLUMN workflow_recorded.at IS 'Since when; -infinity while it is as it was at first';

COMMENT ON TABLE tokens IS 'Who may come in over HTTP where IRIS_AUTH=token; one that is deleted is revoked';
COMMENT ON COLUMN tokens.name IS 'Its name, 1 to 60 characters';
COMMENT ON COLUMN tokens.role IS 'What its holder may do; each role may do what the one before may';
COMMENT ON COLUMN tokens.actor IS 'Who acts by it; its name, unless given';
COMMENT ON COLUMN tokens.created IS 'When it was made; kept by the database';
COMMENT ON COLUMN tokens.expires IS 'When it ends by itself; null: never';
COMMENT ON COLUMN tokens.used IS 'When it was last used, to the hour; kept by the database';
COMMENT ON COLUMN tokens.is_login IS 'Whether there is a login of its name for psql, which goes with it; kept by the database';
COMMENT ON COLUMN tokens.digest IS 'The SHA-256 of what its holder sends, which itself is nowhere';

COMMENT ON TABLE alembic_version IS 'The revision of this schema; written by iris db upgrade';

-- ONE AT A TIME

CREATE OR REPLACE FUNCTION latch(which text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    -- Who waited must see what the one before did: with eyes that are younger than the lock, which
    -- other isolation levels don't have.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE feature_not_supported USING MESSAGE = CASE which
            WHEN 'links' THEN 'links of the kinds blocks and parent are written in READ COMMITTED transactions only'
            ELSE 'the workflow is changed in READ COMMITTED transactions only' END;
    END IF;
    PERFORM FROM latches WHERE name = which FOR UPDATE;
END $$;
COMMENT ON FUNCTION latch(text) IS 'Waits until nobody else holds the latch of this name, and holds it to the end of the transaction';

CREATE OR REPLACE FUNCTION free_holders(patience interval DEFAULT '60 seconds') RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    holder record;
    freed integer := 0;
BEGIN
    -- Who only reads holds up nobody. Superusers know what they do: a migration, an import.
    FOR holder IN
        SELECT session.pid FROM pg_stat_activity AS session JOIN pg_roles ON rolname = session.usename
            WHERE session.datname = current_database() AND session.pid <> pg_backend_pid() AND NOT rolsuper
                AND (session.state LIKE 'idle in transaction%' AND session.state_change < clock_timestamp() - greatest(patience, '10 seconds')
                    OR session.xact_start < clock_timestamp() - 10 * greatest(patience, '10 seconds'))
                AND EXISTS (SELECT FROM pg_locks WHERE pg_locks.pid = session.pid AND granted
                    AND (locktype = 'transactionid' OR locktype = 'relation' AND mode <> 'AccessShareLock')) LOOP
        freed := freed + pg_terminate_backend(holder.pid)::integer;
    END LOOP;
    RETURN freed;
END $$;
COMMENT ON FUNCTION free_holders(interval) IS
    'Ends sessions that keep something locked and have been idle in a transaction for a minute, or in one for ten; gives how many. The service calls it when it has waited in vain';

-- RULES OF TICKETS: what the database keeps, the workflow, words, history

CREATE OR REPLACE FUNCTION locked_status(name text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    open boolean;
BEGIN
    SELECT is_open INTO open FROM statuses WHERE status = name FOR SHARE;
    RETURN open;
END $$;
COMMENT ON FUNCTION locked_status(text) IS
    'Whether a status is open, for who looks with old eyes (REPEATABLE READ, SERIALIZABLE): fails where it changed since they were opened';

CREATE OR REPLACE FUNCTION locked_transition(origin text, target text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM FROM transitions WHERE from_status = origin AND to_status = target FOR SHARE;
    RETURN FOUND;
END $$;
COMMENT ON FUNCTION locked_transition(text, text) IS 'Whether there is such a transition, for who looks with old eyes';

GRANT EXECUTE ON FUNCTION locked_status(text), locked_transition(text, text) TO iris_writer;

DO $generate$ BEGIN EXECUTE replace(replace($function$
CREATE OR REPLACE FUNCTION tickets_before() RETURNS trigger
LANGUAGE plpgsql
-- The path is the rule's own, not the caller's: whoever wrote it could give what they made in pg_temp
-- the name of a type, and with it decide what the comparisons below say.
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    missing text := CASE {missing} END;
    old_eyes boolean;
    open boolean;
    advice text;
    allowed text[];
BEGIN
    IF missing IS NOT NULL THEN
        RAISE not_null_violation USING MESSAGE = missing || ' is required', COLUMN = missing;
    END IF;
    {composed}
    IF cardinality(NEW.labels) > 1 OR octet_length(NEW.labels[1]) <> char_length(NEW.labels[1]) THEN
        NEW.labels := ARRAY(SELECT DISTINCT normalize(label) COLLATE "C" FROM unnest(NEW.labels) AS label ORDER BY 1);
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
        IF NEW.version <> OLD.version AND current_user = (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = TG_RELID) THEN
            RETURN NEW;
        END IF;
        NEW.version := OLD.version;
        NEW.updated := OLD.updated;
        NEW.closed := OLD.closed;
        IF NEW IS NOT DISTINCT FROM OLD THEN
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

    -- In a READ COMMITTED transaction this sees what is there now, and who changes the workflow waits
    -- for it (statuses_first); in others it sees what was there when the transaction began.
    old_eyes := current_setting('transaction_isolation') <> 'read committed';
    IF old_eyes THEN
        open := locked_status(NEW.status);
    ELSE
        SELECT is_open INTO open FROM statuses WHERE status = NEW.status;
    END IF;
    IF open IS NULL THEN
        SELECT 'The workflow has: ' || string_agg(status, ', ' ORDER BY position), array_agg(status ORDER BY position)
            INTO advice, allowed FROM statuses;
        RAISE foreign_key_violation USING MESSAGE = format('there is no status "%s"', NEW.status), HINT = advice,
            CONSTRAINT = 'tickets_status_fkey', COLUMN = 'status', DATATYPE = json_build_object('allowed', allowed)::text;
    END IF;
    IF TG_OP = 'UPDATE' AND NOT (NOT old_eyes AND EXISTS (
            SELECT FROM transitions WHERE from_status = OLD.status AND to_status = NEW.status)
        OR old_eyes AND locked_transition(OLD.status, NEW.status)) THEN
        SELECT coalesce(array_agg(to_status ORDER BY position), '{}') INTO allowed
            FROM transitions JOIN statuses ON status = to_status WHERE from_status = OLD.status;
        RAISE SQLSTATE 'IR001' USING MESSAGE = format('ticket %s can''t go from "%s" to "%s"', OLD.ticket_id, OLD.status, NEW.status),
            HINT = format('From "%s" it may go ', OLD.status) || coalesce('to: ' || nullif(array_to_string(allowed, ', '), ''), 'nowhere'),
            COLUMN = 'status', DATATYPE = json_build_object('allowed', allowed)::text;
    END IF;
    NEW.closed := CASE WHEN open THEN NULL
        WHEN TG_OP = 'UPDATE' AND OLD.closed IS NOT NULL THEN OLD.closed
        ELSE NEW.updated END;
    RETURN NEW;
END $$;
$function$,
    '{missing}', each_column('tickets', 'WHEN NEW.%1$I IS NULL THEN %1$L', ' ', required => true)),
    '{composed}', composed('tickets'));
END $generate$;
COMMENT ON FUNCTION tickets_before() IS 'Keeps what the database keeps of a ticket, and holds it to the workflow';

CREATE OR REPLACE TRIGGER tickets_before BEFORE INSERT OR UPDATE ON tickets
    FOR EACH ROW EXECUTE FUNCTION tickets_before();

CREATE OR REPLACE FUNCTION touch(ids bigint[]) RETURNS TABLE (ticket_id bigint, at timestamptz, kept jsonb)
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
-- Otherwise plans are made anew each time, for PostgreSQL takes an unknown list for a longer one.
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
    -- Locked in the order of their numbers, so that two who touch the same tickets can't deadlock;
    -- one time for all of them, which is later than any of them has seen.
    SELECT greatest(clock_timestamp(), max(locked.updated) + interval '1 microsecond') INTO at
        FROM (SELECT updated FROM tickets WHERE ticket_id = ANY (touch.ids) ORDER BY ticket_id FOR NO KEY UPDATE) AS locked;
    RETURN QUERY
        UPDATE tickets SET version = old.version + cardinality(array_positions(touch.ids, old.ticket_id)), updated = touch.at
            FROM tickets AS old WHERE old.ticket_id = ANY (touch.ids) AND tickets.ticket_id = old.ticket_id
            RETURNING old.ticket_id, touch.at,
                jsonb_build_object('version', jsonb_build_array(old.version), 'updated', jsonb_build_array(old.updated));
END $$;
COMMENT ON FUNCTION touch(bigint[]) IS
    'Counts the version of tickets on, once for each time they are named, when what hangs on them changed; gives when, and what they were';

CREATE OR REPLACE FUNCTION after_last(number bigint) RETURNS timestamptz
LANGUAGE sql VOLATILE
RETURN greatest(clock_timestamp(), (SELECT events.at + interval '1 microsecond' FROM events
    WHERE events.ticket_id = number ORDER BY events.event_id DESC LIMIT 1));
COMMENT ON FUNCTION after_last(bigint) IS
    'Now, and later than all that happened to a ticket, which is gone: also where the clock was set back';

DO $generate$ BEGIN EXECUTE replace(replace(replace($function$
CREATE OR REPLACE FUNCTION tickets_after() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    changes jsonb;
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO searches VALUES (NEW.ticket_id, 0, ticket_words(NEW.title, NEW.description, NEW.labels));
        INSERT INTO events (at, actor, source, ticket_id, kind, changes)
            VALUES (NEW.created, left(actor(), 100), source(), NEW.ticket_id, 'created',
                {given});
    ELSIF TG_OP = 'DELETE' THEN
        DELETE FROM searches WHERE ticket_id = OLD.ticket_id;
        INSERT INTO events (at, actor, source, ticket_id, kind, changes, kept)
            VALUES (greatest(clock_timestamp(), OLD.updated + interval '1 microsecond'), left(actor(), 100), source(), OLD.ticket_id, 'deleted',
                {gone},
                jsonb_build_object('version', jsonb_build_array(OLD.version), 'created', jsonb_build_array(OLD.created),
                    'updated', jsonb_build_array(OLD.updated), 'closed', jsonb_build_array(OLD.closed)));
    ELSE
        changes := {changed};
        IF changes = '{}' THEN
            -- What is closed follows the status, unless the status itself was declared closed.
            IF OLD.closed IS NOT DISTINCT FROM NEW.closed THEN
                RETURN NULL;
            END IF;
            changes := jsonb_build_object('closed', jsonb_build_array(OLD.closed, NEW.closed));
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
$function$,
    '{given}', recorded('tickets', 'NULL', 'NEW')),
    '{changed}', recorded('tickets', 'OLD', 'NEW')),
    '{gone}', recorded('tickets', 'OLD', 'NULL'));
END $generate$;
COMMENT ON FUNCTION tickets_after() IS 'Keeps the words of tickets; writes history';

CREATE OR REPLACE TRIGGER tickets_inserted AFTER INSERT ON tickets
    FOR EACH ROW EXECUTE FUNCTION tickets_after();
-- Not when only a comment or a link counted the version on. By columns, for a WHEN is read anew by each statement.
DO $generate$ BEGIN EXECUTE format('CREATE OR REPLACE TRIGGER tickets_updated AFTER UPDATE OF closed, %s ON tickets
    FOR EACH ROW EXECUTE FUNCTION tickets_after()', each_column('tickets', '%1$I'));
END $generate$;
CREATE OR REPLACE TRIGGER tickets_deleted AFTER DELETE ON tickets
    FOR EACH ROW EXECUTE FUNCTION tickets_after();

-- RULES OF COMMENTS: what the database keeps, words, history

DO $generate$ BEGIN EXECUTE replace($function$
CREATE OR REPLACE FUNCTION comments_before() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    missing text := CASE WHEN NEW.ticket_id IS NULL THEN 'ticket_id' WHEN NEW.author IS NULL THEN 'author'
        WHEN NEW.body IS NULL THEN 'body' END;
BEGIN
    IF missing IS NOT NULL THEN
        RAISE not_null_violation USING MESSAGE = missing || ' is required', COLUMN = missing;
    END IF;
    {composed}
    IF TG_OP = 'INSERT' THEN
        -- Locked, so that it can't go before the comment is there.
        PERFORM FROM tickets WHERE ticket_id = NEW.ticket_id FOR KEY SHARE;
        IF NOT FOUND THEN
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
        NEW.updated := OLD.updated;
        IF NEW IS DISTINCT FROM OLD THEN
            NEW.updated := greatest(clock_timestamp(), OLD.updated + interval '1 microsecond');
        END IF;
    END IF;
    RETURN NEW;
END $$;
$function$, '{composed}', composed('comments'));
END $generate$;
COMMENT ON FUNCTION comments_before() IS 'Keeps what the database keeps of a comment';

CREATE OR REPLACE TRIGGER comments_before BEFORE INSERT OR UPDATE ON comments
    FOR EACH ROW EXECUTE FUNCTION comments_before();

DO $generate$ BEGIN EXECUTE replace(replace(replace($function$
CREATE OR REPLACE FUNCTION comments_after() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
-- Whatever columns there will be.
#variable_conflict use_variable
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
        INSERT INTO searches VALUES (NEW.ticket_id, NEW.comment_id, body_words(NEW.body));
        INSERT INTO events (at, actor, source, ticket_id, kind, comment_id, changes, kept)
            VALUES (moment, left(actor(), 100), source(), NEW.ticket_id, 'commented', NEW.comment_id,
                {given}, was);
    ELSIF TG_OP = 'UPDATE' THEN
        UPDATE searches SET words = body_words(NEW.body)
            WHERE ticket_id = NEW.ticket_id AND comment_id = NEW.comment_id;
        INSERT INTO events (at, actor, source, ticket_id, kind, comment_id, changes, kept)
            VALUES (moment, left(actor(), 100), source(), NEW.ticket_id, 'comment_changed', NEW.comment_id,
                {changed},
                was || jsonb_build_object('comment', jsonb_build_object('updated', jsonb_build_array(OLD.updated, NEW.updated))));
    ELSE
        DELETE FROM searches WHERE ticket_id = OLD.ticket_id AND comment_id = OLD.comment_id;
        INSERT INTO events (at, actor, source, ticket_id, kind, comment_id, changes, kept)
            VALUES (coalesce(moment, after_last(OLD.ticket_id)), left(actor(), 100), source(), OLD.ticket_id, 'comment_deleted', OLD.comment_id,
                {gone},
                coalesce(was, '{}') || jsonb_build_object('comment', jsonb_build_object('author', jsonb_build_array(OLD.author, NULL),
                    'created', jsonb_build_array(OLD.created, NULL), 'updated', jsonb_build_array(OLD.updated, NULL))));
    END IF;
    RETURN NULL;
END $$;
$function$,
    '{given}', recorded('comments', 'NULL', 'NEW')),
    '{changed}', recorded('comments', 'OLD', 'NEW')),
    '{gone}', recorded('comments', 'OLD', 'NULL'));
END $generate$;
COMMENT ON FUNCTION comments_after() IS 'Keeps the words of comments; counts the version of their ticket on; writes history';

CREATE OR REPLACE TRIGGER comments_inserted AFTER INSERT ON comments
    FOR EACH ROW EXECUTE FUNCTION comments_after();
CREATE OR REPLACE TRIGGER comments_updated AFTER UPDATE ON comments
    FOR EACH ROW WHEN (OLD.updated <> NEW.updated) EXECUTE FUNCTION comments_after();
CREATE OR REPLACE TRIGGER comments_deleted AFTER DELETE ON comments
    FOR EACH ROW EXECUTE FUNCTION comments_after();

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
        SELECT coalesce(this.at, other.at, after_last(old_rows.ticket_id)), left(actor(), 100), source(), old_rows.ticket_id, 'unlinked',
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

-- RULES OF THE WORKFLOW: one at a time, no status dropped that is in use; history

CREATE OR REPLACE FUNCTION workflow_first() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM latch('workflow');
    IF TG_RELNAME = 'statuses' AND TG_OP <> 'INSERT' THEN
        -- Who is moving a ticket just now has read the workflow as it is: wait for them. Before anything
        -- is touched, for they would wait for that.
        LOCK TABLE tickets IN SHARE ROW EXCLUSIVE MODE;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION workflow_first() IS 'Lets one change the workflow at a time, and not while tickets are moved';

CREATE OR REPLACE TRIGGER statuses_first BEFORE INSERT OR UPDATE OR DELETE ON statuses
    FOR EACH STATEMENT EXECUTE FUNCTION workflow_first();
CREATE OR REPLACE TRIGGER transitions_first BEFORE INSERT OR UPDATE OR DELETE ON transitions
    FOR EACH STATEMENT EXECUTE FUNCTION workflow_first();

CREATE OR REPLACE FUNCTION statuses_before() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF (TG_OP = 'DELETE' OR NEW.status <> OLD.status)
        AND EXISTS (SELECT FROM tickets WHERE status = OLD.status) THEN
        RAISE SQLSTATE 'IR004' USING MESSAGE = format('tickets are in the status "%s"', OLD.status),
            HINT = 'Move them to another status first.';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;
COMMENT ON FUNCTION statuses_before() IS 'Refuses to drop or rename a status that tickets are in';

CREATE OR REPLACE TRIGGER statuses_before BEFORE DELETE OR UPDATE OF status ON statuses
    FOR EACH ROW EXECUTE FUNCTION statuses_before();

CREATE OR REPLACE FUNCTION statuses_after() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF NOT EXISTS (SELECT FROM statuses) THEN
            RAISE check_violation USING MESSAGE = 'a workflow needs at least one status', COLUMN = 'statuses';
        END IF;
    ELSIF NEW.is_open <> OLD.is_open THEN
        UPDATE tickets SET version = version + 1, closed = CASE WHEN NOT NEW.is_open THEN clock_timestamp() END,
            updated = greatest(clock_timestamp(), updated + interval '1 microsecond')
            WHERE status = NEW.status AND (closed IS NULL) <> NEW.is_open;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION statuses_after() IS 'Keeps one status at least; opens or closes the tickets of a status whose is_open changes';

CREATE OR REPLACE TRIGGER statuses_deleted AFTER DELETE ON statuses
    FOR EACH STATEMENT EXECUTE FUNCTION statuses_after();
CREATE OR REPLACE TRIGGER statuses_updated AFTER UPDATE OF is_open ON statuses
    FOR EACH ROW EXECUTE FUNCTION statuses_after();

CREATE OR REPLACE FUNCTION workflow_after() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    old jsonb;
    new jsonb := workflow();
    differs jsonb;
    moment timestamptz;
BEGIN
    SELECT document, greatest(clock_timestamp(), at + interval '1 microsecond') INTO old, moment FROM workflow_recorded FOR UPDATE;
    SELECT jsonb_object_agg(key, jsonb_build_array(old -> key, value)) INTO differs
        FROM jsonb_each(new) WHERE value IS DISTINCT FROM old -> key;
    -- What comes at the end of a transaction comes once for each row; the first one tells it all.
    IF differs IS NOT NULL THEN
        UPDATE workflow_recorded SET document = new, at = moment;
        INSERT INTO events (at, actor, source, kind, changes)
            VALUES (moment, left(actor(), 100), source(), 'workflow_changed', differs);
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION workflow_after() IS 'Writes history: one event for all that a transaction changed of the workflow';

DO $$
DECLARE
    name text;
BEGIN
    -- A constraint trigger can be put off to the end of a transaction, but not replaced.
    FOREACH name IN ARRAY '{statuses,transitions}'::text[] LOOP
        IF EXISTS (SELECT FROM pg_trigger WHERE tgname = name || '_recorded' AND tgrelid = name::regclass) THEN
            EXECUTE format('DROP TRIGGER %I ON %I', name || '_recorded', name);
        END IF;
        EXECUTE format('CREATE CONSTRAINT TRIGGER %I AFTER INSERT OR UPDATE OR DELETE ON %I
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION workflow_after()', name || '_recorded', name);
    END LOOP;
END $$;

-- RULES OF TOKENS: what the database keeps; logins; history, without anything secret

CREATE OR REPLACE FUNCTION tokens_before() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    missing text;
BEGIN
    NEW.name := normalize(NEW.name);
    NEW.actor := normalize(coalesce(NEW.actor, NEW.name));
    missing := CASE WHEN NEW.name IS NULL THEN 'name' WHEN NEW.role IS NULL THEN 'role' WHEN NEW.digest IS NULL THEN 'digest' END;
    IF missing IS NOT NULL THEN
        RAISE not_null_violation USING MESSAGE = missing || ' is required', COLUMN = missing;
    END IF;
    NEW.created := clock_timestamp();
    NEW.used := NULL;
    NEW.is_login := false;
    IF NEW.expires <= NEW.created THEN
        PERFORM refuse('expires must be a time to come', 'tokens_check', 'expires');
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION tokens_before() IS 'Keeps what the database keeps of a token';

CREATE OR REPLACE TRIGGER tokens_before BEFORE INSERT ON tokens
    FOR EACH ROW EXECUTE FUNCTION tokens_before();

CREATE OR REPLACE FUNCTION tokens_after() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO events (at, actor, source, kind, changes)
            VALUES (NEW.created, left(actor(), 100), source(), 'token_added',
                jsonb_build_object('token', jsonb_build_array(NULL, NEW.name), 'role', jsonb_build_array(NULL, NEW.role),
                    'actor', jsonb_build_array(NULL, NEW.actor))
                || CASE WHEN NEW.expires IS NULL THEN '{}' ELSE jsonb_build_object('expires', jsonb_build_array(NULL, NEW.expires)) END);
    ELSE
        INSERT INTO events (at, actor, source, kind, changes)
            VALUES (clock_timestamp(), left(actor(), 100), source(), 'token_revoked',
                jsonb_build_object('token', jsonb_build_array(OLD.name, NULL), 'role', jsonb_build_array(OLD.role, NULL),
                    'actor', jsonb_build_array(OLD.actor, NULL))
                || CASE WHEN OLD.expires IS NULL THEN '{}' ELSE jsonb_build_object('expires', jsonb_build_array(OLD.expires, NULL)) END);
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION tokens_after() IS 'Writes history';

CREATE OR REPLACE TRIGGER tokens_after AFTER INSERT OR DELETE ON tokens
    FOR EACH ROW EXECUTE FUNCTION tokens_after();

-- WORDS FOR TIMES

CREATE OR REPLACE FUNCTION moment(words text, past boolean DEFAULT true, zone text DEFAULT current_setting('TimeZone'))
RETURNS timestamptz
LANGUAGE plpgsql STABLE STRICT
SET search_path = pg_catalog, public, pg_temp
SET datestyle = 'ISO, MDY'
SET intervalstyle = 'postgres'
-- So that what is set below ends with the function, too.
SET timezone = 'UTC'
AS $$
DECLARE
    said text := lower(btrim(regexp_replace(words, '\s+', ' ', 'g')));
    here timestamp;
    part text[];
    day timestamp;
    step interval;
    is_past boolean := past;
    found timestamptz;
BEGIN
    -- A zone of PostgreSQL's own making, such as FOO5, is nobody's; digits are only in a few that there are.
    IF zone !~ '^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$'
        OR zone ~ '[0-9]' AND NOT EXISTS (SELECT FROM pg_timezone_names WHERE name = zone) THEN
        RAISE invalid_parameter_value USING MESSAGE = format('there is no time zone "%s"', zone), COLUMN = 'tz',
            HINT = 'Such as Europe/Berlin, America/New_York or UTC.';
    END IF;
    BEGIN
        PERFORM set_config('timezone', zone, true);
    EXCEPTION WHEN invalid_parameter_value THEN
        RAISE invalid_parameter_value USING MESSAGE = format('there is no time zone "%s"', zone), COLUMN = 'tz',
            HINT = 'Such as Europe/Berlin, America/New_York or UTC.';
    END;
    here := now()::timestamp;
    IF words ~* '(GMT|UTC|UT)[+-][0-9]' THEN
        RAISE invalid_datetime_format USING MESSAGE = format('GMT+0100 would mean one hour west of Greenwich: "%s"', words);
    END IF;

    -- 7 days ago, -2h, in 3 days
    part := regexp_match(said, '^(in |[+-] ?)?((?:(?:\d{1,9}(?:\.\d{1,6})?|an?|one) ?'
        '(?:s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?|mo|months?|y|yrs?|years?)(?![a-z]) ?)+?)( ?ago)?$');
    IF part IS NOT NULL AND (part[1] IS NULL) <> (part[3] IS NULL) THEN
        step := regexp_replace(regexp_replace(regexp_replace(part[2], '\m(an?|one)\M', '1', 'g'), '(\d) ?mo(?![a-z])', '\1 months', 'g'),
            '([a-z])(\d)', '\1 \2', 'g')::interval;
        found := CASE WHEN part[3] IS NULL AND part[1] !~ '^-' THEN now() + step ELSE now() - step END;
    END IF;

    -- monday, friday 17:00, last monday, 17:00: the last one or the next one
    IF found IS NULL THEN
        part := regexp_match(said, '^(?:(last|next) )?(mon(?:day)?|tue(?:s|sday)?|wed(?:nesday)?|thu(?:r|rs|rsday)?|'
            'fri(?:day)?|sat(?:urday)?|sun(?:day)?)?,?(?: ?(?:at )?(\d{1,2}(?::\d\d){1,2}(?: ?[ap]m)?|\d{1,2} ?[ap]m))?$');
        IF part IS NOT NULL AND (part[2] IS NOT NULL OR part[1] IS NULL AND part[3] IS NOT NULL) THEN
            step := CASE WHEN part[2] IS NULL THEN interval '1 day' ELSE interval '7 days' END;
            day := CASE WHEN part[2] IS NULL THEN date_trunc('day', here)
                ELSE date_trunc('week', here) + (array_position('{mon,tue,wed,thu,fri,sat,sun}'::text[], left(part[2], 3)) - 1) * interval '1 day' END;
            IF part[1] IS NOT NULL THEN
                is_past := part[1] = 'last';
            END IF;
            day := day + coalesce(regexp_replace(part[3], '^(\d+) ?([ap]m)$', '\1:00 \2')::time, '00:00')::interval;
            IF is_past AND day > here THEN
                day := day - step;
            ELSIF NOT is_past AND day <= here THEN
                day := day + step;
            END IF;
            found := day::timestamptz;
        END IF;
    END IF;

    -- last week, this month, next year: when it begins
    IF found IS NULL THEN
        part := regexp_match(said, '^(last|this|next) (week|month|quarter|year)$');
        IF part IS NOT NULL THEN
            step := CASE part[2] WHEN 'quarter' THEN interval '3 months' ELSE ('1 ' || part[2])::interval END;
            found := (date_trunc(part[2], here)
                + CASE part[1] WHEN 'last' THEN -step WHEN 'next' THEN step ELSE interval '0' END)::timestamptz;
        END IF;
    END IF;

    -- 2026-W48, of which the Monday; 2026-W48-5
    IF found IS NULL THEN
        part := regexp_match(said, '^(\d{4})-?w(\d\d)(?:-?([1-7]))?$');
        IF part IS NOT NULL THEN
            day := to_date(part[1] || part[2] || coalesce(part[3], '1'), 'IYYYIWID');
            IF to_char(day, 'IYYYIW') <> part[1] || part[2] THEN
                RAISE datetime_field_overflow USING MESSAGE = 'there is no such week';
            END IF;
            found := day::timestamptz;
        END IF;
    END IF;

    RETURN coalesce(found, regexp_replace(words, '^(\s*(today|tomorrow|yesterday),?\s+)at\s+', '\1', 'i')::timestamptz);
EXCEPTION WHEN data_exception THEN
    IF SQLERRM LIKE 'there is no time zone "%' THEN
        RAISE;
    END IF;
    RAISE EXCEPTION USING ERRCODE = SQLSTATE,
        -- Always with the words, so that whoever gave several times knows which.
        MESSAGE = CASE WHEN right(SQLERRM, length(words) + 2) = format('"%s"', words) THEN SQLERRM
            WHEN SQLSTATE IN ('22008', '22015') THEN format('date/time field value out of range: "%s"', words)
            ELSE format('invalid input syntax for type timestamp with time zone: "%s"', words) END,
        HINT = 'Times are like 2026-12-01, 2026-12-01T17:00+01:00, tomorrow, monday, friday 17:00, 7 days ago, -2h, in 3 days, 2026-W48.';
END $$;
COMMENT ON FUNCTION moment(text, boolean, text) IS
    'When that is: monday, friday 17:00, 7 days ago, -2h, in 3 days, 2026-W48, and whatever PostgreSQL reads; past: whether a day is the last one or the next one; in a time zone, the session''s unless given';

CREATE OR REPLACE FUNCTION moment_once(words text, past boolean, zone text) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT
-- For statements that are planned whenever they are run, and those that execute it as a parameter: what is immutable is
-- computed once, before the plan is made, so that the plan knows the time, and no row asks for it again. Of a statement that
-- keeps its plan it would keep the time as well, so that it is for nobody but the service.
RETURN moment(words, past, zone);
COMMENT ON FUNCTION moment_once(text, boolean, text) IS 'moment() as the service asks for it, once for a statement';

GRANT EXECUTE ON FUNCTION moment(text, boolean, text), moment_once(text, boolean, text) TO iris_reader;

-- ONE TICKET

CREATE OR REPLACE FUNCTION read_ticket(id bigint, seen bigint[] DEFAULT '{}') RETURNS TABLE (body text, version bigint)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, public, pg_temp
-- In PL/pgSQL, for a session then plans this once: planning takes longer than reading.
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT CASE WHEN version = ANY (read_ticket.seen) THEN NULL ELSE row_to_json(ticket)::text END, version FROM (
            SELECT tickets.*,
                ARRAY(SELECT to_status FROM transitions JOIN statuses ON status = to_status
                    WHERE from_status = tickets.status ORDER BY position) AS next,
                (SELECT coalesce(json_agg(item), '[]') FROM (SELECT * FROM comments
                    WHERE comments.ticket_id = tickets.ticket_id ORDER BY comment_id) AS item) AS comments,
                (SELECT coalesce(json_agg(item), '[]') FROM (SELECT * FROM links
                    WHERE links.ticket_id = tickets.ticket_id OR links.other_id = tickets.ticket_id
                    ORDER BY ticket_id, kind, other_id) AS item) AS links
            FROM tickets WHERE ticket_id = read_ticket.id) AS ticket;
END $$;
COMMENT ON FUNCTION read_ticket(bigint, bigint[]) IS
    'One ticket with where it may go next, its comments and its links, as JSON, as GET /tickets/{ticket_id} shows it; null if its version was seen';

-- MANY AT ONCE

CREATE OR REPLACE FUNCTION misfit(value jsonb, of regtype) RETURNS text
LANGUAGE sql STABLE
-- Nothing is bent: PostgreSQL would make a text of 5 and of {}. Whether null may be is the rules' to say.
RETURN CASE WHEN value IS NULL OR value = 'null' THEN NULL ELSE (
    SELECT CASE
        WHEN oid = 'jsonb'::regtype OR oid = 'json'::regtype THEN NULL
        WHEN typcategory = 'A' THEN CASE WHEN jsonb_typeof(value) <> 'array'
            OR jsonb_path_exists(value, 'strict $[*] ? (@.type() != "string")') THEN 'must be a list of texts' END
        WHEN typcategory = 'N' AND oid IN ('bigint'::regtype, 'integer'::regtype, 'smallint'::regtype) THEN
            CASE WHEN jsonb_typeof(value) <> 'number' OR value::text !~ '^-?[0-9]+$' THEN 'must be a whole number' END
        WHEN typcategory = 'N' THEN CASE WHEN jsonb_typeof(value) <> 'number' THEN 'must be a number' END
        WHEN typcategory = 'B' THEN CASE WHEN jsonb_typeof(value) <> 'boolean' THEN 'must be true or false' END
        WHEN typcategory = 'D' THEN CASE
            WHEN jsonb_typeof(value) <> 'string' THEN 'must be a time as text, such as 2026-12-01 or tomorrow'
            WHEN value #>> '{}' ~* '(GMT|UTC|UT)[+-][0-9]' THEN 'must not name its zone like GMT+0100, which means one hour west of Greenwich'
                ' to PostgreSQL; send it like 2026-12-01T09:00:00+01:00' END
        WHEN jsonb_typeof(value) <> 'string' THEN 'must be text' END
    FROM pg_type WHERE oid = of) END;
COMMENT ON FUNCTION misfit(jsonb, regtype) IS 'What a JSON value must be for a column of this type, if it is something else, reading on after the column''s name';

CREATE OR REPLACE FUNCTION relabelled(labels text[], more text[], less text[]) RETURNS text[]
LANGUAGE sql IMMUTABLE
RETURN ARRAY(SELECT label FROM (SELECT normalize(given) AS label FROM unnest(labels || more) AS given) AS composed
    WHERE label <> ALL (ARRAY(SELECT normalize(given) FROM unnest(less) AS given)));
COMMENT ON FUNCTION relabelled(text[], text[], text[]) IS 'Labels with some more and some less, which is what add_label and remove_label do';

CREATE OR REPLACE FUNCTION texts(value jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE
RETURN CASE jsonb_typeof(value) WHEN 'array' THEN ARRAY(SELECT jsonb_array_elements_text(value)) WHEN 'string' THEN ARRAY[value #>> '{}'] END;
COMMENT ON FUNCTION texts(jsonb) IS 'A JSON list of texts, or one text, as an array; a part of put_tickets()';

CREATE OR REPLACE FUNCTION nearest(name text, known text[]) RETURNS text
LANGUAGE sql IMMUTABLE
-- By the pairs of letters that both have, with the ends as letters.
RETURN (SELECT word FROM unnest(known) AS word CROSS JOIN LATERAL (
        SELECT 2.0 * count(*) / (char_length(name) + char_length(word) + 2) AS likeness FROM (
            SELECT substr('^' || lower(name) || '$', place, 2) FROM generate_series(1, least(char_length(name), 100) + 1) AS place
            INTERSECT ALL
            SELECT substr('^' || word || '$', place, 2) FROM generate_series(1, char_length(word) + 1) AS place) AS shared) AS measured
    WHERE likeness >= 0.4 ORDER BY likeness DESC, word LIMIT 1);
COMMENT ON FUNCTION nearest(text, text[]) IS 'Which of the known names somebody may have meant, or null';

DO $generate$ BEGIN EXECUTE replace($function$
CREATE OR REPLACE FUNCTION put_times(item jsonb, zone text) RETURNS jsonb
LANGUAGE sql STABLE
-- What says by itself which moment it is need not be asked for.
RETURN item - kept() {times};
$function$, '{times}', coalesce((SELECT string_agg(format($part$ || CASE WHEN jsonb_typeof(item -> %1$L) = 'string'
            AND item ->> %1$L !~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$'
        THEN jsonb_build_object(%1$L, moment(item ->> %1$L, false, zone)) ELSE '{}' END$part$, attname), '')
    FROM pg_attribute WHERE attrelid = 'tickets'::regclass AND atttypid = 'timestamptz'::regtype AND NOT attisdropped
        AND attname <> ALL (kept())), ''));
END $generate$;
COMMENT ON FUNCTION put_times(jsonb, text) IS 'A row without what the database keeps, its times by moment(); a part of put_tickets()';

DO $generate$ BEGIN EXECUTE replace(replace(replace($function$
CREATE OR REPLACE FUNCTION put_rows(items jsonb[], place integer, compare boolean, zone text) RETURNS text
LANGUAGE sql
BEGIN ATOMIC
    WITH given AS MATERIALIZED (
        SELECT ordinality AS nth, item, jsonb_populate_record(NULL::tickets, put_times(item, zone)) AS value, (item ->> 'ticket_id')::bigint AS id,
            CASE WHEN item ->> 'ticket_id' IS NULL
                THEN row_number() OVER (PARTITION BY item ->> 'ticket_id' IS NULL ORDER BY ordinality) END AS place
            FROM unnest(items) WITH ORDINALITY AS listed(item, ordinality)),
    before AS MATERIALIZED (
        SELECT tickets AS ticket, ticket_id FROM tickets WHERE ticket_id IN (SELECT given.id FROM given) ORDER BY ticket_id FOR NO KEY UPDATE),
    created AS (
        INSERT INTO tickets ({columns})
            SELECT {created} FROM given WHERE given.id IS NULL ORDER BY given.nth
        RETURNING tickets AS ticket, ticket_id),
    changed AS (
        UPDATE tickets SET {changed}
            FROM given JOIN before ON before.ticket_id = given.id WHERE tickets.ticket_id = given.id
        RETURNING tickets AS ticket, tickets.ticket_id),
    numbered AS (SELECT ticket, row_number() OVER (ORDER BY ticket_id) AS place FROM created),
    after AS (
        SELECT given.nth, NULL::json AS before, numbered.ticket FROM given JOIN numbered USING (place)
        UNION ALL
        SELECT given.nth, row_to_json(before.ticket), changed.ticket FROM given
            JOIN changed ON changed.ticket_id = given.id JOIN before ON before.ticket_id = given.id)
    SELECT string_agg(CASE WHEN compare
            THEN json_build_object('index', put_rows.place + nth - 1, 'before', before, 'after', row_to_json(ticket))
            ELSE row_to_json(ticket) END::text, E', \n ' ORDER BY nth)
        FROM after;
END;
$function$,
    '{columns}', each_column('tickets', '%1$I')),
    '{created}', each_column('tickets', 'CASE WHEN given.item ? %1$L THEN (given.value).%1$I ELSE %2$s END')),
    '{changed}', each_column('tickets', '%1$I = CASE WHEN given.item ? %1$L THEN (given.value).%1$I ELSE tickets.%1$I END'));
END $generate$;
COMMENT ON FUNCTION put_rows(jsonb[], integer, boolean, text) IS
    'Files and changes tickets, set by set, of which place is the first one''s index; a part of put_tickets()';

CREATE OR REPLACE FUNCTION bulk_shape(items jsonb[]) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    columns jsonb;
    mistakes jsonb;
BEGIN
    SELECT jsonb_object_agg(attname, atttypid::bigint) INTO columns
        FROM pg_attribute WHERE attrelid = 'tickets'::regclass AND attnum > 0 AND NOT attisdropped;
    columns := columns || jsonb_build_object('add_label', 'text[]'::regtype::bigint, 'remove_label', 'text[]'::regtype::bigint);
    SELECT jsonb_agg(mistake ORDER BY index) INTO mistakes FROM (
        SELECT index, jsonb_build_object('index', index, 'message', string_agg(ltrim(name || ' ' || words), '; ' ORDER BY name),
                'sqlstate', min(state), 'errors', jsonb_object_agg(name, words)) AS mistake
            FROM (SELECT ordinality - 1 AS index, '' AS name, 'must be a JSON object' AS words, '22023' AS state
                    FROM unnest(items) WITH ORDINALITY AS listed(item, ordinality) WHERE jsonb_typeof(item) <> 'object'
                UNION ALL
                SELECT ordinality - 1, left(key, 100), CASE WHEN columns ? key
                        THEN coalesce(misfit(value, (columns ->> key)::oid::regtype), 'must be from 1 to 9223372036854775807')
                        ELSE 'is unknown here' || coalesce('; did you mean ' || nearest(key, ARRAY(SELECT jsonb_object_keys(columns))) || '?', '') END,
                    CASE WHEN columns ? key THEN '22023' ELSE 'IR008' END
                    FROM unnest(items) WITH ORDINALITY AS listed(item, ordinality)
                        CROSS JOIN LATERAL jsonb_each(CASE WHEN jsonb_typeof(item) = 'object' THEN item ELSE '{}' END)
                    WHERE NOT columns ? key AND key <> ALL (told())
                        -- What is kept by the database is not looked at.
                        OR (key = 'ticket_id' OR key <> ALL (kept())) AND NOT (key IN ('add_label', 'remove_label') AND jsonb_typeof(value) = 'string') AND misfit(value, (columns ->> key)::oid::regtype) IS NOT NULL
                        OR key = 'ticket_id' AND jsonb_typeof(value) = 'number' AND value::numeric NOT BETWEEN 1 AND 9223372036854775807) AS found
            GROUP BY index ORDER BY index LIMIT 100) AS first;
    RETURN mistakes;
END $$;
COMMENT ON FUNCTION bulk_shape(jsonb[]) IS 'The mistakes of rows that are no tickets by their shape: unknown names, values of a wrong type; a part of put_tickets()';

CREATE OR REPLACE FUNCTION bulk_refused(mistakes jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    RAISE SQLSTATE 'IR006' USING MESSAGE = format('row %s: %s', mistakes -> 0 ->> 'index', mistakes -> 0 ->> 'message')
            || CASE jsonb_array_length(mistakes) WHEN 1 THEN '' ELSE format(' (and %s more)', jsonb_array_length(mistakes) - 1) END,
        DETAIL = (SELECT string_agg(format('row %s: %s', mistake ->> 'index', mistake ->> 'message'), E'\n' ORDER BY nth)
            FROM jsonb_array_elements(mistakes) WITH ORDINALITY AS listed(mistake, nth)),
        HINT = 'Nothing was written.',
        DATATYPE = jsonb_build_object('mistakes', mistakes)::text;
END $$;
COMMENT ON FUNCTION bulk_refused(jsonb) IS 'Refuses many rows, in words for people and in JSON for programs; a part of put_tickets()';

CREATE OR REPLACE FUNCTION put_tickets(rows jsonb, dry_run boolean DEFAULT false, zone text DEFAULT current_setting('TimeZone'))
RETURNS json
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
-- Whatever columns there will be.
#variable_conflict use_variable
DECLARE
    -- Of how many one is to blame, when they are refused; and of how many it is looked for singly.
    portion CONSTANT integer := 500;
    items jsonb[];
    ids bigint[];
    gone bigint[];
    pieces text[] := '{}';
    mistakes jsonb := '[]';
    piece text;
    key text;
    message text;
    hint text;
    state text;
    about text;
    rule text;
    data text;
BEGIN
    IF jsonb_typeof(rows) IS DISTINCT FROM 'array' THEN
        RAISE check_violation USING MESSAGE = 'tickets must be a list';
    END IF;
    items := ARRAY(SELECT jsonb_array_elements(rows));
    mistakes := coalesce(bulk_shape(items), '[]');
    IF mistakes <> '[]' THEN
        PERFORM bulk_refused(mistakes);
    END IF;

    ids := ARRAY(SELECT (item ->> 'ticket_id')::bigint FROM unnest(items) WITH ORDINALITY AS listed(item, nth) ORDER BY listed.nth);
    IF array_remove(ids, NULL) <> '{}' THEN
        -- In the order of their numbers, so that two who change the same tickets can't deadlock.
        gone := ARRAY(SELECT id FROM unnest(ids) AS id WHERE id IS NOT NULL EXCEPT
            SELECT ticket_id FROM (SELECT ticket_id FROM tickets WHERE ticket_id = ANY (ids) ORDER BY ticket_id FOR NO KEY UPDATE) AS locked);
        SELECT coalesce(jsonb_agg(CASE WHEN moved.version IS NOT NULL
                THEN jsonb_build_object('index', listed.nth, 'sqlstate', 'IR009',
                    'message', format('ticket %s is at version %s by now', listed.id, moved.version))
                WHEN earlier < listed.nth
                THEN jsonb_build_object('index', listed.nth, 'sqlstate', 'IR007', 'message', format('ticket %s is in row %s already', id, earlier))
                ELSE jsonb_build_object('index', listed.nth, 'sqlstate', '23503', 'message', format('there is no ticket %s', id),
                    'constraint', 'comments_ticket_id_fkey', 'column', 'ticket_id') END ORDER BY listed.nth), '[]') INTO mistakes
            FROM (SELECT id, ordinality - 1 AS nth, min(ordinality) OVER (PARTITION BY id) - 1 AS earlier
                FROM unnest(ids) WITH ORDINALITY AS given(id, ordinality) WHERE id IS NOT NULL) AS listed
            -- A row that says of which version it is comes from somebody who has read that one.
            LEFT JOIN LATERAL (SELECT tickets.version FROM tickets WHERE tickets.ticket_id = listed.id
                AND jsonb_typeof(items[listed.nth + 1] -> 'version') = 'number'
                AND items[listed.nth + 1] -> 'version' <> to_jsonb(tickets.version)) AS moved ON true
            WHERE earlier < listed.nth OR listed.id = ANY (gone) OR moved.version IS NOT NULL;
    END IF;

    IF jsonb_path_exists(rows, '$[*] ? (exists (@.add_label) || exists (@.remove_label))') THEN
        -- The tickets are locked by now, so these are the labels that they have.
        items := ARRAY(SELECT CASE WHEN item ?| '{add_label,remove_label}' THEN item - '{add_label,remove_label}'::text[] || jsonb_build_object('labels',
                relabelled(CASE WHEN item ? 'labels' THEN texts(item -> 'labels') ELSE tickets.labels END,
                    texts(item -> 'add_label'), texts(item -> 'remove_label'))) ELSE item END
            FROM unnest(items) WITH ORDINALITY AS listed(item, nth)
                LEFT JOIN tickets ON ticket_id = (item ->> 'ticket_id')::bigint ORDER BY listed.nth);
    END IF;

    BEGIN
        FOR beginning IN 1 .. cardinality(items) BY portion LOOP
            EXIT WHEN jsonb_array_length(mistakes) >= 100;
            BEGIN
                piece := put_rows(items[beginning : beginning + portion - 1], beginning - 1, dry_run, zone);
                pieces := pieces || piece;
            EXCEPTION WHEN integrity_constraint_violation OR data_exception OR program_limit_exceeded OR SQLSTATE 'IR000' THEN
                -- Some of them are to blame: each is tried by itself.
                FOR nth IN beginning .. least(beginning + portion - 1, cardinality(items)) LOOP
                    BEGIN
                        PERFORM put_rows(items[nth : nth], nth - 1, false, zone);
                    EXCEPTION WHEN integrity_constraint_violation OR data_exception OR program_limit_exceeded OR SQLSTATE 'IR000' THEN
                        GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT, state = RETURNED_SQLSTATE,
                            about = COLUMN_NAME, rule = CONSTRAINT_NAME, data = PG_DATATYPE_NAME;
                        IF about = '' AND state LIKE '22%' THEN
                            -- PostgreSQL's own words about a value don't say of which column.
                            FOR key IN SELECT jsonb_object_keys(items[nth]) LOOP
                                BEGIN
                                    PERFORM jsonb_populate_record(NULL::tickets, put_times(jsonb_build_object(key, items[nth] -> key), zone));
                                EXCEPTION WHEN data_exception THEN
                                    about := key;
                                    SELECT jsonb_build_object('allowed', jsonb_agg(enumlabel ORDER BY enumsortorder))::text INTO data
                                        FROM pg_enum JOIN pg_attribute ON atttypid = enumtypid
                                        WHERE attrelid = 'tickets'::regclass AND attname = key HAVING count(*) > 0;
                                    EXIT;
                                END;
                            END LOOP;
                        END IF;
                        mistakes := mistakes || (jsonb_strip_nulls(jsonb_build_object('index', nth - 1, 'message', message,
                            'hint', nullif(hint, ''), 'sqlstate', state, 'column', nullif(about, ''),
                            'constraint', nullif(rule, ''))) || coalesce(nullif(data, '')::jsonb, '{}'));
                        EXIT WHEN jsonb_array_length(mistakes) >= 100;
                    END;
                END LOOP;
            END;
        END LOOP;
        IF mistakes <> '[]' OR dry_run THEN
            -- What has been done is undone; the variables stay.
            RAISE SQLSTATE 'IR100';
        END IF;
    EXCEPTION WHEN SQLSTATE 'IR100' THEN
        NULL;
    END;
    IF mistakes <> '[]' THEN
        PERFORM bulk_refused((SELECT jsonb_agg(mistake ORDER BY (mistake -> 'index')::integer)
            FROM (SELECT DISTINCT ON ((mistake -> 'index')::integer) mistake FROM jsonb_array_elements(mistakes) AS mistake
                ORDER BY (mistake -> 'index')::integer LIMIT 100) AS first));
    END IF;
    RETURN '[' || array_to_string(pieces, E', \n ') || ']';
END $$;
COMMENT ON FUNCTION put_tickets(jsonb, boolean, text) IS
    'Files and changes many tickets, [{"title": …}, {"ticket_id": 1, …}, …], all or nothing; a mistake names its row, from 0';

-- THE WORKFLOW AS ONE DOCUMENT

CREATE OR REPLACE FUNCTION workflow() RETURNS json
LANGUAGE sql STABLE
RETURN json_build_object(
    'statuses', (SELECT json_agg(json_build_object('status', status, 'is_open', is_open) ORDER BY position) FROM statuses),
    'transitions', (SELECT json_object_agg(status, targets ORDER BY position) FROM (
        SELECT status, position, coalesce((SELECT json_agg(to_status ORDER BY target.position) FROM transitions
            JOIN statuses AS target ON target.status = to_status WHERE from_status = origin.status), '[]') AS targets
        FROM statuses AS origin) AS origins));
COMMENT ON FUNCTION workflow() IS 'The workflow as one JSON document, as GET /workflow shows it';

CREATE OR REPLACE FUNCTION set_workflow(document jsonb) RETURNS json
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    wrong text;
BEGIN
    IF jsonb_typeof(document) IS DISTINCT FROM 'object' THEN
        RAISE check_violation USING MESSAGE = 'a workflow must be a JSON object with statuses and transitions';
    END IF;
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

    -- Two who change it at once: the later one's stands, whole. This waits for the other, though it changes nothing.
    UPDATE statuses SET position = position WHERE false;
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

-- TIME TRAVEL

-- The next three give what there was at some moment. Each is one plain SELECT, which PostgreSQL
-- takes into the query around it, so that conditions reach the indexes. What happened to one ticket is
-- undone in the order of its times, which are in the order of its versions: numbers of events are not,
-- where one statement did several things.

DO $generate$ BEGIN EXECUTE replace($function$
CREATE OR REPLACE FUNCTION tickets_as_of(moment timestamptz) RETURNS SETOF tickets
LANGUAGE sql STABLE
BEGIN ATOMIC
    -- Not touched since: as they are.
    SELECT tickets.* FROM tickets WHERE tickets.updated <= tickets_as_of.moment
    UNION ALL
    -- Touched or deleted since: what is there now, if anything, with the first old value since of
    -- each column laid over it.
    -- (touched.ticket_id, not was.ticket_id, so that a condition on it reaches the index)
    SELECT {columns}
        FROM (SELECT tickets.ticket_id FROM tickets WHERE tickets.updated > tickets_as_of.moment AND tickets.created <= tickets_as_of.moment
            UNION ALL
            -- What was filed since, too, need not be put together to see that it was not there.
            SELECT events.ticket_id FROM events
                WHERE events.kind = 'deleted' AND events.at > tickets_as_of.moment
                    AND coalesce((events.kept -> 'created' ->> 0)::timestamptz <= tickets_as_of.moment, true)) AS touched
        LEFT JOIN tickets ON tickets.ticket_id = touched.ticket_id
        CROSS JOIN LATERAL (
            SELECT coalesce(jsonb_object_agg(first.key, first.value -> 0), '{}') AS old
                FROM (SELECT DISTINCT ON (item.key) item.key, item.value
                    FROM (SELECT events.event_id, events.at, events.changes || events.kept AS old FROM events
                            WHERE events.ticket_id = touched.ticket_id AND events.at > tickets_as_of.moment
                        UNION ALL
                        SELECT events.event_id, events.at, events.other_kept FROM events
                            WHERE events.other_id = touched.ticket_id AND events.at > tickets_as_of.moment) AS since
                    CROSS JOIN LATERAL jsonb_each(since.old) AS item
                    ORDER BY item.key, since.at, since.event_id) AS first) AS undone
        CROSS JOIN LATERAL jsonb_populate_record(tickets, undone.old) AS was
        WHERE was.created <= tickets_as_of.moment;
END;
$function$, '{columns}', (SELECT string_agg(format(CASE WHEN attname IN ('ticket_id') THEN 'touched.%I' ELSE 'was.%I' END, attname), ', ' ORDER BY attnum)
    FROM pg_attribute WHERE attrelid = 'tickets'::regclass AND attnum > 0 AND NOT attisdropped));
END $generate$;
COMMENT ON FUNCTION tickets_as_of(timestamptz) IS 'The tickets as they were at some moment, deleted ones included';

DO $generate$ BEGIN EXECUTE replace($function$
CREATE OR REPLACE FUNCTION comments_as_of(moment timestamptz) RETURNS SETOF comments
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT comments.* FROM comments WHERE comments.updated <= comments_as_of.moment
    UNION ALL
    SELECT {columns}
        FROM (SELECT comments.ticket_id, comments.comment_id FROM comments WHERE comments.updated > comments_as_of.moment AND comments.created <= comments_as_of.moment
            UNION ALL
            SELECT events.ticket_id, events.comment_id FROM events
                WHERE events.kind = 'comment_deleted' AND events.at > comments_as_of.moment
                    AND coalesce((events.kept -> 'comment' -> 'created' ->> 0)::timestamptz <= comments_as_of.moment, true)) AS touched
        LEFT JOIN comments ON comments.ticket_id = touched.ticket_id AND comments.comment_id = touched.comment_id
        CROSS JOIN LATERAL (
            SELECT coalesce(jsonb_object_agg(first.key, first.value -> 0), '{}') AS old
                FROM (SELECT DISTINCT ON (item.key) item.key, item.value
                    FROM events CROSS JOIN LATERAL jsonb_each(events.changes || coalesce(events.kept -> 'comment', '{}')) AS item
                    WHERE events.ticket_id = touched.ticket_id AND events.comment_id = touched.comment_id AND events.at > comments_as_of.moment
                    ORDER BY item.key, events.at, events.event_id) AS first) AS undone
        CROSS JOIN LATERAL jsonb_populate_record(comments, undone.old) AS was
        WHERE was.created <= comments_as_of.moment;
END;
$function$, '{columns}', (SELECT string_agg(format(CASE WHEN attname IN ('ticket_id', 'comment_id') THEN 'touched.%I' ELSE 'was.%I' END, attname), ', ' ORDER BY attnum)
    FROM pg_attribute WHERE attrelid = 'comments'::regclass AND attnum > 0 AND NOT attisdropped));
END $generate$;
COMMENT ON FUNCTION comments_as_of(timestamptz) IS 'The comments as they were at some moment, deleted ones included';

CREATE OR REPLACE FUNCTION links_as_of(moment timestamptz) RETURNS SETOF links
LANGUAGE sql STABLE
BEGIN ATOMIC
    -- There now, and not made since.
    SELECT links.* FROM links
        WHERE NOT EXISTS (SELECT FROM events WHERE events.ticket_id = links.ticket_id AND events.other_id = links.other_id
            AND events.at > links_as_of.moment AND events.kind = 'linked' AND events.changes -> 'kind' ->> 1 = links.kind::text)
    UNION ALL
    -- Unlinked since, with nothing before that since.
    SELECT first.ticket_id, (first.changes -> 'kind' ->> 0)::link_kind, first.other_id
        FROM (SELECT DISTINCT ON (events.ticket_id, events.other_id, coalesce(events.changes -> 'kind' ->> 0, events.changes -> 'kind' ->> 1))
                events.ticket_id, events.other_id, events.kind, events.changes
            FROM events WHERE events.kind IN ('linked', 'unlinked') AND events.other_id IS NOT NULL AND events.at > links_as_of.moment
            ORDER BY events.ticket_id, events.other_id, coalesce(events.changes -> 'kind' ->> 0, events.changes -> 'kind' ->> 1),
                events.at, events.event_id) AS first
        WHERE first.kind = 'unlinked';
END;
COMMENT ON FUNCTION links_as_of(timestamptz) IS 'The links as they were at some moment, those of deleted tickets included';

CREATE OR REPLACE FUNCTION searches_as_of(moment timestamptz) RETURNS SETOF searches
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT ticket_id, 0::bigint, ticket_words(title, description, labels) FROM tickets_as_of(searches_as_of.moment)
    UNION ALL
    SELECT ticket_id, comment_id, body_words(body) FROM comments_as_of(searches_as_of.moment);
END;
COMMENT ON FUNCTION searches_as_of(timestamptz) IS 'The words as they were at some moment; made anew, as nothing keeps them';

CREATE OR REPLACE FUNCTION workflow_as_of(moment timestamptz) RETURNS json
LANGUAGE sql STABLE
RETURN (workflow()::jsonb || coalesce((
    SELECT jsonb_object_agg(first.key, first.value -> 0)
        FROM (SELECT DISTINCT ON (item.key) item.key, item.value
            FROM events CROSS JOIN LATERAL jsonb_each(events.changes) AS item
            WHERE events.ticket_id IS NULL AND events.kind::text = 'workflow_changed' AND events.at > workflow_as_of.moment
            ORDER BY item.key, events.at, events.event_id) AS first), '{}'))::json;
COMMENT ON FUNCTION workflow_as_of(timestamptz) IS 'The workflow as it was at some moment, as one document';

CREATE OR REPLACE FUNCTION are_statuses(names text[], moment timestamptz DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    known text[] := ARRAY(SELECT status FROM statuses);
    absent text;
BEGIN
    IF names <@ known THEN
        RETURN true;
    END IF;
    known := ARRAY(SELECT status FROM statuses ORDER BY position);
    IF moment IS NOT NULL THEN
        known := known || ARRAY(SELECT item ->> 'status' FROM json_array_elements(workflow_as_of(moment) -> 'statuses') AS item
            WHERE item ->> 'status' <> ALL (known));
    END IF;
    IF NOT names <@ known THEN
        SELECT name INTO absent FROM unnest(names) AS name WHERE name <> ALL (known) LIMIT 1;
        RAISE foreign_key_violation USING MESSAGE = format('there is no status "%s"', absent),
            HINT = 'The workflow has: ' || array_to_string(known, ', '), CONSTRAINT = 'tickets_status_fkey', COLUMN = 'status',
            DATATYPE = json_build_object('allowed', known)::text;
    END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION are_statuses(text[], timestamptz) IS
    'Whether all of these are statuses, or were at some moment: true, or refused in words, like a priority that there is not';

-- THE FEED

CREATE OR REPLACE FUNCTION events_after(after bigint, most integer DEFAULT 100)
RETURNS TABLE ("position" bigint, event_id bigint, at timestamptz, actor text, source text, ticket_id bigint,
    kind event_kind, comment_id bigint, changes jsonb)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
SET lock_timeout = '500ms'
AS $$
#variable_conflict use_column
DECLARE
    mine boolean;
BEGIN
    IF EXISTS (SELECT FROM events WHERE position IS NULL) AND current_setting('transaction_read_only') = 'off' THEN
        -- Positions are given by one at a time and must be committed at once: a transaction that stays
        -- open with them would hold up everybody else's. In a transaction of its own, a statement
        -- begins when its transaction does.
        IF statement_timestamp() = transaction_timestamp() AND current_setting('transaction_isolation') = 'read committed' THEN
            PERFORM FROM latches WHERE name = 'feed' FOR UPDATE SKIP LOCKED;
            mine := FOUND;
            IF NOT mine THEN
                -- Who gives them just now is done in a moment. Who is not only looks like one
                -- statement, and is not waited for: what has a position is read without them.
                BEGIN
                    PERFORM FROM latches WHERE name = 'feed' FOR UPDATE;
                    mine := true;
                EXCEPTION WHEN lock_not_available THEN
                    PERFORM free_feed();
                END;
            END IF;
            IF mine THEN
                -- A statement of its own, whose eyes are younger than the lock. What commits later
                -- gets a later position; in portions, so that no reader waits for a million.
                WITH last AS (SELECT coalesce(max(position), 0) AS position FROM events WHERE position IS NOT NULL),
                fresh AS (SELECT event_id, row_number() OVER (ORDER BY event_id) AS place
                    FROM (SELECT event_id FROM events WHERE position IS NULL ORDER BY event_id LIMIT 5000) AS portion)
                UPDATE events SET position = last.position + fresh.place FROM fresh, last WHERE events.event_id = fresh.event_id;
            END IF;
        ELSE
            RAISE WARNING 'there are events without a position yet, which is given outside of transaction blocks only';
        END IF;
    END IF;
    RETURN QUERY SELECT position, event_id, at, actor, source, ticket_id, kind, comment_id, changes
        FROM events WHERE position > after ORDER BY position LIMIT most;
END $$;
COMMENT ON FUNCTION events_after(bigint, integer) IS
    'The feed: every event exactly once, in one order, however transactions overlap; keep the last position, and ask again from there';

CREATE OR REPLACE FUNCTION free_feed() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    -- A statement that gives positions takes milliseconds: in its transaction for five seconds is
    -- somebody who has wrapped it up to look like one.
    PERFORM pg_terminate_backend(session.pid) FROM latches
        JOIN pg_locks ON locktype = 'transactionid' AND transactionid = latches.xmax AND granted AND mode = 'ExclusiveLock'
        JOIN pg_stat_activity AS session ON session.pid = pg_locks.pid JOIN pg_roles ON rolname = session.usename
        WHERE latches.name = 'feed' AND session.pid <> pg_backend_pid() AND NOT rolsuper
            AND session.xact_start < clock_timestamp() - interval '5 seconds';
EXCEPTION WHEN insufficient_privilege THEN
    -- An owner that is no superuser may end nobody's session: their own time limits remain.
    RETURN;
END $$;
COMMENT ON FUNCTION free_feed() IS 'Ends the session that keeps everybody else from giving positions; a part of events_after()';

-- SAFE TO REPEAT

CREATE OR REPLACE FUNCTION once(the_key text, the_request text, write text) RETURNS TABLE (answer json, replayed boolean)
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
-- Runs as the caller, who could run the write as well without this.
AS $$
DECLARE
    earlier replays;
    written record;
    rows integer;
BEGIN
    DELETE FROM replays WHERE (replays.actor, replays.key) IN (
        SELECT old.actor, old.key FROM replays AS old WHERE old.created < now() - interval '25 hours'
            LIMIT 100 FOR UPDATE SKIP LOCKED);
    -- Who comes second waits here for the first one's end.
    INSERT INTO replays (actor, key, request) VALUES (actor(), the_key, the_request)
        ON CONFLICT ON CONSTRAINT replays_pkey DO NOTHING;
    IF NOT FOUND THEN
        SELECT * INTO earlier FROM replays WHERE replays.actor = actor() AND replays.key = the_key;
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
        DELETE FROM replays WHERE replays.actor = actor() AND replays.key = the_key;
    ELSE
        answer := row_to_json(written);
        UPDATE replays SET answer = once.answer WHERE replays.actor = actor() AND replays.key = the_key;
    END IF;
    replayed := false;
    RETURN NEXT;
END $$;
COMMENT ON FUNCTION once(text, text, text) IS
    'Runs a write in the transaction that keeps its answer, or gives the answer that is kept';

-- TOKENS

CREATE OR REPLACE FUNCTION add_token(name text, role token_role, actor text DEFAULT NULL, expires timestamptz DEFAULT NULL,
    digest bytea DEFAULT NULL) RETURNS json
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    -- 244 bits by chance.
    secret text := CASE WHEN add_token.digest IS NULL
        THEN 'iris_' || replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '') END;
    made json;
BEGIN
    INSERT INTO tokens (name, role, actor, expires, digest)
        VALUES (add_token.name, add_token.role, add_token.actor, add_token.expires,
            coalesce(add_token.digest, sha256(convert_to(secret, 'UTF8'))))
        ON CONFLICT ON CONSTRAINT tokens_pkey DO NOTHING
        RETURNING json_build_object('name', name, 'role', role, 'actor', actor, 'created', created, 'expires', expires) INTO made;
    IF made IS NULL THEN
        RAISE unique_violation USING MESSAGE = format('there is a token "%s" already', add_token.name),
            HINT = 'Revoke that one first, or give this one another name and the same actor.', CONSTRAINT = 'tokens_pkey';
    END IF;
    RETURN CASE WHEN secret IS NULL THEN made ELSE (made::jsonb || jsonb_build_object('token', secret))::json END;
END $$;
COMMENT ON FUNCTION add_token(text, token_role, text, timestamptz, bytea) IS
    'Makes a token, which is shown this once: add_token(''alice'', ''writer''); digest: the SHA-256 of one that somebody else has made';

CREATE OR REPLACE FUNCTION token_of(sent bytea) RETURNS TABLE (name text, role token_role, actor text, expires timestamptz, seconds float8)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    IF current_setting('transaction_read_only') = 'off' THEN
        UPDATE tokens SET used = date_trunc('hour', clock_timestamp())
            WHERE digest = token_of.sent AND used IS DISTINCT FROM date_trunc('hour', clock_timestamp());
    END IF;
    RETURN QUERY SELECT name, role, actor, expires, extract(epoch FROM expires - clock_timestamp())::float8
        FROM tokens WHERE digest = token_of.sent AND coalesce(expires > clock_timestamp(), true);
END $$;
COMMENT ON FUNCTION token_of(bytea) IS
    'The token of this SHA-256, unless it has ended, and for how many seconds it is good; notes that it was used. For the service';

-- PRIVILEGES
-- Who may do what; README's table says the same (iris/rights.py), and so does each refusal (42501). A ticket's number is the
-- database's, and a comment stays with its ticket; whatever else there is may be written, and what the database keeps is
-- kept by the rules.

-- Readers see everything. What they write by reading, the positions of the feed, functions write for them.
GRANT SELECT ON statuses, transitions, tickets, comments, links, searches, events, alembic_version TO iris_reader;
GRANT EXECUTE ON FUNCTION workflow(), events_after(bigint, integer), tickets_as_of(timestamptz), comments_as_of(timestamptz),
    links_as_of(timestamptz), searches_as_of(timestamptz), workflow_as_of(timestamptz), are_statuses(text[], timestamptz),
    read_ticket(bigint, bigint[]) TO iris_reader;

-- Writers file and change tickets, comment and link.
GRANT SELECT, INSERT, UPDATE, DELETE ON replays TO iris_writer;
GRANT DELETE ON comments TO iris_writer;
GRANT INSERT, DELETE ON links TO iris_writer;
DO $$
DECLARE
    columns record;
BEGIN
    FOR columns IN SELECT attrelid::regclass AS of, string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS names,
            string_agg(quote_ident(attname), ', ' ORDER BY attnum) FILTER (WHERE attname <> 'ticket_id') AS changing
            FROM pg_attribute WHERE attrelid IN ('tickets'::regclass, 'comments'::regclass)
                AND attnum > 0 AND NOT attisdropped AND attidentity = '' GROUP BY attrelid LOOP
        EXECUTE format('GRANT INSERT (%s), UPDATE (%s) ON %s TO iris_writer', columns.names, columns.changing, columns.of);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION free_holders(interval), once(text, text, text), put_tickets(jsonb, boolean, text),
    put_rows(jsonb[], integer, boolean, text), put_times(jsonb, text),
    bulk_shape(jsonb[]), bulk_refused(jsonb), misfit(jsonb, regtype),
    texts(jsonb), relabelled(text[], text[], text[]), nearest(text, text[]) TO iris_writer;

-- Admins delete tickets and change the workflow.
GRANT DELETE ON tickets TO iris_admin;
GRANT INSERT, UPDATE, DELETE ON statuses, transitions TO iris_admin;
GRANT EXECUTE ON FUNCTION set_workflow(jsonb) TO iris_admin;
-- And make and revoke tokens, but for what the database keeps of them. Nobody sees a digest again.
GRANT SELECT (name, role, actor, created, expires, used, is_login), INSERT (name, role, actor, expires, digest), DELETE ON tokens
    TO iris_admin;
GRANT EXECUTE ON FUNCTION add_token(text, token_role, text, timestamptz, bytea) TO iris_admin;

-- The service asks who sends a token, as itself and not under anybody's role.
GRANT EXECUTE ON FUNCTION token_of(bytea) TO iris;

-- Large objects belong to whoever makes them, outside of all tables and rules: nobody needs one here. Only a
-- superuser may say so; other owners are told by a warning.
REVOKE EXECUTE ON FUNCTION lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) FROM PUBLIC;
