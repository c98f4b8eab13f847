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
    WHERE counted.place = foreigners.place AND counted.nth > 1
