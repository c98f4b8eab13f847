"""The statement behind undo."""

from sqlalchemy import Text, bindparam, cast, func, select

from iris.database import statements, writing
from iris.tickets import MANY_SECONDS

# Kinds of events that can't be taken back.
NEVER = ("token_added", "token_revoked", "hook_added", "hook_changed", "hook_removed")
UNDO = statements.compiled(
    select(
        cast(
            func.undo(bindparam("event_id"), bindparam("change"), bindparam("dry_run")), Text
        ).label("body")
    )
)


def undo(event_id, change, writer, dry_run=False):
    """Take back an event or a whole change, all or nothing.

    event_id: the event, or None.
    change:   the change, or None; one of both.
    writer:   a writing.Writer.
    dry_run:  whether only to say what would happen.
    Returns:  the events that did it, or would, a JSON array as text.
    Raises:   psycopg2.Error: IR020 or IR021 where there is none, IR022 where others have changed the same
              since, and whatever a rule says.
    Source:   one SELECT of undo().
    """
    values = {"event_id": event_id, "change": change, "dry_run": dry_run}
    return writing.write(UNDO, values, writer, seconds=MANY_SECONDS)[0]
