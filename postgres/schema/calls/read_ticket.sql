-- ONE TICKET

CREATE OR REPLACE FUNCTION read_ticket(id bigint, seen bigint[] DEFAULT '{}') RETURNS TABLE (body text, version bigint)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, public, pg_temp
-- In PL/pgSQL, for a session then plans this once: planning takes longer than reading.
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT CASE WHEN version = ANY (read_ticket.seen) THEN NULL ELSE row_to_json(ticket)::text END, version FROM (
            SELECT tickets.*,
                ARRAY(SELECT to_status FROM transitions JOIN statuses ON status = to_status
                    WHERE from_status = tickets.status ORDER BY position) AS next,
                (SELECT coalesce(json_agg(item), '[]') FROM (SELECT * FROM comments
                    WHERE comments.ticket_id = tickets.ticket_id ORDER BY comment_id) AS item) AS comments,
                (SELECT coalesce(json_agg(item), '[]') FROM (SELECT * FROM links
                    WHERE links.ticket_id = tickets.ticket_id OR links.other_id = tickets.ticket_id
                    ORDER BY ticket_id, kind, other_id) AS item) AS links
            FROM tickets WHERE ticket_id = read_ticket.id) AS ticket;
END $$;
COMMENT ON FUNCTION read_ticket(bigint, bigint[]) IS
    'One ticket with where it may go next, its comments and its links, as JSON, as GET /tickets/{ticket_id} shows it; null if its version was seen';

CREATE OR REPLACE FUNCTION read_ticket_as_of(id bigint, moment timestamptz, seen bigint[] DEFAULT '{}') RETURNS TABLE (body text, version bigint)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT CASE WHEN version = ANY (read_ticket_as_of.seen) THEN NULL ELSE row_to_json(ticket)::text END, version FROM (
            SELECT tickets.*,
                CASE WHEN EXISTS (SELECT FROM events WHERE ticket_id IS NULL AND kind = 'workflow_changed' AND at > read_ticket_as_of.moment)
                    THEN workflow_as_of(read_ticket_as_of.moment) -> 'transitions' -> tickets.status
                    ELSE to_json(ARRAY(SELECT to_status FROM transitions JOIN statuses ON status = to_status
                        WHERE from_status = tickets.status ORDER BY position)) END AS next,
                (SELECT coalesce(json_agg(item), '[]') FROM (SELECT * FROM comments_as_of(read_ticket_as_of.moment) AS comments
                    WHERE comments.ticket_id = tickets.ticket_id ORDER BY comment_id) AS item) AS comments,
                (SELECT coalesce(json_agg(item), '[]') FROM (SELECT * FROM links_as_of(read_ticket_as_of.moment) AS links
                    WHERE links.ticket_id = tickets.ticket_id OR links.other_id = tickets.ticket_id
                    ORDER BY ticket_id, kind, other_id) AS item) AS links
            FROM ticket_as_of(read_ticket_as_of.id, read_ticket_as_of.moment) AS tickets) AS ticket;
END $$;
COMMENT ON FUNCTION read_ticket_as_of(bigint, timestamptz, bigint[]) IS
    'One ticket as it was at some moment, as read_ticket() gives it; no row, if it was not there';
