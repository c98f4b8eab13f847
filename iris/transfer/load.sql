-- One statement: tickets, comments, their words, and the history that they would have here. The rules
-- count a version for the filing, the closing and each comment; `kept` is what tickets_after() and
-- comments_after() write. Numbers are counted here, for a sequence does not go back when this fails.
WITH given AS (
    SELECT place, origin, item.*, coalesce(item.created, now()) AS filed,
        coalesce(item.status, (SELECT statuses.status FROM statuses
            WHERE is_open = coalesce(item.state = 'open', item.closed IS NULL)
            -- Of the same name, if there is one; else the first.
            ORDER BY statuses.status = item.state DESC NULLS LAST, position LIMIT 1)) AS final,
        CASE WHEN item.labels LIKE '[%%' THEN ARRAY(
            SELECT DISTINCT word COLLATE "C" FROM jsonb_array_elements_text(item.labels::jsonb) AS word
                ORDER BY 1)
        ELSE ARRAY(
            SELECT DISTINCT btrim(word) COLLATE "C" FROM unnest(string_to_array(item.labels, ',')) AS word
                WHERE btrim(word) <> '' ORDER BY 1) END AS sorted,
        coalesce(item.fields::jsonb, '{}') AS own
    FROM foreigners CROSS JOIN jsonb_to_record(entry::jsonb) AS item(
        title text, description text, status text, state text, assignee text, reporter text,
        priority priority, labels text, fields text, extra jsonb, due timestamptz,
        created timestamptz, updated timestamptz, closed timestamptz, comments jsonb)
    WHERE place BETWEEN %(first)s AND %(last)s),
drafts AS MATERIALIZED (
    SELECT given.*,
        row_number() OVER (ORDER BY filed, place)
            + (SELECT last_value - (NOT is_called)::integer FROM tickets_ticket_id_seq) AS ticket_id,
        CASE WHEN is_open THEN final ELSE coalesce((SELECT status FROM statuses WHERE is_open
            ORDER BY position LIMIT 1), final) END AS opening,
        CASE WHEN NOT is_open THEN coalesce(closed, updated, filed) END AS ended,
        CASE WHEN jsonb_typeof(own) = 'object'
            THEN own || coalesce(extra, '{}') || origin ELSE own END AS all_fields
    FROM given LEFT JOIN statuses ON statuses.status = final
    -- A day is for clocks that go wrong.
    WHERE CASE WHEN title IS NULL THEN refuse('title is required', '', 'title')
        WHEN is_open IS NULL THEN refuse(coalesce(format('there is no status "%%s"', final),
            'the workflow has no status for it'), '', 'status')
        WHEN is_open AND closed IS NOT NULL
            THEN refuse(format('"%%s" is open, so it can have no time of closing', final), '', 'closed')
        WHEN NOT (isfinite(filed) AND isfinite(coalesce(updated, filed)) AND isfinite(coalesce(closed, filed)))
            THEN refuse('created, updated and closed must be finite times', '', 'created')
        WHEN greatest(filed, updated, closed) > now() + interval '1 day'
            THEN refuse('created, updated and closed must not lie in the future', '', 'created')
        WHEN filed > least(updated, closed)
            THEN refuse('created must not be later than updated and closed', '', 'created')
        ELSE true END),
remarks AS MATERIALIZED (
    SELECT ticket_id, filed, said.author, said.body, coalesce(said.created, filed) AS created,
        coalesce(said.updated, said.created, filed) AS updated,
        row_number() OVER (ORDER BY coalesce(said.created, filed), place, nth)
            + (SELECT last_value - (NOT is_called)::integer FROM comments_comment_id_seq) AS comment_id
    FROM drafts CROSS JOIN jsonb_array_elements(comments) WITH ORDINALITY AS listed(item, nth)
        CROSS JOIN jsonb_to_record(item)
            AS said(author text, body text, created timestamptz, updated timestamptz)
    WHERE CASE WHEN greatest(said.created, said.updated) > now() + interval '1 day'
            THEN refuse('a comment must not lie in the future', '', 'comments')
        WHEN filed > least(said.created, said.updated)
            THEN refuse('a comment must not be older than its ticket', '', 'comments')
        WHEN said.created > said.updated
            THEN refuse('a comment must not be changed before it was written', '', 'comments')
        ELSE true END),
happened AS (
    SELECT ticket_id, filed AS at, 0 AS turn, 'created'::event_kind AS kind, NULL::bigint AS comment_id,
        reporter AS actor,
        (SELECT jsonb_object_agg(key, jsonb_build_array(NULL, value)) FROM jsonb_each(jsonb_build_object(
            'title', title, 'description', description, 'status', opening, 'assignee', assignee,
            'reporter', reporter, 'priority', coalesce(priority, 'normal'), 'labels', sorted,
            'fields', all_fields, 'due', due)) WHERE value <> 'null') AS changes
        FROM drafts
    UNION ALL
    SELECT ticket_id, created, 1, 'commented', comment_id, author,
        jsonb_build_object('body', jsonb_build_array(NULL, body))
        FROM remarks
    UNION ALL
    SELECT ticket_id, ended, 2, 'changed', NULL, 'import',
        jsonb_build_object('status', jsonb_build_array(opening, final))
        FROM drafts WHERE opening <> final),
counted AS MATERIALIZED (
    SELECT happened.*, row_number() OVER mine AS version, lag(at) OVER mine AS before
        FROM happened WINDOW mine AS (PARTITION BY ticket_id ORDER BY at, turn, comment_id)),
filing AS (
    INSERT INTO tickets (ticket_id, title, description, status, assignee, reporter, priority, labels,
            fields, due, created, updated, closed, version) OVERRIDING SYSTEM VALUE
        SELECT ticket_id, title, description, final, assignee, reporter, coalesce(priority, 'normal'),
            sorted, all_fields, due, filed, greatest(updated, last), ended, times
        FROM drafts JOIN (SELECT ticket_id, max(at) AS last, count(*) AS times
            FROM counted GROUP BY ticket_id) AS total USING (ticket_id)
        ORDER BY ticket_id),
commenting AS (
    INSERT INTO comments (comment_id, ticket_id, author, body, created, updated) OVERRIDING SYSTEM VALUE
        SELECT comment_id, ticket_id, author, body, created, updated FROM remarks ORDER BY comment_id),
wording AS (
    INSERT INTO searches
        SELECT ticket_id, 0, ticket_words(title, description, sorted) FROM drafts
        UNION ALL SELECT ticket_id, comment_id, body_words(body) FROM remarks)
INSERT INTO events (at, actor, source, ticket_id, kind, comment_id, changes, kept)
    SELECT at, left(actor, 100), 'import', ticket_id, kind, comment_id, changes,
        CASE WHEN kind = 'created' THEN '{}' ELSE jsonb_build_object(
            'version', jsonb_build_array(version - 1), 'updated', jsonb_build_array(before)) END
        || CASE WHEN kind = 'changed'
            THEN jsonb_build_object('closed', jsonb_build_array(NULL)) ELSE '{}' END
    FROM counted ORDER BY at, ticket_id, version
