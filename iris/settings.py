"""Every environment variable that Iris reads: its type, default, unit and meaning."""

import ipaddress
import os
import re
import zoneinfo
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

# No setting: by it `iris up` names a pipe to the service, which ends when nobody has its other end any more.
WHILE_OPEN = "IRIS_WHILE_OPEN"
# Nor this: by it the service names a pipe to the deliverer, which tells of each try there.
COUNTED_BY = "IRIS_COUNTED_BY"

# What .env.example once had for a password.
EXAMPLE = "choose-a-password"


class Wrong(SystemExit):
    """A setting that is missing or can't be used; ends the start with a sentence."""

    def __init__(self, name, expected):
        super().__init__(f"iris: {name} {expected}")


def whole(low, high):
    """Read a whole number from low to high."""

    def read(text):
        if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return read


def one_of(*words):
    """Read one of a few words."""

    def read(text):
        if text not in words:
            raise ValueError(f"must be one of: {', '.join(words)}")
        return text

    return read


def flag(text):
    """Read true or false."""
    return one_of("true", "false")(text) == "true"


def address(text):
    """Read HOST:PORT into (host, port)."""
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError("must be HOST:PORT, such as 127.0.0.1:8000")
    return host.strip("[]"), int(port)


def origins(text):
    """Read names of origins, separated by commas, into a frozenset."""
    found = [each.strip() for each in text.split(",")]
    for each in found:
        parts = urlsplit(each)
        if (
            parts.scheme not in ("http", "https")
            or not parts.netloc
            or each != f"{parts.scheme}://{parts.netloc}"
        ):
            raise ValueError(
                "must be like https://board.example.org, several with commas between them"
            )
    return frozenset(found)


def file(text):
    """Read the name of a file that can be read."""
    try:
        with open(text, "rb"):
            return Path(text)
    except OSError as error:
        raise ValueError(f"must be a file that can be read ({error.strerror.lower()})") from None


def url(text):
    """Read a libpq connection URL."""
    if not text.startswith(("postgres://", "postgresql://")):
        raise ValueError("must start with postgresql://")
    return text


def urls(text):
    """Read libpq connection URLs, blanks between them."""
    return [url(each) for each in text.split()]


def zone(text):
    """Read the name of a time zone."""
    try:
        return zoneinfo.ZoneInfo(text).key
    except (OSError, ValueError, zoneinfo.ZoneInfoNotFoundError):
        raise ValueError("must be a time zone, such as Europe/Berlin") from None


def networks(text):
    """Read addresses and networks, separated by commas."""
    try:
        return tuple(ipaddress.ip_network(each.strip()) for each in text.split(",") if each.strip())
    except ValueError as error:
        raise ValueError(
            f"must be addresses or networks with commas between them: {error}"
        ) from None


def mail_server(text):
    """Read the URL of a mail server, smtp:// or smtps://, with a name and a password or without."""
    parts = urlsplit(text)
    try:
        fits = parts.scheme in ("smtp", "smtps") and parts.hostname and parts.path in ("", "/")
        parts.port  # noqa: B018 (it looks whether it is one)
    except ValueError:
        fits = False
    if not fits or parts.query or parts.fragment:
        raise ValueError("must be like smtp://USER:PASSWORD@mail.example.org:587, or smtps://…")
    return parts


def mail_address(text):
    """Read an address of mail."""
    if not re.fullmatch(r"[A-Za-z0-9.!#$%&'*/=?^_`{|}~-]{1,30}@[A-Za-z0-9.-]{1,200}", text):
        raise ValueError("must be an address without a +, such as iris@example.org")
    return text


def page(text):
    """Read the URL where people find Iris."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise ValueError("must be like https://iris.example.org")
    return text.rstrip("/")


class Setting(NamedTuple):
    """One environment variable.

    read: turns its text into a value, or raises ValueError with what was expected.
    """

    name: str
    default: str | None
    read: callable
    meaning: str
    secret: bool = False


ALL = {
    setting.name: setting
    for setting in (
        Setting(
            "IRIS_PASS", None, str, "Password of the database role that Iris uses", secret=True
        ),
        Setting(
            "IRIS_USER", "iris", str, "That role: iris, or a member of it such as iris_service"
        ),
        Setting(
            "IRIS_SERVICE_PASS",
            None,
            str,
            "Password of the role iris_service, if it is not IRIS_PASS",
            secret=True,
        ),
        Setting("IRIS_DB_HOST", None, str, "Host of the database server"),
        Setting("IRIS_DB_PORT", "5432", whole(1, 65535), "Its port"),
        Setting("IRIS_DB_NAME", "iris", str, "Name of the database"),
        Setting(
            "DATABASE_URL",
            None,
            url,
            "All of the above in one libpq URL, several hosts allowed, in their place",
            secret=True,
        ),
        Setting(
            "IRIS_READ_URL",
            None,
            url,
            "libpq URL of standbys of the database, several hosts allowed, for what is heavy to read",
            secret=True,
        ),
        Setting(
            "IRIS_OWNER_URL",
            None,
            url,
            "libpq URL of the database's owner, for iris import, iris db and iris psql --owner",
            secret=True,
        ),
        Setting("IRIS_BIND", "127.0.0.1:8000", address, "Where the service listens, HOST:PORT"),
        Setting("IRIS_WORKERS", "2", whole(1, 64), "Processes that serve"),
        Setting("IRIS_POOL", "8", whole(1, 100), "Database connections per worker, at most"),
        Setting(
            "IRIS_STATEMENT_SECONDS",
            "15",
            whole(1, 3600),
            "Seconds one statement may take before it is given up with 503",
        ),
        Setting(
            "IRIS_REQUIRE_IF_MATCH",
            "false",
            flag,
            "true: whoever changes or deletes a ticket says by If-Match which version they have seen",
        ),
        Setting(
            "IRIS_AUTH",
            "none",
            one_of("none", "token"),
            "none: everyone may do everything; only on loopback or inside the compose network."
            " token: who has one (iris token add)",
        ),
        Setting(
            "IRIS_RATE",
            None,
            whole(1, 1_000_000),
            "Requests a minute that each token may send; without it, any number",
        ),
        Setting(
            "IRIS_ORIGINS",
            None,
            origins,
            "Origins whose pages may use Iris, https://board.example.org; without it, only its own",
        ),
        Setting(
            "IRIS_TLS_CERT",
            None,
            file,
            "File of a certificate and its chain, PEM: Iris then speaks TLS",
        ),
        Setting("IRIS_TLS_KEY", None, file, "File of its key, PEM"),
        Setting(
            "IRIS_NETWORK",
            "host",
            one_of("host", "compose"),
            "compose: Iris is in a network of its own, which makes listening on 0.0.0.0 safe",
        ),
        Setting(
            "IRIS_TIMEZONE",
            "UTC",
            zone,
            "Time zone of times that name none, such as tomorrow, and of those in answers as text",
        ),
        Setting(
            "IRIS_PROXIES",
            "",
            networks,
            "Addresses or networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed",
        ),
        Setting(
            "IRIS_DELIVER",
            "true",
            flag,
            "false: this service tells no hooks; iris deliver does, somewhere else",
        ),
        Setting(
            "IRIS_HOOKS_INSIDE",
            "",
            networks,
            "Addresses or networks inside that hooks may lead to, such as 10.1.2.0/24; without it, none",
        ),
        Setting(
            "IRIS_TRACKERS",
            None,
            Path,
            "Folder of the map of many trackers (iris tracker): Iris serves all of them, or IRIS_TRACKER",
        ),
        Setting(
            "IRIS_TRACKER",
            None,
            str,
            "Name of the one that a command is about, or that is served alone",
        ),
        Setting(
            "IRIS_SERVERS",
            None,
            urls,
            "libpq URLs of the owners of the servers that trackers are spread over, blanks between them",
            secret=True,
        ),
        Setting(
            "IRIS_BOUNCER_URL",
            None,
            url,
            "libpq URL of the console of the pgbouncer in front of them, for iris tracker",
            secret=True,
        ),
        Setting(
            "IRIS_SMTP_URL",
            None,
            mail_server,
            "Mail server that takes what Iris mails: smtp://USER:PASSWORD@HOST:587, or smtps://",
            secret=True,
        ),
        Setting(
            "IRIS_MAIL_FROM",
            None,
            mail_address,
            "Address that Iris mails from; replies go to others of its domain, reply+…@",
        ),
        Setting(
            "IRIS_PUBLIC_URL",
            None,
            page,
            "Where people find this Iris, https://iris.example.org, for links in mails",
        ),
        Setting("IRIS_DATA", ".iris", Path, "Folder of the embedded database (iris up)"),
        Setting(
            "IRIS_BACKUPS",
            None,
            Path,
            "Folder of backups: iris backup --keep writes there, iris doctor looks how old they are",
        ),
    )
}


def get(name):
    """Read one setting.

    Returns:  its value, its default, or None where it has neither.
    Raises:   Wrong.
    Source:   the environment; a secret also from the file that NAME_FILE names.
    """
    setting = ALL[name]
    text = os.environ.get(name, "")
    path = os.environ.get(f"{name}_FILE", "") if setting.secret else ""
    if text and path:
        raise Wrong(name, f"and {name}_FILE are both set: one is enough")
    if path:
        try:
            text = Path(path).read_text().strip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise Wrong(f"{name}_FILE", f"can't be read: {error}") from None
    text = text or setting.default
    if text is None:
        return None
    try:
        return setting.read(text)
    except ValueError as error:
        # A secret's value stays out of logs.
        raise Wrong(name, str(error) + ("" if setting.secret else f", not {text!r}")) from None


def names_a_server():
    """Whether the environment says where the database is; if not, it is the embedded one."""
    return bool(get("DATABASE_URL") or get("IRIS_DB_HOST"))


def check():
    """Read every setting once, so that a bad one ends the start rather than a request.

    Raises:   Wrong.
    """
    for name, setting in ALL.items():
        get(name)
        if setting.secret and get(name) == EXAMPLE:
            raise Wrong(
                name, "is that of an older .env.example, which everybody knows: choose another"
            )
    if bool(get("IRIS_TLS_CERT")) != bool(get("IRIS_TLS_KEY")):
        raise Wrong("IRIS_TLS_CERT", "and IRIS_TLS_KEY go together: one of them is not set")
    if get("IRIS_TRACKER") and not get("IRIS_TRACKERS"):
        raise Wrong("IRIS_TRACKER", "needs IRIS_TRACKERS, the folder of the map that it is in")
    if get("IRIS_TRACKERS") and get("IRIS_READ_URL"):
        raise Wrong("IRIS_READ_URL", "is for one database, and IRIS_TRACKERS names many")
    if get("IRIS_SMTP_URL") and not get("IRIS_MAIL_FROM"):
        raise Wrong("IRIS_MAIL_FROM", "is not set: mails by IRIS_SMTP_URL come from an address")
    host, _ = get("IRIS_BIND")
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if get("IRIS_AUTH") == "none" and not loopback and get("IRIS_NETWORK") != "compose":
        raise Wrong(
            "IRIS_BIND",
            f"is {host}, where others can reach it, and IRIS_AUTH=none lets everyone do everything:"
            " listen on 127.0.0.1, or let people in by tokens, IRIS_AUTH=token (docs/team.md)",
        )
