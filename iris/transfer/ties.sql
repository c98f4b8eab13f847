-- The links that a file tells of, as far as both ends are here, and not those that have come before: who has
-- unlinked them since has done so on purpose.
CREATE TEMPORARY TABLE named ON COMMIT DROP AS
    SELECT DISTINCT ON (listed.name) listed.name, listed.ticket_id FROM (
        SELECT foreigners.origin AS name, places.ticket_id, 1 AS rank FROM foreigners JOIN places USING (place)
        UNION ALL
        SELECT listed.name, places.ticket_id, 2 FROM foreigners JOIN places USING (place)
            CROSS JOIN LATERAL jsonb_array_elements(foreigners.entry::jsonb -> 'names') AS listed(name)
        UNION ALL
        SELECT known.origin, known.ticket_id, 3 FROM known WHERE NOT known.is_gone) AS listed
    ORDER BY listed.name, listed.rank;
CREATE UNIQUE INDEX ON named (name);
ANALYZE named;

CREATE TEMPORARY TABLE wished ON COMMIT DROP AS
    SELECT row_number() OVER (ORDER BY places.place, listed.nth) AS nth, (listed.link ->> 'kind')::link_kind AS kind,
            (listed.link -> 'is_mentioned')::boolean AS is_mentioned,
            CASE WHEN (listed.link -> 'is_turned')::boolean THEN other.ticket_id ELSE places.ticket_id END AS ticket_id,
            CASE WHEN (listed.link -> 'is_turned')::boolean THEN places.ticket_id ELSE other.ticket_id END AS other_id
        FROM foreigners JOIN places USING (place)
        CROSS JOIN LATERAL jsonb_array_elements(foreigners.entry::jsonb -> 'links') WITH ORDINALITY AS listed(link, nth)
        LEFT JOIN LATERAL (SELECT named.ticket_id FROM jsonb_array_elements(listed.link -> 'names') WITH ORDINALITY AS called(name, turn)
            JOIN named ON named.name = called.name ORDER BY called.turn LIMIT 1) AS other ON true;

CREATE TEMPORARY TABLE ties ON COMMIT DROP AS
    SELECT DISTINCT ON (wished.kind, pair.one, pair.two) wished.* FROM wished
        CROSS JOIN LATERAL (SELECT CASE wished.kind WHEN 'relates' THEN least(wished.ticket_id, wished.other_id) ELSE wished.ticket_id END AS one,
            CASE wished.kind WHEN 'relates' THEN greatest(wished.ticket_id, wished.other_id) ELSE wished.other_id END AS two) AS pair
        WHERE wished.ticket_id <> wished.other_id
            AND NOT EXISTS (SELECT FROM links WHERE (links.ticket_id, links.other_id) IN ((pair.one, pair.two), (pair.two, pair.one))
                AND (wished.is_mentioned OR (links.kind = wished.kind AND (links.ticket_id = wished.ticket_id OR links.kind = 'relates'))))
            AND NOT EXISTS (SELECT FROM events WHERE events.ticket_id = wished.ticket_id AND events.other_id = wished.other_id
                AND events.kind = 'linked' AND events.source = 'import' AND events.changes -> 'kind' ->> 1 = wished.kind::text)
            AND NOT (wished.is_mentioned AND EXISTS (SELECT FROM wished AS other WHERE NOT other.is_mentioned
                AND (other.ticket_id, other.other_id) IN ((pair.one, pair.two), (pair.two, pair.one))))
        ORDER BY wished.kind, pair.one, pair.two, wished.nth;
ANALYZE ties
