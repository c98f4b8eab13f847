-- Six people and their tickets, of the last two months: what docs/week.md asks about.
-- Into an empty Iris, as its owner: iris psql --owner -f docs/week.sql
\set ON_ERROR_STOP on
\set QUIET on
BEGIN;
DO $$
BEGIN
    IF EXISTS (SELECT FROM tickets) OR EXISTS (SELECT FROM events) THEN
        RAISE 'this Iris is not empty: the week needs one of its own'
            USING HINT = 'Start one beside it: IRIS_DATA=/tmp/week make up';
    END IF;
END
$$;
SET LOCAL iris.actor = 'fay';
INSERT INTO tickets (title, assignee, priority, labels, status) VALUES
    ('Printer on the third floor jams', 'ben', 'normal', '{office,printer}', 'open'),
    ('Login fails with a + in the password', 'cho', 'urgent', '{bug,login}', 'open'),
    ('Move the wiki to the new host', 'dana', 'high', '{ops}', 'open'),
    ('Renew the certificate of the new host', 'eli', 'high', '{ops,tls}', 'open'),
    ('Order chairs', NULL, 'low', '{office}', 'open');
SET LOCAL iris.actor = 'ann';
INSERT INTO tickets (title, assignee, priority, labels, status) VALUES
    ('Dark mode', NULL, 'low', '{wish}', 'open'),
    ('Crash when a title is empty', 'cho', 'high', '{bug}', 'resolved'),
    ('Switch off the old backup server', 'eli', 'normal', '{ops}', 'closed'),
    ('Write the release notes', 'ann', 'normal', '{docs}', 'open'),
    ('Upgrade PostgreSQL', 'eli', 'normal', '{ops}', 'open'),
    ('Answer the customer from Oslo', 'ann', 'high', '{support}', 'active');
INSERT INTO links VALUES (4, 'blocks', 3);
SET LOCAL iris.actor = 'dana';
INSERT INTO comments (ticket_id, body) VALUES (3, 'Waiting for the certificate, #4');
SET LOCAL iris.actor = 'cho';
INSERT INTO comments (ticket_id, body) VALUES (2, 'It happens with % as well. @ann, can you reproduce it?');
SET LOCAL iris.actor = 'ann';
INSERT INTO comments (ticket_id, body) VALUES (2, 'Yes, in every browser'), (10, 'After the release, please');
-- Until now all of it is new: it moves into the past, which only the owner can do.
SET LOCAL session_replication_role = replica;
CREATE TEMPORARY TABLE ages ON COMMIT DROP AS
    SELECT * FROM (VALUES (1, 40), (2, 20), (3, 30), (4, 31), (5, 60), (6, 45), (7, 25), (8, 50), (9, 16), (10, 35), (11, 17))
        AS ages (ticket_id, days);
UPDATE tickets SET created = created - make_interval(days => days), updated = updated - make_interval(days => days),
        closed = closed - make_interval(days => days)
    FROM ages WHERE ages.ticket_id = tickets.ticket_id;
UPDATE comments SET created = created - make_interval(days => days), updated = updated - make_interval(days => days)
    FROM ages WHERE ages.ticket_id = comments.ticket_id;
UPDATE stored_events SET at = at - make_interval(days => days) FROM ages WHERE ages.ticket_id = stored_events.ticket_id;
COMMIT;

-- Since then.
BEGIN;
SET LOCAL iris.actor = 'eli';
UPDATE tickets SET due = date_trunc('day', now()) - interval '1 day' WHERE ticket_id = 4;
COMMIT;
BEGIN;
SET LOCAL iris.actor = 'cho';
UPDATE tickets SET status = 'active' WHERE ticket_id = 2;
COMMIT;
BEGIN;
SET LOCAL iris.actor = 'ann';
UPDATE tickets SET due = date_trunc('day', now()) + interval '3 days' WHERE ticket_id = 9;
UPDATE tickets SET due = date_trunc('day', now()) + interval '1 day' WHERE ticket_id = 11;
COMMIT;
BEGIN;
SET LOCAL iris.actor = 'ben';
INSERT INTO comments (ticket_id, body) VALUES (1, 'The drum is worn out; a new one costs 80. OK, @ann?');
INSERT INTO tickets (title, labels) VALUES ('Water drips into the server room', '{office}');
COMMIT;
