"""Where a server's socket is: in its data, or, where that is no place for one, in a temporary folder."""

import contextlib
import stat
import tempfile
from pathlib import Path

from iris.embedded import account

# A socket's path has to fit into 107 bytes, its name .s.PGSQL.5432 included.
LONGEST = 90
# What a socket's folder is called that is not the data's, and what PostgreSQL makes in it.
ELSEWHERE, IN_IT = "iris-", (".s.PGSQL.5432", ".s.PGSQL.5432.lock")


class Place:
    """Where the socket of the server in a data folder is.

    The same place when it is started again, for others have its name; and noted, to be found again
    after a crash.

    data:     the data folder.
    note:     the file that says where it is, if not there.
    say:      called with a sentence whenever something takes a moment.
    """

    def __init__(self, data, note, say):
        self.data, self.note, self.say = data, note, say
        self.elsewhere = None

    def lock_file(self):
        """Return the file in which a server writes that the socket is its own."""
        return (self.elsewhere or self.data) / IN_IT[1]

    def make(self):
        """Return the folder for a socket, which is there from now on."""
        # A comma would begin another folder.
        if len(str(self.data)) <= LONGEST and "," not in str(self.data):
            return self.data
        if self.elsewhere is None:
            usual = tempfile.gettempdir()
            fits = len(usual) + 20 <= LONGEST and "," not in usual
            made = tempfile.mkdtemp(prefix=ELSEWHERE, dir=usual if fits else "/tmp")
            self.elsewhere = Path(made)
        self.note.write_text(f"{self.elsewhere}\n{self.data}\n")
        # Somebody tidies up there, too.
        self.elsewhere.mkdir(mode=0o700, exist_ok=True)
        account.give(self.elsewhere, self.say)
        return self.elsewhere

    def recall(self):
        """Take the folder that the last server had for its socket, if it is there still and ours.

        It stands where everybody may make folders, so its name proves nothing; and what a copy of our folder
        has noted is the original's.
        """
        try:
            place, data = self.note.read_text().splitlines()
            socket = Path(place)
            found = socket.lstat()
        except (OSError, ValueError):
            return
        owner, _group = account.numbers(self.say)
        is_ours = stat.S_ISDIR(found.st_mode) and (found.st_uid, found.st_mode & 0o777) == (
            owner,
            0o700,
        )
        if data == str(self.data) and is_ours and socket.name.startswith(ELSEWHERE):
            self.elsewhere = self.elsewhere or socket

    def leave(self, socket=None):
        """Remove what is outside of the data: the folder of the socket, if that is not in there.

        socket:   the folder, if it was not we who made it.
        """
        socket = socket or self.elsewhere
        if socket is None or not socket.name.startswith(ELSEWHERE):
            return
        for name in IN_IT:
            with contextlib.suppress(OSError):
                (socket / name).unlink()
        with contextlib.suppress(OSError):
            socket.rmdir()
            self.note.unlink()
