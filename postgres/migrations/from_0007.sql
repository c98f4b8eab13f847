-- From the last schema before the first release, 0007, to that of the first release, 0008: what
-- changes tables and what is stored in them. Rules follow by themselves. A check or a default that
-- needs a function which 0007 lacks brings it in first: \ir ../schema/rules/words.sql

\ir drop_rules.sql

UPDATE alembic_version SET version_num = '0008';
