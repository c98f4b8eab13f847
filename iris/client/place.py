"""Where Iris is, and who asks: from the environment, a file of the folder, or a file of the user."""

import os
import stat
from collections import namedtuple

from iris.client import USAGE, Failed

# Variables of the environment and of the files, {name: what it is}.
NAMES = {
    "IRIS_URL": "where Iris is (http://127.0.0.1:8000)",
    "IRIS_TOKEN": "who comes in, where Iris wants tokens",
    "IRIS_ACTOR": "who acts, where it wants none (the name of your login)",
    "IRIS_CA": "a file with the certificate of an authority of your own, PEM",
}
DEFAULT = "http://127.0.0.1:8000"
# In a folder, and all that is in it; and in the user's folder of settings.
FOLDERS, USERS = ".irisrc", os.path.join("iris", "config")


class Place(
    namedtuple("Place", ("url", "secure", "host", "port", "prefix", "token", "actor", "ca"))
):
    """Where Iris is, and who asks. (No typing.NamedTuple: typing takes its time.)

    url:      its address, without a slash at its end.
    secure:   whether it speaks TLS; host, port, and the prefix of its paths.
    token:    of who asks, or None; actor: their name, where there is none.
    ca:       name of a file of certificates to trust, or None.
    """


def folder(variable, default):
    """Return a folder of the user's, as the XDG specification has it; None where there is no home."""
    found = os.environ.get(variable)
    if found and os.path.isabs(found):
        return found
    home = os.path.expanduser("~")
    return os.path.join(home, default) if os.path.isabs(home) else None


def find():
    """Find out where Iris is and who asks.

    Raises:   Failed, where it can't be said, or should not be.
    """
    users, here = folder("XDG_CONFIG_HOME", ".config"), _above(FOLDERS)
    own = read(os.path.join(users, USERS)) if users else {}
    near, set_ = read(here) if here else {}, _environment()
    if "IRIS_TOKEN" in set_ and "IRIS_URL" in near and "IRIS_URL" not in set_:
        words = f"IRIS_TOKEN is set in the environment, but the address is from {here}"
        raise Failed(USAGE, f"{words}\nhint: Set IRIS_URL beside the token.")
    found = {}
    for values in (own, near, set_):
        if "IRIS_URL" in values:
            # A token goes only to the address that it was meant for.
            found.pop("IRIS_TOKEN", None)
        found |= values
    url = found.get("IRIS_URL", DEFAULT)
    token = found.get("IRIS_TOKEN")
    actor = None if token else found.get("IRIS_ACTOR") or _login()
    for name, value in (("IRIS_TOKEN", token), ("IRIS_ACTOR", actor)):
        if value and not value.isprintable():
            raise Failed(USAGE, f"{name} must be printable characters in one line")
    return Place(url.rstrip("/"), *_parts(url), token, actor, found.get("IRIS_CA"))


def _environment():
    values = {name: os.environ[name] for name in NAMES if os.environ.get(name)}
    name = os.environ.get("IRIS_TOKEN_FILE")
    if name and "IRIS_TOKEN" not in values:
        try:
            with open(name, encoding="utf-8") as file:
                values["IRIS_TOKEN"] = file.read().strip()
        except (OSError, UnicodeError) as error:
            said = getattr(error, "strerror", None) or "it is no text"
            raise Failed(USAGE, f"IRIS_TOKEN_FILE can't be read: {name}: {said}") from None
    return values


def _above(name):
    """Return the path of a file of the user's in this folder or the nearest one above, or None."""
    try:
        at = os.getcwd()
    except OSError:
        return None
    while True:
        path = os.path.join(at, name)
        try:
            if os.stat(path).st_uid == os.geteuid():
                return path
        except OSError:
            pass
        if at == os.path.dirname(at):
            return None
        at = os.path.dirname(at)


def read(path):
    """Read a file of settings, NAME=VALUE in each line, # before a comment.

    Returns:  {name: value}; nothing where there is no file.
    Raises:   Failed, where others may read it, or it says what nobody understands.
    """
    try:
        with open(path, encoding="utf-8") as file:
            status = os.fstat(file.fileno())
            if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
                words = f"{path} may hold a token, and others than you may read or write it"
                raise Failed(USAGE, f"{words}\nhint: chmod 600 {path}")
            lines = file.read().splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeError) as error:
        said = getattr(error, "strerror", None) or "it is no text"
        raise Failed(USAGE, f"{path} can't be read: {said}") from None
    values = {}
    for number, line in enumerate(lines, 1):
        name, sign, value = line.strip().removeprefix("export ").partition("=")
        if not name or name.startswith("#"):
            continue
        if not sign or name.strip() not in NAMES:
            known = ", ".join(NAMES)
            raise Failed(USAGE, f"{path}, line {number}: there should be NAME=VALUE of: {known}")
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        values[name.strip()] = value
    return {name: value for name, value in values.items() if value}


def _login():
    """Return the name of the login, as other programs have it, or None."""
    for name in ("LOGNAME", "USER"):
        if os.environ.get(name):
            return os.environ[name]
    import pwd  # noqa: PLC0415 (hardly ever needed)

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return None


def _parts(url):
    """Return (secure, host, port, prefix) of an address.

    Raises:   Failed.
    """
    scheme, _, rest = url.partition("://")
    where, slash, path = rest.partition("/")
    host, colon, port = where.rpartition(":") if not where.endswith("]") else ("", "", "")
    if not colon:
        host, port = where, {"http": "80", "https": "443"}.get(scheme, "")
    odd = "@" in where or "?" in rest or "#" in rest or not rest.isprintable() or " " in rest
    is_port = port.isascii() and port.isdigit() and 0 < int(port) < 65536
    if scheme not in ("http", "https") or not host or odd or not is_port:
        # Not what it is: somebody may have put a token there.
        words = "IRIS_URL must be like https://iris.example.org or http://127.0.0.1:8000"
        raise Failed(USAGE, f"{words}; a token goes into IRIS_TOKEN")
    prefix = (slash + path).rstrip("/")
    return scheme == "https", host.strip("[]"), int(port), prefix
