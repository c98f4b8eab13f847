-- Drafts become tickets, or changes of those that they are already, with a history as it would have been here.
-- Rules are off: what triggers do is done here set by set. A ticket may have columns of any name some day, so
-- whatever stands beside one is qualified.

-- What a file says of a ticket that is here already, piece by piece (a column, or `fields.NAME`), where that is not what
-- it said when it was last imported: history knows. Where it has been changed here as well, that stays; and of what an
-- Iris gets back of its own, everything.
CREATE TEMPORARY TABLE differences ON COMMIT DROP AS
    WITH told AS MATERIALIZED (
        SELECT events.ticket_id, events.at, events.event_id, events.changes FROM events JOIN places USING (ticket_id)
            WHERE NOT places.is_new AND events.source = 'import' AND events.kind IN ('created', 'changed')),
    said AS (
        SELECT DISTINCT ON (listed.ticket_id, listed.piece) listed.ticket_id, listed.piece, listed.value FROM (
            SELECT told.ticket_id, told.at, told.event_id, pair.key AS piece, pair.value -> 1 AS value
                FROM told CROSS JOIN LATERAL jsonb_each(told.changes) AS pair WHERE pair.key <> 'fields'
            UNION ALL
            SELECT told.ticket_id, told.at, told.event_id, 'fields.' || part.name, told.changes -> 'fields' -> 1 -> part.name
                FROM told CROSS JOIN LATERAL jsonb_object_keys(coalesce(nullif(told.changes -> 'fields' -> 0, 'null'), '{}')
                    || coalesce(nullif(told.changes -> 'fields' -> 1, 'null'), '{}')) AS part(name)
                WHERE told.changes -> 'fields' -> 0 -> part.name IS DISTINCT FROM told.changes -> 'fields' -> 1 -> part.name) AS listed
        ORDER BY listed.ticket_id, listed.piece, listed.at DESC, listed.event_id DESC),
    given AS (
        SELECT places.ticket_id, pair.key AS piece, pair.value FROM places JOIN drafts ON drafts.ticket_id = places.place
                JOIN foreigners ON foreigners.place = places.place
                CROSS JOIN LATERAL jsonb_each(to_jsonb(drafts.*) - kept()) AS pair
            WHERE NOT places.is_new AND pair.key <> 'fields' AND foreigners.entry::jsonb -> 'given' ? pair.key
        UNION ALL
        SELECT places.ticket_id, 'fields.' || pair.key, pair.value FROM places JOIN drafts ON drafts.ticket_id = places.place
                CROSS JOIN LATERAL jsonb_each(drafts.fields) AS pair WHERE NOT places.is_new
                -- Of its own tickets an Iris needs not keep whence they came.
                AND NOT (places.is_own AND pair.key IN ('imported', 'number'))
        UNION ALL
        -- What it does not say any more.
        SELECT said.ticket_id, said.piece, NULL FROM said JOIN places USING (ticket_id) JOIN drafts ON drafts.ticket_id = places.place
            WHERE said.piece LIKE 'fields.%%' AND NOT drafts.fields ? substr(said.piece, 8))
    SELECT compared.ticket_id, compared.piece, compared.was, compared.here, compared.now,
            NOT compared.is_own AND compared.here IS NOT DISTINCT FROM compared.was AS is_taken
        FROM (SELECT given.ticket_id, given.piece, places.is_own, nullif(said.value, 'null') AS was, nullif(given.value, 'null') AS now,
                nullif(CASE WHEN given.piece LIKE 'fields.%%' THEN tickets.fields -> substr(given.piece, 8)
                    ELSE to_jsonb(tickets.*) -> given.piece END, 'null') AS here
            FROM given LEFT JOIN said USING (ticket_id, piece) JOIN places USING (ticket_id)
                JOIN tickets ON tickets.ticket_id = given.ticket_id) AS compared
        WHERE compared.now IS DISTINCT FROM compared.was AND compared.now IS DISTINCT FROM compared.here;

-- The same of comments that are here already.
CREATE TEMPORARY TABLE rewritten ON COMMIT DROP AS
    SELECT compared.* FROM (
        SELECT replies.ticket_id, replies.comment_id, remarks.author, remarks.updated, comments.body AS here, remarks.body AS now,
                comments.updated AS before, (SELECT events.changes -> 'body' ->> 1 FROM events
                    WHERE events.ticket_id = replies.ticket_id AND events.comment_id = replies.comment_id AND events.source = 'import'
                        AND events.kind IN ('commented', 'comment_changed') ORDER BY events.at DESC, events.event_id DESC LIMIT 1) AS was
            FROM replies JOIN remarks ON remarks.ticket_id = replies.place AND remarks.comment_id = replies.remark
                JOIN comments ON comments.ticket_id = replies.ticket_id AND comments.comment_id = replies.comment_id
            WHERE NOT replies.is_new AND remarks.body <> comments.body) AS compared
        WHERE compared.now IS DISTINCT FROM compared.was;

CREATE TEMPORARY TABLE renewed ON COMMIT DROP AS
    SELECT found.ticket_id, found.delta, (SELECT jsonb_object_agg(pair.key, jsonb_build_array(found.row -> pair.key, pair.value))
            FROM jsonb_each(found.delta) AS pair) AS changes
        FROM (SELECT taken.ticket_id, to_jsonb(tickets.*) AS row, taken.columns
                || CASE WHEN taken.has_fields THEN jsonb_build_object('fields', (tickets.fields - taken.removed) || taken.fields) ELSE '{}' END AS delta
            FROM (SELECT differences.ticket_id, bool_or(differences.piece LIKE 'fields.%%') AS has_fields,
                    coalesce(jsonb_object_agg(differences.piece, differences.now) FILTER (WHERE differences.piece NOT LIKE 'fields.%%'), '{}') AS columns,
                    coalesce(jsonb_object_agg(substr(differences.piece, 8), differences.now)
                        FILTER (WHERE differences.piece LIKE 'fields.%%' AND differences.now IS NOT NULL), '{}') AS fields,
                    coalesce(array_agg(substr(differences.piece, 8)) FILTER (WHERE differences.piece LIKE 'fields.%%' AND differences.now IS NULL), '{}') AS removed
                FROM differences WHERE differences.is_taken GROUP BY differences.ticket_id) AS taken
            JOIN tickets USING (ticket_id)) AS found;

-- All that happened, at the times that the file tells. Where a ticket has been touched here since then, its past stays
-- what it was: it happens now. As stored_events has it, without what is long.
CREATE TEMPORARY TABLE happenings ON COMMIT DROP AS
    WITH happened AS (
        SELECT places.ticket_id, drafts.created AS said, 0 AS turn, 'created'::event_kind AS kind, NULL::bigint AS comment_id, drafts.reporter AS actor,
                (SELECT jsonb_object_agg(pair.key, CASE WHEN pair.key <> ALL (referred()) THEN jsonb_build_array(NULL, pair.value) END)
                    FROM jsonb_each((to_jsonb(drafts.*) - kept()) || jsonb_build_object('status', places.opening)) AS pair WHERE pair.value <> 'null') AS changes
            FROM places JOIN drafts ON drafts.ticket_id = places.place WHERE places.is_new
        UNION ALL
        SELECT replies.ticket_id, remarks.created, 1, 'commented', replies.comment_id, remarks.author,
                (SELECT coalesce(jsonb_object_agg(pair.key, jsonb_build_array(NULL, pair.value)), '{}')
                    FROM jsonb_each(to_jsonb(remarks.*) - kept() - 'body') AS pair WHERE pair.value <> 'null')
            FROM replies JOIN remarks ON remarks.ticket_id = replies.place AND remarks.comment_id = replies.remark WHERE replies.is_new
        UNION ALL
        SELECT rewritten.ticket_id, rewritten.updated, 2, 'comment_changed', rewritten.comment_id, rewritten.author,
                jsonb_build_object('body', jsonb_build_array(rewritten.here, rewritten.now))
            FROM rewritten WHERE rewritten.here = rewritten.was
        UNION ALL
        SELECT places.ticket_id, drafts.closed, 3, 'changed', NULL, 'import',
                jsonb_build_object('status', jsonb_build_array(places.opening, drafts.status))
            FROM places JOIN drafts ON drafts.ticket_id = places.place WHERE places.is_new AND places.opening <> drafts.status
        UNION ALL
        SELECT renewed.ticket_id, CASE WHEN renewed.delta ? 'status' THEN coalesce(drafts.closed, drafts.updated) ELSE drafts.updated END,
                3, 'changed', NULL, 'import', renewed.changes
            FROM renewed JOIN places USING (ticket_id) JOIN drafts ON drafts.ticket_id = places.place),
    placed AS (
        SELECT happened.*, coalesce(tickets.version, 0) AS since_version, tickets.updated AS since,
                CASE WHEN happened.said <= tickets.updated THEN greatest(now(), tickets.updated + interval '1 microsecond') ELSE happened.said END AS told
            FROM happened LEFT JOIN tickets USING (ticket_id)),
    ranked AS (
        SELECT placed.*, row_number() OVER (PARTITION BY placed.ticket_id ORDER BY placed.told, placed.turn, placed.comment_id) AS nth
            FROM placed),
    -- Times of one ticket increase, by a microsecond where they are the same.
    timed AS (
        SELECT ranked.*, max(ranked.told - ranked.nth * interval '1 microsecond') OVER (PARTITION BY ranked.ticket_id ORDER BY ranked.nth)
                + ranked.nth * interval '1 microsecond' AS at
            FROM ranked)
    SELECT timed.*, coalesce(lag(timed.at) OVER (PARTITION BY timed.ticket_id ORDER BY timed.nth), timed.since) AS before FROM timed;
CREATE INDEX ON happenings (ticket_id);

-- Links come when both ends have come to rest, each at a time of its own.
CREATE TEMPORARY TABLE tied ON COMMIT DROP AS
    SELECT ends.nth, ends.ticket_id, ends.kind, ends.other_id, ends.rested + ends.nth * interval '1 microsecond' AS at
        FROM (SELECT ties.ticket_id, ties.kind, ties.other_id, row_number() OVER (ORDER BY rest.rested, ties.nth) AS nth, rest.rested
            FROM ties CROSS JOIN LATERAL (SELECT max(last.at) AS rested FROM (
                SELECT max(happenings.at) AS at FROM happenings WHERE happenings.ticket_id IN (ties.ticket_id, ties.other_id)
                UNION ALL
                SELECT max(tickets.updated) FROM tickets WHERE tickets.ticket_id IN (ties.ticket_id, ties.other_id)) AS last) AS rest) AS ends;
CREATE TEMPORARY TABLE tied_ends ON COMMIT DROP AS
    SELECT ends.nth, ends.ticket_id, ends.at, ends.version + ends.turn - 1 AS version,
            coalesce(lag(ends.at) OVER (PARTITION BY ends.ticket_id ORDER BY ends.nth), ends.updated) AS before
        FROM (SELECT listed.nth, listed.ticket_id, listed.at, row_number() OVER (PARTITION BY listed.ticket_id ORDER BY listed.nth) AS turn,
                coalesce(tickets.version, 0) + coalesce(counted.times, 0) AS version, coalesce(counted.at, tickets.updated) AS updated
            FROM (SELECT tied.nth, tied.ticket_id, tied.at FROM tied UNION ALL SELECT tied.nth, tied.other_id, tied.at FROM tied) AS listed
            LEFT JOIN tickets USING (ticket_id)
            LEFT JOIN (SELECT happenings.ticket_id, count(*) AS times, max(happenings.at) AS at FROM happenings GROUP BY happenings.ticket_id) AS counted
                USING (ticket_id)) AS ends;
CREATE INDEX ON tied_ends (nth);
CREATE INDEX ON tied_ends (ticket_id);
ANALYZE happenings, tied, tied_ends, differences, rewritten, renewed;

CREATE TEMPORARY TABLE ended ON COMMIT DROP AS
    SELECT listed.ticket_id, count(*) AS times, max(listed.at) AS at FROM (
        SELECT happenings.ticket_id, happenings.at FROM happenings UNION ALL SELECT tied_ends.ticket_id, tied_ends.at FROM tied_ends) AS listed
    GROUP BY listed.ticket_id;
ALTER TABLE ended ADD PRIMARY KEY (ticket_id);
ANALYZE ended;

INSERT INTO stored_events (at, actor, source, ticket_id, kind, comment_id, changes, kept_version, kept_updated, kept_closed, kept_more, other_id, other_kept)
    SELECT told.at, left(told.actor, 100), 'import', told.ticket_id, told.kind, told.comment_id, told.changes, told.version, told.updated, told.closed, told.more, told.other_id, told.other_kept FROM (
        SELECT happenings.at, happenings.actor, happenings.ticket_id, happenings.kind, happenings.comment_id, happenings.changes, happenings.nth, NULL::bigint AS other_id, NULL::jsonb AS other_kept,
                CASE WHEN happenings.kind <> 'created' THEN happenings.since_version + happenings.nth - 1 END AS version,
                CASE WHEN happenings.kind <> 'created' THEN happenings.before END AS updated,
                CASE WHEN happenings.kind = 'changed' THEN (SELECT tickets.closed FROM tickets WHERE tickets.ticket_id = happenings.ticket_id) END AS closed,
                CASE happenings.kind WHEN 'comment_changed' THEN jsonb_build_object('comment', jsonb_build_object('updated', jsonb_build_array((SELECT rewritten.before FROM rewritten
                        WHERE rewritten.ticket_id = happenings.ticket_id AND rewritten.comment_id = happenings.comment_id), happenings.at)))
                    -- Written there earlier than it came here.
                    WHEN 'commented' THEN CASE WHEN happenings.at <> happenings.said
                        THEN jsonb_build_object('comment', jsonb_build_object('created', jsonb_build_array(NULL, happenings.said))) END
                    END AS more
            FROM happenings
        UNION ALL
        SELECT tied.at, 'import', tied.ticket_id, 'linked', NULL, jsonb_build_object('kind', jsonb_build_array(NULL, tied.kind), 'other_id', jsonb_build_array(NULL, tied.other_id)),
                tied.nth, tied.other_id,
                jsonb_build_object('version', jsonb_build_array(other.version), 'updated', jsonb_build_array(other.before)),
                this.version, this.before, NULL, NULL
            FROM tied JOIN tied_ends AS this ON this.nth = tied.nth AND this.ticket_id = tied.ticket_id
                JOIN tied_ends AS other ON other.nth = tied.nth AND other.ticket_id = tied.other_id) AS told
    ORDER BY told.at, told.ticket_id, told.nth;

INSERT INTO tickets ({columns}, ticket_id, created, updated, closed, version) OVERRIDING SYSTEM VALUE
    SELECT {drafted}, places.ticket_id, drafts.created, greatest(drafts.updated, ended.at), drafts.closed, ended.times
        FROM places JOIN drafts ON drafts.ticket_id = places.place JOIN ended ON ended.ticket_id = places.ticket_id
        WHERE places.is_new ORDER BY places.ticket_id;
INSERT INTO searches
    SELECT places.ticket_id, 0, ticket_words(drafts.title, drafts.description, drafts.labels), drafts.created
        FROM places JOIN drafts ON drafts.ticket_id = places.place WHERE places.is_new;

UPDATE tickets SET version = tickets.version + ended.times, updated = greatest(tickets.updated, ended.at) FROM ended
    WHERE ended.ticket_id = tickets.ticket_id AND NOT EXISTS (SELECT FROM places WHERE places.ticket_id = tickets.ticket_id AND places.is_new);
UPDATE tickets SET {renewed}, closed = CASE WHEN (made.ticket).status = tickets.status OR made.is_open IS NULL THEN tickets.closed
            WHEN made.is_open THEN NULL ELSE coalesce(tickets.closed, least(made.closed, tickets.updated)) END
    FROM (SELECT renewed.ticket_id, jsonb_populate_record(tickets.*, renewed.delta) AS ticket, statuses.is_open,
            greatest(drafts.closed, tickets.created) AS closed
        FROM renewed JOIN tickets USING (ticket_id) JOIN places USING (ticket_id) JOIN drafts ON drafts.ticket_id = places.place
            LEFT JOIN statuses ON statuses.status = renewed.delta ->> 'status' OFFSET 0) AS made
    WHERE made.ticket_id = tickets.ticket_id;
UPDATE searches SET words = ticket_words(tickets.title, tickets.description, tickets.labels), since = happenings.at
    FROM tickets JOIN renewed USING (ticket_id) JOIN happenings ON happenings.ticket_id = tickets.ticket_id AND happenings.kind = 'changed'
    WHERE searches.ticket_id = tickets.ticket_id AND searches.comment_id = 0 AND renewed.delta ?| '{title,description,labels}';

INSERT INTO comments ({said}, comment_id, ticket_id, author, created, updated) OVERRIDING SYSTEM VALUE
    SELECT {remarked}, replies.comment_id, replies.ticket_id, remarks.author, remarks.created,
            CASE WHEN happenings.at = remarks.created THEN remarks.updated ELSE greatest(remarks.updated, happenings.at) END
        FROM replies JOIN remarks ON remarks.ticket_id = replies.place AND remarks.comment_id = replies.remark
            JOIN happenings ON happenings.ticket_id = replies.ticket_id AND happenings.comment_id = replies.comment_id
        WHERE replies.is_new ORDER BY replies.comment_id;
INSERT INTO searches
    SELECT replies.ticket_id, replies.comment_id, body_words(remarks.body), remarks.created
        FROM replies JOIN remarks ON remarks.ticket_id = replies.place AND remarks.comment_id = replies.remark WHERE replies.is_new;
UPDATE comments SET body = rewritten.now, updated = greatest(comments.updated, happenings.at) FROM rewritten JOIN happenings USING (ticket_id, comment_id)
    WHERE comments.ticket_id = rewritten.ticket_id AND comments.comment_id = rewritten.comment_id AND rewritten.here = rewritten.was;
UPDATE searches SET words = body_words(rewritten.now), since = happenings.at FROM rewritten JOIN happenings USING (ticket_id, comment_id)
    WHERE searches.ticket_id = rewritten.ticket_id AND searches.comment_id = rewritten.comment_id AND rewritten.here = rewritten.was;

INSERT INTO links SELECT tied.ticket_id, tied.kind, tied.other_id FROM tied ORDER BY tied.nth
