-- SEEDS: the workflow that a new Iris has

INSERT INTO statuses (status, position, is_open) VALUES
    ('open', 1, true), ('active', 2, true), ('blocked', 3, true), ('resolved', 4, false), ('closed', 5, false);
INSERT INTO transitions (from_status, to_status) VALUES
    ('open', 'active'), ('open', 'resolved'), ('open', 'closed'),
    ('active', 'open'), ('active', 'blocked'), ('active', 'resolved'), ('active', 'closed'),
    ('blocked', 'open'), ('blocked', 'active'), ('blocked', 'closed'),
    ('resolved', 'open'), ('resolved', 'closed'),
    ('closed', 'open');
-- What the history begins with.
INSERT INTO workflow_recorded (document) SELECT workflow();
