-- A tracker with some years behind it: psql -v tickets=100000 -f seed.sql, as the owner, once.
--
-- Five comments and ten events each; most tickets are closed, few people do most of the work, some
-- texts are long, words are as unevenly used as in real life. The same every time.

SET session_replication_role = replica;

CREATE FUNCTION pg_temp.part(n bigint, about bigint) RETURNS double precision
LANGUAGE sql IMMUTABLE
RETURN (hashint8extended(n, about) & 1048575) / 1048576.0::double precision;

CREATE TEMP TABLE sentences AS
    SELECT n, (SELECT string_agg('word' || floor(5000 * power(pg_temp.part(n * 10 + place, 0), 3)), ' ')
        FROM generate_series(1, 10 + n * 0) AS place) || '.' AS body
    FROM generate_series(0, 4999) AS n;
CREATE INDEX ON sentences (n);
ANALYZE sentences;

-- Made anew when it is full, which is much faster.
SELECT pg_get_indexdef('searches_words_idx'::regclass) AS words_index \gset
DROP INDEX searches_words_idx;

INSERT INTO tickets (ticket_id, title, description, status, assignee, reporter, priority, labels, fields, due,
                     created, updated, closed, version)
OVERRIDING SYSTEM VALUE
SELECT n, 'Ticket ' || n || ' about word' || floor(5000 * power(pg_temp.part(n, 1), 3)),
    (SELECT string_agg(body, E'\n') FROM sentences WHERE sentences.n >= start AND sentences.n < start + long),
    status,
    CASE WHEN pg_temp.part(n, 2) > 0.2 THEN 'user' || floor(200 * power(pg_temp.part(n, 3), 3)) END,
    'user' || floor(200 * power(pg_temp.part(n, 4), 2)),
    (enum_range(NULL::priority))[1 + floor(4 * power(pg_temp.part(n, 5), 2))::integer],
    CASE WHEN pg_temp.part(n, 6) < 0.5 THEN ARRAY['label' || floor(50 * power(pg_temp.part(n, 7), 2))] ELSE '{}' END,
    jsonb_build_object('team', n % 20),
    CASE WHEN pg_temp.part(n, 8) < 0.2 THEN filed + interval '30 days' END,
    filed, filed + interval '10 minutes', CASE WHEN status IN ('closed', 'resolved') THEN filed + interval '9 minutes' END, 10
FROM (SELECT n, now() - interval '1 day' - (:tickets - n) * (interval '1800 days' / :tickets) AS filed,
        floor(4800 * pg_temp.part(n, 9))::integer AS start,
        CASE WHEN pg_temp.part(n, 10) < 0.02 THEN 150 ELSE 1 + floor(5 * pg_temp.part(n, 11))::integer END AS long,
        CASE WHEN pg_temp.part(n, 12) < 0.85 THEN 'closed' WHEN pg_temp.part(n, 12) < 0.90 THEN 'resolved'
            WHEN pg_temp.part(n, 12) < 0.96 THEN 'open' WHEN pg_temp.part(n, 12) < 0.99 THEN 'active' ELSE 'blocked' END AS status
    FROM generate_series(1, :tickets) AS n) AS made;

INSERT INTO comments (comment_id, ticket_id, author, body, created, updated)
OVERRIDING SYSTEM VALUE
SELECT id, ticket_id, 'user' || floor(200 * power(pg_temp.part(id, 13), 3)),
    (SELECT string_agg(body, E'\n') FROM sentences WHERE n >= start AND n < start + long), at, at
FROM (SELECT ticket_id, (ticket_id - 1) * 5 + place AS id, created + place * interval '1 minute' AS at,
        floor(4800 * pg_temp.part((ticket_id - 1) * 5 + place, 14))::integer AS start,
        CASE WHEN pg_temp.part((ticket_id - 1) * 5 + place, 15) < 0.01 THEN 60
            ELSE 1 + floor(3 * pg_temp.part((ticket_id - 1) * 5 + place, 16))::integer END AS long
    FROM tickets, generate_series(1, 5) AS place) AS made;

INSERT INTO links SELECT ticket_id, 'relates', ticket_id + 1 FROM tickets WHERE ticket_id % 10 = 0 AND ticket_id < :tickets;

INSERT INTO searches SELECT ticket_id, 0, ticket_words(title, description, labels) FROM tickets;
INSERT INTO searches SELECT ticket_id, comment_id, to_tsvector('simple', body) FROM comments;

-- Filed, five times commented on, four times given to somebody else; the feed has read it all.
INSERT INTO events (event_id, position, at, actor, source, ticket_id, kind, comment_id, changes)
OVERRIDING SYSTEM VALUE
SELECT (ticket_id - 1) * 10 + place, (ticket_id - 1) * 10 + place, at, actor, 'http', ticket_id, kind, comment_id, changes
FROM (
    SELECT ticket_id, 1 AS place, created AS at, reporter AS actor, 'created'::event_kind AS kind, NULL::bigint AS comment_id,
        changed('title', NULL, title) || changed('description', NULL, description) || changed('status', NULL, status)
            || changed('reporter', NULL, reporter) || changed('labels', NULL, labels) AS changes
        FROM tickets
    UNION ALL
    SELECT ticket_id, 1 + comment_id - (ticket_id - 1) * 5, created, author, 'commented', comment_id, changed('body', NULL, body)
        FROM comments
    UNION ALL
    SELECT ticket_id, 6 + place, created + (5 + place) * interval '1 minute', reporter, 'changed', NULL,
        changed('assignee', 'user' || place, 'user' || place + 1)
        FROM tickets, generate_series(1, 4) AS place) AS made;

:words_index;
SELECT setval('tickets_ticket_id_seq', :tickets), setval('comments_comment_id_seq', :tickets * 5), setval('events_event_id_seq', :tickets * 10);
VACUUM ANALYZE;
