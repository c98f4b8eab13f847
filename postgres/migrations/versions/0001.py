"""The first schema: tickets, comments, links and workflow."""

from pathlib import Path

from iris import migrations

revision = "0001"
down_revision = None


def upgrade():
    """Make everything; what initdb.sql says in psql's own words is said here in SQL."""
    migrations.run(
        """
        DO $$ BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'iris') THEN
                CREATE ROLE iris LOGIN;
            END IF;
            EXECUTE format('ALTER DATABASE %I SET timezone TO ''UTC''', current_database());
        END $$;
        """
    )
    migrations.run(Path(__file__).with_suffix(".sql").read_text())
    migrations.run(
        """
        COMMENT ON TABLE alembic_version IS 'The revision of this schema; written by iris db upgrade';
        GRANT SELECT ON alembic_version TO iris;
        """
    )


def downgrade():
    """Drop everything, the tickets included; the role stays, for it belongs to the server."""
    migrations.run(
        """
        DROP FUNCTION touch(bigint[]);
        DROP TABLE searches, links, comments, tickets;
        DROP FUNCTION first_status(), workflow();
        DROP TABLE transitions, statuses;
        DROP FUNCTION actor(), refuse(text, text, text), is_blank(text), labels_fit(text[]),
            ticket_words(text, text, text[]), tickets_before(), comments_before(), links_before(),
            links_inserted(), links_deleted(), tickets_after(), comments_after(),
            statuses_before(), statuses_after(), set_workflow(jsonb);
        DROP TYPE priority, link_kind;
        REVOKE SELECT ON alembic_version FROM iris;
        REVOKE USAGE ON SCHEMA public FROM iris;
        ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC;
        """
    )
