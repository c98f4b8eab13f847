-- The words of all tickets and comments, which an export leaves out.
INSERT INTO searches SELECT ticket_id, 0, ticket_words(title, description, labels) FROM tickets;
INSERT INTO searches SELECT ticket_id, comment_id, body_words(body) FROM comments;
