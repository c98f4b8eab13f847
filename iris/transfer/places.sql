-- Which ticket each draft is. Numbers are counted here, for a sequence does not go back when this fails.
CREATE TEMPORARY TABLE places ON COMMIT DROP AS
    SELECT drafts.ticket_id AS place, coalesce(own.ticket_id, known.ticket_id) IS NULL AS is_new, own.ticket_id IS NOT NULL AS is_own, coalesce(own.ticket_id, known.ticket_id,
            row_number() OVER (PARTITION BY coalesce(own.ticket_id, known.ticket_id) IS NULL ORDER BY drafts.created, drafts.ticket_id)
            + (SELECT last_value - (NOT is_called)::integer FROM tickets_ticket_id_seq)) AS ticket_id,
        CASE WHEN statuses.is_open THEN statuses.status ELSE coalesce((SELECT first.status FROM statuses AS first
            WHERE first.is_open ORDER BY first.position LIMIT 1), statuses.status) END AS opening
        FROM drafts JOIN foreigners ON foreigners.place = drafts.ticket_id
            JOIN statuses ON statuses.status = drafts.status
            LEFT JOIN known ON known.origin = foreigners.origin AND NOT known.is_gone
            -- Iris's own, back in the same one.
            LEFT JOIN tickets AS own ON own.ticket_id = foreigners.own_id AND own.created = drafts.created;
ALTER TABLE places ADD PRIMARY KEY (place);
CREATE UNIQUE INDEX ON places (ticket_id);
ANALYZE places, drafts, remarks;

-- Which comment each remark is: known by who wrote it and when. Those that were deleted here are not to come again.
CREATE TEMPORARY TABLE replies ON COMMIT DROP AS
    WITH heard AS (
        SELECT found.*, row_number() OVER (PARTITION BY found.ticket_id, found.author, found.created ORDER BY found.comment_id) AS nth FROM (
            SELECT comments.ticket_id, comments.comment_id, comments.author, comments.created, false AS is_gone
                FROM comments JOIN places USING (ticket_id)
            UNION ALL
            SELECT events.ticket_id, events.comment_id, events.kept_more -> 'comment' -> 'author' ->> 0,
                    (events.kept_more -> 'comment' -> 'created' ->> 0)::timestamptz, true
                FROM events JOIN places USING (ticket_id) WHERE events.kind = 'comment_deleted') AS found)
    SELECT remarks.place, remarks.remark, places.ticket_id, heard.comment_id IS NULL AS is_new, coalesce(heard.is_gone, false) AS is_gone,
            coalesce(heard.comment_id, row_number() OVER (PARTITION BY heard.comment_id IS NULL ORDER BY remarks.created, remarks.place, remarks.remark)
                + (SELECT last_value - (NOT is_called)::integer FROM comments_comment_id_seq)) AS comment_id
        FROM (SELECT remarks.ticket_id AS place, remarks.comment_id AS remark, remarks.author, remarks.created,
                row_number() OVER (PARTITION BY remarks.ticket_id, remarks.author, remarks.created ORDER BY remarks.comment_id) AS nth
            FROM remarks) AS remarks
        JOIN places USING (place) LEFT JOIN heard USING (ticket_id, author, created, nth);
ANALYZE replies;
