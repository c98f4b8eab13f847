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

CREATE OR REPLACE FUNCTION watch_fits(who text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF char_length(who) > 100 OR is_blank(who) OR who ~ '[[:cntrl:]]' THEN
        RETURN refuse('who must have 1 to 100 characters, not only blanks', 'watches_check', 'who');
    END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION watch_fits(text) IS 'Whether somebody may be called so who watches a ticket; refuses who may not, in words';

GRANT EXECUTE ON FUNCTION watch_fits(text) TO iris_reader;

CREATE OR REPLACE FUNCTION person_fits(name text, mail text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF char_length(name) > 100 OR is_blank(name) OR name ~ '[[:cntrl:]]' OR name = 'me' THEN
        RETURN refuse('name must have 1 to 100 characters, not only blanks, and is not "me"', 'people_check', 'name');
    ELSIF char_length(mail) > 254 OR mail !~ '^[a-zA-Z0-9.!#$%&''*+/=?^_`{|}~-]{1,64}@[a-zA-Z0-9-]+([.][a-zA-Z0-9-]+)*$' THEN
        -- What may stand in a header as it is, and in a command to a mail server.
        RETURN refuse('mail must be an address, such as alice@example.org', 'people_check', 'mail');
    END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION person_fits(text, text) IS 'Whether somebody who gets mail may be called so and live there; refuses what is not, in words';

GRANT EXECUTE ON FUNCTION person_fits(text, text) TO iris_admin;

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

CREATE OR REPLACE FUNCTION new_secret() RETURNS text
LANGUAGE sql VOLATILE
-- 244 bits by chance, in 32 bytes.
RETURN 'whsec_' || encode(decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'), 'base64');
COMMENT ON FUNCTION new_secret() IS 'What deliveries of a hook may be signed with: UPDATE hooks SET secrets = ARRAY[new_secret()]';

CREATE OR REPLACE FUNCTION hook_fits(url text, filter jsonb, "position" bigint, secrets text[]) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    secret text;
BEGIN
    IF char_length(url) > 2000 OR url ~ '[[:cntrl:]]' OR url <> translate(url, blanks(), '')
        OR url !~ '^https?://(\[[0-9a-fA-F:.]+\]|[^][/?#@:%\\[:space:]]+)(:[0-9]{1,5})?([/?][^#\\[:space:]]*)?$|^mailto:[^@\\[:space:]]+@[^@\\[:space:]]+$' THEN
        RETURN refuse('url must be https://…, http://… or mailto:…, of at most 2,000 characters, with no name or password before the host', 'hooks_check', 'url');
    ELSIF jsonb_typeof(filter) <> 'object' OR octet_length(filter::text) > 4096 THEN
        RETURN refuse('filter must be a JSON object of at most 4 KiB', 'hooks_check', 'filter');
    ELSIF jsonb_path_exists(filter, 'strict $.* ? (@.type() != "string")') THEN
        RETURN refuse('filter must have texts, as GET /tickets takes them: {"open": "true"}', 'hooks_check', 'filter');
    ELSIF position < 0 THEN
        RETURN refuse('position must be 0 or more', 'hooks_check', 'position');
    ELSIF coalesce(cardinality(secrets), 0) NOT BETWEEN 1 AND 2 THEN
        RETURN refuse('secrets must have one or two', 'hooks_check', 'secret');
    END IF;
    FOREACH secret IN ARRAY secrets LOOP
        IF secret IS NULL OR secret !~ '^whsec_([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$' OR char_length(secret) > 100
            OR octet_length(decode(substr(secret, 7), 'base64')) NOT BETWEEN 24 AND 64 THEN
            RETURN refuse('secret must be whsec_ and the base64 of 24 to 64 bytes', 'hooks_check', 'secret');
        END IF;
    END LOOP;
    RETURN true;
END $$;
COMMENT ON FUNCTION hook_fits(text, jsonb, bigint, text[]) IS 'Whether a hook''s columns are what they may be; refuses what is not, in words';

GRANT EXECUTE ON FUNCTION new_secret(), hook_fits(text, jsonb, bigint, text[]) TO iris_admin;
