"""Whether history tells the present: events, laid one over the other, give the rows that are there."""

# What the database keeps is not in an event's changes, or only sometimes.
KEPT = "'{ticket_id,created,updated,closed,version}'::text[]"

TICKETS = f"""
    WITH last AS (
        SELECT DISTINCT ON (ticket_id, key) ticket_id, key, value -> 1 AS value
            FROM public.events CROSS JOIN LATERAL jsonb_each(changes)
            WHERE kind IN ('created', 'changed', 'deleted')
            ORDER BY ticket_id, key, event_id DESC),
    replayed AS (
        SELECT ticket_id, jsonb_object_agg(key, value) AS columns FROM last GROUP BY ticket_id
            HAVING jsonb_object_agg(key, value) ->> 'title' IS NOT NULL),
    rows AS (
        SELECT ticket_id, to_jsonb(jsonb_populate_record(NULL::public.tickets, columns)) - {KEPT} AS row
            FROM replayed)
    SELECT ticket_id, rows.row AS replayed, to_jsonb(tickets) - {KEPT} AS present
        FROM rows FULL JOIN public.tickets USING (ticket_id)
        WHERE rows.row IS DISTINCT FROM to_jsonb(tickets) - {KEPT}
"""

COMMENTS = """
    WITH last AS (
        SELECT DISTINCT ON (ticket_id, comment_id) ticket_id, comment_id, changes -> 'body' ->> 1 AS body
            FROM public.events WHERE kind IN ('commented', 'comment_changed', 'comment_deleted')
            ORDER BY ticket_id, comment_id, event_id DESC),
    replayed AS (SELECT * FROM last WHERE body IS NOT NULL)
    SELECT comment_id, replayed.body AS replayed, comments.body AS present
        FROM replayed FULL JOIN public.comments USING (ticket_id, comment_id)
        WHERE replayed.body IS DISTINCT FROM comments.body
"""

LINKS = """
    WITH replayed AS (
        SELECT ticket_id, coalesce(changes -> 'kind' ->> 1, changes -> 'kind' ->> 0) AS kind, other_id,
                sum(CASE kind WHEN 'linked' THEN 1 ELSE -1 END) AS times
            FROM public.events WHERE kind IN ('linked', 'unlinked') GROUP BY 1, 2, 3)
    SELECT ticket_id, kind, other_id, times
        FROM (SELECT ticket_id, kind::text, other_id FROM public.links) AS present
        FULL JOIN (SELECT * FROM replayed WHERE times <> 0) AS made USING (ticket_id, kind, other_id)
        WHERE times IS DISTINCT FROM 1 OR present IS NULL
"""

# Each event of a ticket, or of one that is linked to it, has counted its version on by one.
VERSIONS = """
    SELECT ticket_id, version,
            (SELECT count(*) FROM public.events WHERE events.ticket_id = tickets.ticket_id OR other_id = tickets.ticket_id) AS events
        FROM public.tickets
        WHERE version <> (SELECT count(*) FROM public.events
            WHERE events.ticket_id = tickets.ticket_id OR other_id = tickets.ticket_id)
"""

# A ticket is closed while its status is not open, and its times lie between its filing and now.
KEEPING = """
    SELECT ticket_id, status, created, updated, closed
        FROM public.tickets JOIN public.statuses USING (status)
        WHERE (closed IS NULL) <> is_open OR updated < created OR closed < created
            OR greatest(created, updated, closed) > clock_timestamp()
            OR created <> (SELECT at FROM public.events WHERE events.ticket_id = tickets.ticket_id AND kind = 'created')
"""


def differences(cursor):
    """Return what history and the present don't agree upon; nothing, where all is well.

    cursor:   of the database's owner.
    """
    found = []
    for text in (TICKETS, COMMENTS, LINKS, VERSIONS, KEEPING):
        cursor.execute(text)
        found += cursor.fetchall()
    return found
