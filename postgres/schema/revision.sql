-- What the migrations would have noted: the one place that names the revision of this schema.
CREATE TABLE alembic_version (version_num varchar(32) NOT NULL CONSTRAINT alembic_version_pkc PRIMARY KEY);
COMMENT ON TABLE alembic_version IS 'The revision of this schema; written by iris db upgrade';
INSERT INTO alembic_version VALUES ('0009');
