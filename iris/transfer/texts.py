"""Files as text, whatever their encoding, a piece at a time."""

import codecs

from iris.transfer import files

PIECE = 1 << 16
# Characters of what is read as one: a cell or an issue.
LONGEST = 1 << 26
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Text:
    """A file's text, of which a window is held.

    window:   what has been read and not yet been let go.
    at:       where in it its user stands.
    ended:    whether there is nothing more.
    line:     the number of the line that it stands in, from 1.
    """

    def __init__(self, file, encoding=None):
        self.file, self.window, self.at, self.line = file, "", 0, 1
        self.ended, self._piece, self._lines = False, PIECE, 1
        head = file.read(PIECE)
        self.encoding = encoding or _encoding(head)
        try:
            self._decoder = codecs.getincrementaldecoder(self.encoding)()
        except LookupError:
            raise files.Refused(
                f"there is no encoding {self.encoding}; there are utf-8, utf-16, cp1252 and others"
            ) from None
        self._add(head)

    def more(self):
        """Read on, twice as much each time; return whether there was anything."""
        if self.ended:
            return False
        if len(self.window) - self.at > LONGEST:
            raise files.Refused(
                f"line {self.line}: what begins here doesn't end: is a quote missing?"
            )
        self._add(self.file.read(self._piece))
        self._piece *= 2
        return True

    def take(self, end):
        """Let go what stands before a place of the window; return it."""
        taken = self.window[self.at : end]
        self.line += breaks(taken)
        self.at = end
        if end > PIECE:
            self.window, self.at = self.window[end:], 0
        self._piece = PIECE
        return taken

    def _add(self, data):
        try:
            text = self._decoder.decode(data, final=not data)
        except UnicodeError as error:
            where = self.line + breaks(self.window[self.at :])
            byte = ""
            if isinstance(error, UnicodeDecodeError):
                where += error.object[: error.start].count(b"\n")
                byte = f"byte 0x{error.object[error.start]:02x} "
            raise files.Refused(
                f"line {where}: {byte}is not {self.encoding.removesuffix('-sig').upper()};"
                " say which encoding the file has, such as --encoding cp1252"
            ) from None
        self.ended = not data
        self.window, self.at = self.window[self.at :] + text, 0


def breaks(text):
    """Return how often a text breaks its line: by \\n, \\r\\n or \\r."""
    return text.count("\n") + (text.count("\r") - text.count("\r\n") if "\r" in text else 0)


def _encoding(head):
    """Return what a file's first bytes say, else UTF-8."""
    for mark, name in MARKS:
        if head.startswith(mark):
            return name
    # Every other byte of Latin letters is none.
    even, odd = head[:200:2].count(0), head[1:200:2].count(0)
    if odd > 10 and not even:
        return "utf-16-le"
    if even > 10 and not odd:
        return "utf-16-be"
    return "utf-8"
