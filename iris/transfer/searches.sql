-- The words of all tickets and comments, which an export leaves out, since when history has it.
INSERT INTO searches SELECT tickets.ticket_id, 0, ticket_words(title, description, labels), coalesce((SELECT max(events.at) FROM stored_events AS events
        WHERE events.ticket_id = tickets.ticket_id AND events.kind IN ('created', 'changed') AND events.changes ?| '{title,description,labels}'), tickets.created)
    FROM tickets;
INSERT INTO searches SELECT ticket_id, comment_id, body_words(body), updated FROM comments;
