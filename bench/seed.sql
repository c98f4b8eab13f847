-- A tracker with some years behind it: psql -v tickets=100000 -f seed.sql, as the owner, once.
--
-- Every sixth ticket has ten comments and eleven events, every other one four and ten, which makes
-- five comments in the mean. They live for three weeks in the mean, some for three months. Most tickets are closed, few people do most of the work, some texts are
-- long, words are as unevenly used as in real life, and each word like rare7 is in ten tickets.
-- The same every time, and in time that grows as the tickets do: a million take some minutes.

\set ON_ERROR_STOP on
\warn bench: :tickets tickets: getting ready
SET session_replication_role = replica;
SET work_mem = '256MB';
SET timezone = 'UTC';
SET maintenance_work_mem = '1GB';

BEGIN;
-- A server with wal_level = minimal need not log what goes into tables emptied in the same transaction.
TRUNCATE tickets, comments, links, searches, stored_events, places;

-- Made anew when the tables are full, which is much faster. Only the key of tickets stays, which others refer to.
CREATE TEMP TABLE indexes AS
    SELECT indexrelid AS id, indrelid::regclass::text AS belongs, indexrelid::regclass::text AS name,
        pg_get_indexdef(indexrelid) AS made, pg_constraint.oid IS NOT NULL AS is_key,
        concat_ws(' ', pg_get_constraintdef(pg_constraint.oid), 'WITH (' || array_to_string(reloptions, ', ') || ')') AS key
    FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid LEFT JOIN pg_constraint ON conindid = indexrelid AND contype = 'p'
    WHERE indrelid IN ('tickets'::regclass, 'comments'::regclass, 'links'::regclass, 'searches'::regclass, 'stored_events'::regclass, 'places'::regclass)
        AND indexrelid <> 'tickets_pkey'::regclass;
SELECT CASE WHEN is_key THEN format('ALTER TABLE %s DROP CONSTRAINT %s', belongs, name) ELSE format('DROP INDEX %s', name) END
    FROM indexes \gexec

-- The same for the same n, anything from 0 to 1, evenly.
CREATE FUNCTION pg_temp.part(n bigint, about bigint) RETURNS double precision
LANGUAGE sql IMMUTABLE
RETURN (hashint8extended(n, about) & 1048575) / 1048576.0::double precision;

-- The texts there are, each with its words and with what an event says of it, which would take longest
-- to make for every comment anew. Their numbers say how many sentences from which one on.
CREATE TEMP TABLE sentences AS
    SELECT n, (SELECT string_agg('word' || floor(5000 * power(pg_temp.part(n * 10 + place, 0), 3)), ' ')
        FROM generate_series(1, 10 + n * 0) AS place) || '.' AS body
    FROM generate_series(0, 4999) AS n;
CREATE INDEX ON sentences (n);
ANALYZE sentences;
CREATE FUNCTION pg_temp.changed(name text, old anycompatible, new anycompatible) RETURNS jsonb
LANGUAGE sql IMMUTABLE
AS $$ SELECT CASE WHEN old IS DISTINCT FROM new THEN jsonb_build_object(name, jsonb_build_array(old, new)) ELSE '{}' END $$;
CREATE TEMP TABLE texts AS
    SELECT long * 10000 + start AS id, body, body_words(body) AS words, pg_temp.changed('body', NULL, body) AS changes
    FROM unnest(ARRAY[1, 2, 3, 4, 5, 60, 150]) AS long,
        -- Of the long ones, fewer do.
        generate_series(0, 4799, CASE WHEN long > 5 THEN 50 ELSE 1 END) AS start,
        LATERAL (SELECT string_agg(body, E'\n' ORDER BY n) AS body FROM sentences WHERE n >= start AND n < start + long) AS joined;
CREATE UNIQUE INDEX ON texts (id);
ANALYZE texts;

CREATE FUNCTION pg_temp.text_of_ticket(n bigint) RETURNS integer
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN pg_temp.part(n, 10) < 0.02 THEN 1500000 + 50 * floor(96 * pg_temp.part(n, 9))::integer
    ELSE 10000 * (1 + floor(5 * pg_temp.part(n, 11))::integer) + floor(4800 * pg_temp.part(n, 9))::integer END;
CREATE FUNCTION pg_temp.text_of_comment(n bigint) RETURNS integer
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN pg_temp.part(n, 15) < 0.01 THEN 600000 + 50 * floor(96 * pg_temp.part(n, 14))::integer
    ELSE 10000 * (1 + floor(3 * pg_temp.part(n, 16))::integer) + floor(4800 * pg_temp.part(n, 14))::integer END;

-- From one event of a ticket to the next; most are short.
CREATE FUNCTION pg_temp.step(n bigint) RETURNS interval
LANGUAGE sql IMMUTABLE
RETURN interval '1 second' * round(60 + 777600 * power(pg_temp.part(n, 17), 3));

\warn bench: :tickets tickets: tickets and links
-- Last touched by the last of its events, which closes those with four comments; others were filed with the status that they have.
INSERT INTO tickets (ticket_id, title, description, status, assignee, reporter, priority, labels, fields, due,
                     created, updated, closed, version)
OVERRIDING SYSTEM VALUE
SELECT n, format('Ticket %s about word%s and rare%s', n, floor(5000 * power(pg_temp.part(n, 1), 3)), n % greatest(:tickets / 10, 1)),
    (SELECT body FROM texts WHERE id = pg_temp.text_of_ticket(n)),
    status,
    CASE WHEN pg_temp.part(n, 2) > 0.2 THEN 'user' || floor(200 * power(pg_temp.part(n, 3), 3)) END,
    'user' || floor(200 * power(pg_temp.part(n, 4), 2)),
    (enum_range(NULL::priority))[1 + floor(4 * power(pg_temp.part(n, 5), 2))::integer],
    CASE WHEN pg_temp.part(n, 6) < 0.5 THEN ARRAY['label' || floor(50 * power(pg_temp.part(n, 7), 2))] ELSE '{}' END,
    jsonb_build_object('team', n % 20),
    CASE WHEN pg_temp.part(n, 8) < 0.2 THEN filed + interval '30 days' END,
    filed, filed + (events - 1) * pg_temp.step(n),
    CASE WHEN status IN ('closed', 'resolved') THEN filed + CASE WHEN events = 10 THEN (events - 1) * pg_temp.step(n) ELSE interval '0' END END, events
FROM (SELECT n, CASE WHEN n % 6 = 0 THEN 11 ELSE 10 END AS events,
        timestamptz '2026-01-01' - (:tickets - n) * (interval '1800 days' / :tickets) AS filed,
        CASE WHEN pg_temp.part(n, 12) < 0.85 THEN 'closed' WHEN pg_temp.part(n, 12) < 0.90 THEN 'resolved'
            WHEN pg_temp.part(n, 12) < 0.96 THEN 'open' WHEN pg_temp.part(n, 12) < 0.99 THEN 'active' ELSE 'blocked' END AS status
    FROM generate_series(1, :tickets) AS n) AS made;

-- How many comments and events a ticket has, and how many of them the tickets before it have.
CREATE TEMP VIEW counted AS
    SELECT *, CASE WHEN ticket_id % 6 = 0 THEN 10 ELSE 4 END AS comments, version AS events,
        (ticket_id - 1) * 4 + (ticket_id - 1) / 6 * 6 AS comments_before, (ticket_id - 1) * 10 + (ticket_id - 1) / 6 AS events_before
    FROM tickets;

-- No history tells of them, nor versions.
INSERT INTO links SELECT ticket_id, 'relates', ticket_id + 1 FROM tickets WHERE ticket_id % 10 = 0 AND ticket_id < :tickets;

\warn bench: :tickets tickets: comments
INSERT INTO comments (comment_id, ticket_id, author, body, created, updated)
OVERRIDING SYSTEM VALUE
SELECT id, ticket_id, 'user' || floor(200 * power(pg_temp.part(id, 13), 3)),
    (SELECT body FROM texts WHERE texts.id = pg_temp.text_of_comment(made.id)), at, at
FROM (SELECT ticket_id, comments_before + place AS id, created + place * pg_temp.step(ticket_id) AS at
    FROM counted, generate_series(1, comments) AS place) AS made;

\warn bench: :tickets tickets: words
INSERT INTO searches
SELECT ticket_id, CASE WHEN place = 0 THEN 0 ELSE comments_before + place END,
    CASE WHEN place = 0 THEN ticket_words(title, NULL, labels)
            || setweight((SELECT words FROM texts WHERE id = pg_temp.text_of_ticket(ticket_id)), 'C')
        ELSE (SELECT words FROM texts WHERE id = pg_temp.text_of_comment(comments_before + place)) END,
    created + place * pg_temp.step(ticket_id)
FROM counted, generate_series(0, comments) AS place;

\warn bench: :tickets tickets: events
-- As place_events() makes digests, of one event after another: in the order in which they are made.
SET bench.digest = '';
CREATE FUNCTION pg_temp.placed(event stored_events) RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
    made bytea := sha256(convert_to(current_setting('bench.digest') || escaped(contents(event, event.event_id, event.changes::text)), 'UTF8'));
BEGIN
    INSERT INTO places VALUES (event.event_id, event.event_id, made);
    PERFORM set_config('bench.digest', encode(made, 'hex'), false);
    RETURN true;
END $$;
-- Filed, commented on, and those with four comments then given from one to the next five times. The feed has read it all.
-- What is long is no part of what is stored.
INSERT INTO stored_events OVERRIDING SYSTEM VALUE
SELECT event_id, at, ticket_id, comment_id, other_id, change, undoes, kept_version, kept_updated, kept_closed, kind, actor, source, CASE kind WHEN 'commented' THEN '{}' WHEN 'created' THEN changes || shortened ELSE changes END,
    kept_more, other_kept
FROM (SELECT id AS event_id, at, ticket_id, CASE WHEN kind = 'commented' THEN comment_id END AS comment_id, NULL::bigint AS other_id,
    id AS change, NULL::bigint AS undoes,
    CASE WHEN kind <> 'created' THEN place - 1 END AS kept_version, CASE WHEN kind <> 'created' THEN at - pg_temp.step(ticket_id) END AS kept_updated,
    NULL::timestamptz AS kept_closed, kind, actor, 'http' AS source,
    CASE kind WHEN 'created' THEN
            pg_temp.changed('title', NULL, title) || pg_temp.changed('description', NULL, description)
            || pg_temp.changed('status', NULL, CASE WHEN comments = 4 THEN 'open' ELSE status END)
            || pg_temp.changed('assignee', NULL, CASE WHEN comments = 4 THEN 'helper1' ELSE assignee END)
            || pg_temp.changed('reporter', NULL, reporter) || pg_temp.changed('priority', NULL, priority)
            || pg_temp.changed('labels', NULL, labels) || pg_temp.changed('fields', NULL, fields) || pg_temp.changed('due', NULL, due)
        WHEN 'commented' THEN (SELECT texts.changes FROM texts WHERE texts.id = pg_temp.text_of_comment(comment_id))
        ELSE pg_temp.changed('assignee', 'helper' || place - 5, CASE WHEN place = 10 THEN assignee ELSE 'helper' || place - 4 END)
            || CASE WHEN place = 10 THEN pg_temp.changed('status', 'open', status) ELSE '{}' END END AS changes,
    NULL::jsonb AS kept_more, NULL::jsonb AS other_kept
    FROM (SELECT counted.*, place, events_before + place AS id, comments_before + place - 1 AS comment_id,
            created + (place - 1) * pg_temp.step(ticket_id) AS at,
            CASE WHEN place BETWEEN 2 AND 1 + comments
                THEN 'user' || floor(200 * power(pg_temp.part(comments_before + place - 1, 13), 3)) ELSE reporter END AS actor,
            (CASE WHEN place = 1 THEN 'created' WHEN place <= 1 + comments THEN 'commented' ELSE 'changed' END)::event_kind AS kind
        FROM (SELECT * FROM counted ORDER BY ticket_id) AS counted, generate_series(1, events) AS place) AS made
    OFFSET 0) AS happened
    CROSS JOIN LATERAL (SELECT jsonb_object_agg(name, NULL) AS shortened FROM unnest(referred()) AS name WHERE changes ? name) AS long
WHERE pg_temp.placed(ROW(happened.*)::stored_events);

\warn bench: :tickets tickets: indexes
SELECT CASE WHEN is_key THEN format('ALTER TABLE %s ADD CONSTRAINT %s %s', belongs, name, key) ELSE made END
    FROM indexes ORDER BY id \gexec
SELECT setval('tickets_ticket_id_seq', count(*)) AS tickets_last, setval('comments_comment_id_seq', sum(comments)::bigint) AS comments_last,
    setval('stored_events_event_id_seq', sum(events)::bigint) AS events_last FROM counted \gset
COMMIT;

\warn bench: :tickets tickets: vacuum, analyze, checkpoint
REFRESH MATERIALIZED VIEW change_base_set;
SELECT find_waiting() AS found \gset
VACUUM ANALYZE;
CHECKPOINT;
