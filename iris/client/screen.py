"""How an answer comes to the person: in colours or none, as wide as the terminal, by a pager if long."""

import os
import sys

from iris import visible

# Cells across, at most and at least: what Iris draws.
WIDEST, NARROWEST = 500, 20


def is_terminal():
    """Whether stdout is a person's terminal."""
    try:
        return sys.stdout.isatty()
    except (AttributeError, ValueError):
        return False


def colored(wanted):
    """Whether to paint.

    wanted:   auto, always or never.
    """
    if wanted != "auto":
        return wanted == "always"
    dull = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return is_terminal() and not dull


def size():
    """Return (columns, lines) of the terminal; each None where it is not known."""
    columns = os.environ.get("COLUMNS", "")
    try:
        found = os.get_terminal_size(sys.stdout.fileno()) if is_terminal() else (0, 0)
    except (OSError, ValueError):
        found = (0, 0)
    wide = int(columns) if columns.isascii() and columns.isdigit() else found[0]
    return wide or None, found[1] or None


def width():
    """Return how many cells across to draw, or None where nobody looks."""
    wide, _ = size()
    return min(max(wide, NARROWEST), WIDEST) if wide else None


def safe(text):
    """Return a text without what a terminal obeys, but for colours."""
    if text.isascii() and text.isprintable():
        return text
    parts = text.split("\x1b[")
    made = [visible.safe(parts[0], kept="\n")]
    for part in parts[1:]:
        code, end, rest = part.partition("m")
        if end and code.isdigit() and len(code) < 4:
            made.append(f"\x1b[{code}m{visible.safe(rest, kept=chr(10))}")
        else:
            made.append(visible.safe(f"\x1b[{part}", kept="\n"))
    return "".join(made)


def show(text):
    """Print a text; what is longer than the terminal by $PAGER, or by less."""
    text = safe(text)
    _, lines = size()
    if lines and text.count("\n") >= lines and _paged(text):
        return
    write(text.encode(sys.stdout.encoding or "utf-8", "replace"))


def write(data):
    """Write bytes to stdout, at once."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _paged(text):
    """Whether somebody's pager has shown a text."""
    import shutil  # noqa: PLC0415 (takes its time)
    import subprocess  # noqa: PLC0415

    pager = os.environ.get("PAGER", shutil.which("less") or "")
    if pager.strip() in ("", "cat"):
        return False

    # As git has it: colours, and lines that are cut, not broken; it stays open, and the text on the screen.
    environment = {"LESS": "FRX", **os.environ}
    with subprocess.Popen(pager, shell=True, stdin=subprocess.PIPE, env=environment) as running:
        try:
            running.communicate(text.encode(sys.stdout.encoding or "utf-8", "replace"))
        except BrokenPipeError:
            pass
        except KeyboardInterrupt:
            # Its own keys are the pager's.
            running.wait()
    # What a shell says that doesn't know it.
    return running.returncode not in (126, 127)
