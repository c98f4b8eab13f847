-- Every ticket that came from elsewhere, also those that are deleted by now: `fields` say what it is known by.
-- One pass over all tickets: ten thousand look-ups in an index whose newest entries are not sorted in yet take longer.
CREATE TEMPORARY TABLE known ON COMMIT DROP AS
    SELECT DISTINCT ON (found.origin) found.* FROM (
        SELECT jsonb_build_object(part.word, tickets.fields -> part.word) AS origin, tickets.ticket_id, false AS is_gone
            FROM tickets CROSS JOIN unnest(ARRAY['url', 'id', 'imported']) AS part(word) WHERE tickets.fields ? part.word
        UNION ALL
        SELECT jsonb_build_object(part.word, events.changes -> 'fields' -> 0 -> part.word), events.ticket_id, true
            FROM events CROSS JOIN unnest(ARRAY['url', 'id', 'imported']) AS part(word)
            WHERE events.kind = 'deleted' AND events.changes -> 'fields' -> 0 ? part.word) AS found
    ORDER BY found.origin, found.is_gone, found.ticket_id;
CREATE UNIQUE INDEX ON known (origin);
ANALYZE known;

-- Where nothing tells rows apart but what is in them, the same again is another ticket.
UPDATE foreigners SET origin = jsonb_build_object('imported', (foreigners.origin ->> 'imported') || '-' || counted.nth)
    FROM (SELECT foreigners.place, row_number() OVER (PARTITION BY foreigners.origin ORDER BY foreigners.place) AS nth
        FROM foreigners WHERE NOT foreigners.is_keyed) AS counted
    WHERE counted.place = foreigners.place AND counted.nth > 1;

-- What Iris 0.1.0 imported: by the whole row, else by the row's key among the fields that it kept. Its next import is by
-- what rows are known by now.
INSERT INTO known
    SELECT DISTINCT ON (found.ticket_id) found.origin, found.ticket_id, found.is_gone FROM (
        SELECT DISTINCT ON (former.origin) former.* FROM (
            SELECT counted.origin, known.ticket_id, known.is_gone, 1 AS rank
                FROM (SELECT foreigners.origin, foreigners.formerly ->> 'digest' AS digest, row_number() OVER (
                    PARTITION BY foreigners.formerly -> 'digest' ORDER BY foreigners.place) AS nth FROM foreigners) AS counted
                JOIN known ON known.origin = jsonb_build_object('imported', counted.digest || CASE WHEN counted.nth > 1 THEN '-' || counted.nth ELSE '' END)
            UNION ALL
            SELECT foreigners.origin, tickets.ticket_id, false, 2
                FROM foreigners JOIN tickets ON tickets.fields @> jsonb_build_object(foreigners.formerly ->> 'name', foreigners.formerly -> 'key')
                WHERE foreigners.formerly ? 'key' AND tickets.fields ->> 'imported' ~ '^[0-9a-f]{64}(-[0-9]+)?$') AS former
        ORDER BY former.origin, former.rank, former.ticket_id) AS found
    WHERE NOT EXISTS (SELECT FROM known JOIN foreigners USING (origin) WHERE known.ticket_id = found.ticket_id)
    ORDER BY found.ticket_id, found.origin
    ON CONFLICT (origin) DO NOTHING
