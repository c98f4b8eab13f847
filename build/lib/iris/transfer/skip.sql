-- Leave out what is there already: it is known by what `fields` say of its origin. One pass over all tickets:
-- ten thousand look-ups in an index whose newest entries are not sorted in yet take longer.
DELETE FROM foreigners USING (
    SELECT place FROM (SELECT place, row_number() OVER (PARTITION BY origin ORDER BY place) AS nth
        FROM foreigners) AS counted WHERE nth > 1
    UNION
    SELECT place FROM foreigners WHERE origin IN (SELECT jsonb_build_object(name, fields -> name)
        FROM tickets, unnest(ARRAY['url', 'id', 'imported']) AS name WHERE fields ? name)) AS known
    WHERE known.place = foreigners.place
