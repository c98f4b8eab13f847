"""Writing: who writes, and under which role, goes in the same message; what is repeated is answered again."""

from psycopg2 import extensions

from iris import rights
from iris.database import engine, statements


class Writer:
    """Who writes, and whether they may be repeating themselves.

    actor:    a name.
    key:      their Idempotency-Key, or None.
    request:  a digest of the request, which the key is good for.
    role:     of rights.ROLES, under which the statement runs; None for the login's own.
    replayed: set when the answer is an earlier one.
    change:   set, where there is a key, to the number of the change that it was, if it was one.
    """

    def __init__(self, actor, key=None, request=None, role=None):
        self.actor, self.key, self.request, self.role = actor, key, request, role
        self.replayed, self.change = False, None


# A transaction's own: the connection is the next one's after it, and a pooler's server process anybody's.
ACTOR = "SELECT set_config('iris.actor', %(iris_actor)s, true); "
UNDER = {
    None: ACTOR,
    **{
        role: "SELECT set_config('iris.actor', %(iris_actor)s, true),"
        f" set_config('role', 'iris_{role}', true); "
        for role in rights.ROLES
    },
}
# The same for who only reads what not everybody may.
AS = {
    None: "",
    **{role: f"SELECT set_config('role', 'iris_{role}', true); " for role in rights.ROLES},
}
# What the service does for nobody's sake.
AS_ITSELF = "SELECT set_config('role', 'none', true); "
# What may be lost, for it is made again: nobody waits for a standby to have it.
LOCALLY = "SELECT set_config('synchronous_commit', 'local', true); "
TIMEOUT = "SELECT set_config('statement_timeout', '%d', true); "
ONCE = (
    "SELECT answer, replayed, pg_current_xact_id()::text::bigint + pg_sequence_last_value('change_base')"
    " FROM once(%(iris_key)s, %(iris_request)s, %(iris_write)s)"
)


def write(sql, values, writer, seconds=None):
    """Run one statement that writes; the actor travels in the same message.

    sql:      from compiled(), with a RETURNING of one row whose columns have names.
    values:   {name: value} of its parameters.
    writer:   a Writer, whose replayed is set when the row is an earlier answer's.
    seconds:  how long it may take, if not as long as all others.
    Returns:  the row as a tuple, or None where there was nothing to write to.
    Raises:   as run() does; SQLSTATE IR005 when the key was used for another request.
    Source:   the statement itself, or once() of it when there is an Idempotency-Key.
    """
    before = UNDER[writer.role]
    if seconds is not None:
        before += TIMEOUT % (seconds * 1000)
    with engine.POOL.writing():
        if writer.key is None:
            values = {**values, "iris_actor": writer.actor}
            return statements.run(sql, values, before=before, keep=True, seconds=seconds)
        row = statements.run(
            ONCE,
            {
                "iris_actor": writer.actor,
                "iris_key": writer.key,
                "iris_request": writer.request,
                "iris_write": Written(sql, values),
            },
            before=before,
            # Whatever became of the first try, the second one is answered as the first would have been.
            again=True,
            seconds=seconds,
        )
    answer, writer.replayed, writer.change = row
    return answer and tuple(answer.values())


class Written:
    """A statement with its values, on its way to once(), which takes it as text."""

    def __init__(self, sql, values):
        self.sql, self.values = sql, values
        self.connection = None

    def __conform__(self, protocol):
        return self if protocol is extensions.ISQLQuote else None

    def prepare(self, connection):
        self.connection = connection

    def getquoted(self):
        with self.connection.cursor() as cursor:
            sql = cursor.mogrify(self.sql, self.values).decode()
        quoted = extensions.QuotedString(sql)
        quoted.prepare(self.connection)
        return quoted.getquoted()
