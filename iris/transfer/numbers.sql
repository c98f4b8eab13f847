-- New numbers come after the highest ever used, also by what was deleted.
SELECT setval('tickets_ticket_id_seq', greatest(last_value, highest)) FROM tickets_ticket_id_seq,
    greatest((SELECT max(ticket_id) FROM tickets), (SELECT max(ticket_id) FROM events),
        (SELECT max(other_id) FROM events)) AS highest WHERE highest IS NOT NULL;
SELECT setval('comments_comment_id_seq', greatest(last_value, highest)) FROM comments_comment_id_seq,
    greatest((SELECT max(comment_id) FROM comments), (SELECT max(comment_id) FROM events)) AS highest
    WHERE highest IS NOT NULL;
SELECT setval('stored_events_event_id_seq', greatest(last_value, highest)) FROM stored_events_event_id_seq,
    (SELECT max(event_id) FROM events) AS found(highest) WHERE highest IS NOT NULL;
