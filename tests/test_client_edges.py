"""The `iris` command where things are not as usual: other terminals, editors, files, addresses, answers."""

import contextlib
import fcntl
import json
import os
import pty
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading

import pytest
from conftest import ALICE, read_all
from test_edges import Tls

from iris.client import place

# The terminal ---------------------------------------------------------------------------------------


def on_a_terminal(iris, *words, columns=80, lines=24, given=b"", **environment):
    """Run a command on a terminal; return what it shows."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    given_ = {**iris.environment, "TERM": "xterm", **environment}
    running = subprocess.Popen(
        [sys.executable, "-m", "iris.cli", *words],
        stdin=side, stdout=side, stderr=side, cwd=iris.home, env=given_, start_new_session=True,
    )  # fmt: skip
    os.close(side)
    os.write(main, given)
    shown = b""
    with contextlib.suppress(OSError):
        while piece := os.read(main, 65536):
            shown += piece
    os.close(main)
    running.wait(timeout=30)
    return shown.decode().replace("\r\n", "\n")


def test_it_is_as_wide_as_the_terminal_and_in_colours_there_only(iris, ticket):
    ticket("Printer on fire " * 15, priority="urgent")
    for columns in (60, 80):
        shown = on_a_terminal(iris, "ls", columns=columns)
        assert "\x1b[31m" in shown
        assert (
            on_a_terminal(iris, "ls", columns=columns, NO_COLOR="1").splitlines()[1].endswith("…")
        )
        plain = on_a_terminal(iris, "ls", "--color=never", columns=columns).splitlines()
        assert max(map(len, plain)) == columns
    assert "\x1b" not in on_a_terminal(iris, "ls", TERM="dumb")
    assert "\x1b" not in iris("ls").out
    assert "\x1b[31m" in iris("ls", "--color", "always").out
    assert "\x1b" not in on_a_terminal(iris, "ls", "--json")
    assert "source" in on_a_terminal(iris, "log", columns=120)
    assert "source" not in on_a_terminal(iris, "log", columns=80)
    # To a program, all of a title is told; unless somebody says how wide it is.
    assert ("Printer on fire " * 15).strip() in iris("ls").out
    assert max(map(len, iris("ls", COLUMNS="60").out.splitlines())) <= 60
    assert max(map(len, iris("ls", "width=50").out.splitlines())) <= 50


def test_what_is_long_goes_by_a_pager(iris, http):
    http.put("/tickets", raw=json.dumps([{"title": f"t{number}"} for number in range(30)]), headers={"Content-Type": "application/json"})  # fmt: skip
    paged = on_a_terminal(iris, "ls", PAGER="sed s/^/PAGED/")
    assert paged.count("PAGED") == 31
    assert "PAGED" not in on_a_terminal(iris, "ls", "limit=5", PAGER="sed s/^/PAGED/")
    for none in ("cat", "", "no-such-pager 2> /dev/null"):
        assert on_a_terminal(iris, "ls", PAGER=none).count("open") == 30
    # Whoever has seen enough ends it.
    assert "Traceback" not in on_a_terminal(iris, "ls", PAGER="head -1")
    assert iris("ls", PAGER="sed s/^/PAGED/").out.count("PAGED") == 0


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_terminal_of_few_letters_shows_what_it_can(iris, ticket, encoding):
    ticket("Drücker 火 😀")
    running = iris.start("ls", PYTHONIOENCODING=encoding)
    out, err = running.communicate()
    assert (running.returncode, err) == (0, b"")
    assert "Drücker 火 😀".encode(encoding, "replace") in out


def test_no_bytes_that_are_no_text(iris):
    done = iris("ls", os.fsdecode(b"q=\xff"))
    assert (done.status, "is no UTF-8" in done.err) == (2, True)
    done = iris("new", "title=\udcff")
    assert (done.status, "is no UTF-8" in done.err) == (2, True)


def test_whoever_reads_may_have_seen_enough(iris, ticket):
    ticket()
    command = f"'{sys.executable}' -m iris.cli ls format=csv | true"
    done = subprocess.run(
        command, shell=True, env=iris.environment, capture_output=True, check=True
    )
    assert done.stderr == b""


# Editors ----------------------------------------------------------------------------------------------


def editor(iris, script):
    path = iris.home / "editor"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return f"'{path}' --wait"


def kept(done):
    """Return what is in the file that a refusal names."""
    name = done.err.split("your text is in ")[1].split(";")[0]
    assert os.stat(name).st_mode & 0o077 == 0
    with open(name) as file:
        text = file.read()
    os.unlink(name)
    return text


def test_long_texts_are_written_in_an_editor(iris, http):
    write = editor(iris, "printf 'Printer on fire\\n\\nIt smells\\n\\nof smoke\\n' > \"$2\"")
    assert iris("new", "priority=high", EDITOR=write, VISUAL=None).out == "ticket 1 filed\n"
    made = http.get("/tickets/1").json
    assert (made["title"], made["description"], made["priority"]) == ("Printer on fire", "It smells\n\nof smoke", "high")  # fmt: skip
    add = editor(iris, "echo 'and more' >> \"$2\"")
    assert iris("set", "1", "-e", "due=tomorrow", VISUAL=add, EDITOR="false").status == 0
    made = http.get("/tickets/1").json
    assert made["description"] == "It smells\n\nof smoke\nand more"
    assert (made["title"], made["due"] is not None) == ("Printer on fire", True)
    assert iris("comment", "1", EDITOR=add).status == 0
    assert http.get("/tickets/1").json["comments"][0]["body"].strip() == "and more"
    assert not list(iris.home.glob("iris-*"))


def test_a_file_is_the_text_or_with_a_title_the_description(iris, http):
    (iris.home / "note").write_text("first\n\nsecond\n")
    iris("new", "-F", "note")
    iris("new", "-F", "note", "A", "title", "priority=low")
    iris("new", "-F", "-", "title=A title", given="from stdin")
    found = [(row["title"], row["description"]) for row in http.get("/tickets?sort=ticket_id").json]
    assert found == [("first", "second"), ("A title", "first\n\nsecond"), ("A title", "from stdin")]
    for words in (
        ("new", "x", "title=y"),
        ("new", "title=a\nb", "-F", "note"),
        ("comment", "1", "x", "-F", "note"),
    ):
        assert iris(*words).status == 2, words


def test_what_was_written_is_not_lost(iris, ticket, http):
    ticket()
    temporary = {"TMPDIR": str(iris.home)}
    write = editor(iris, 'echo long text >> "$2"')
    refused = iris("new", "priority=nope", EDITOR=write, **temporary)
    assert (refused.status, kept(refused)) == (1, "long text\n")
    gone = iris("comment", "9", EDITOR=write, **temporary)
    assert (gone.status, kept(gone)) == (3, "long text\n")
    away = iris("comment", "1", EDITOR=write, IRIS_URL="http://127.0.0.1:1", **temporary)
    assert (away.status, kept(away)) == (4, "long text\n")
    piped = iris("comment", "9", "-F", "-", given="from stdin", **temporary)
    assert (piped.status, kept(piped)) == (3, "from stdin")
    failed = iris("comment", "1", EDITOR=editor(iris, 'echo half > "$2"; exit 3'), **temporary)
    assert (failed.status, kept(failed)) == (1, "half\n")
    # Somebody else was faster.
    port = iris.environment["IRIS_URL"]
    faster = editor(
        iris, f'echo mine >> "$2"; curl -sSf -X PUT -d priority=high {port}/tickets/1 > /dev/null'
    )
    late = iris("set", "1", "-e", EDITOR=faster, **temporary)
    assert (late.status, "at version 2 by now" in late.err) == (1, True), late.err
    assert kept(late) == "Printer on fire\nmine\n"
    file = iris.home / "note"
    file.write_text("x" * 100_001)
    named = iris("comment", "1", "-F", "note", **temporary)
    assert (named.status, "your text is in note;" in named.err) == (1, True)
    assert not list(iris.home.glob("iris-*"))


@pytest.mark.parametrize(
    ("script", "given", "said"),
    [
        ("true", {}, "nothing was sent"),
        ('rm "$2"', {}, "nothing was sent"),
        (None, {"EDITOR": None, "VISUAL": None}, "no terminal to write at"),
    ],
)
def test_nothing_written_is_nothing_sent(iris, sql, script, given, said):
    given = given or {"EDITOR": editor(iris, script)}
    for words in (("new",), ("new", "A title", "-e")):
        done = iris(*words, **given)
        assert done.status in (1, 2)
        assert said in done.err
    assert sql("SELECT * FROM tickets") == []


@pytest.mark.parametrize("data", [b"", b" \n", b"\xff"])
def test_a_file_that_says_nothing_is_refused(iris, ticket, data):
    ticket()
    (iris.home / "note").write_bytes(data)
    assert iris("comment", "1", "-F", "note").status == 2
    assert iris("comment", "1", "-F", "none").status == 2
    assert iris("comment", "1", "-F", str(iris.home)).status == 2


# Where and who -----------------------------------------------------------------------------------------


def written(path, text, mode=0o600):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def test_settings_are_kept_in_files(iris, http):
    users, folders = iris.home / ".config/iris/config", iris.home / ".irisrc"
    url = iris.environment["IRIS_URL"]
    iris.environment["IRIS_URL"] = ""
    assert iris("ls").status == 4
    written(users, f"# mine\n\nexport IRIS_URL='{url}/'\nIRIS_ACTOR = bob\n")
    iris("new", "one")
    written(folders, "IRIS_ACTOR=charlie\n")
    below = iris.home / "deep" / "er"
    below.mkdir(parents=True)
    subprocess.run(
        [sys.executable, "-m", "iris.cli", "new", "two"],
        cwd=below,
        env=iris.environment,
        check=True,
    )
    iris("new", "three", IRIS_ACTOR="dora")
    rows = http.get("/tickets?sort=ticket_id").json
    assert [row["reporter"] for row in rows] == ["bob", "charlie", "dora"]
    written(users, "", 0o640)
    done = iris("ls")
    assert (done.status, done.out) == (2, "")
    assert f"hint: chmod 600 {users}" in done.err
    for text in ("IRIS_NOPE=1", "http://x", "\xff"):
        written(users, text)
        assert iris("ls").status == 2
    written(users, f"IRIS_URL={url}")
    folders.unlink()
    assert iris("ls", XDG_CONFIG_HOME=str(iris.home / "elsewhere")).status == 4
    assert iris("ls", HOME="/nonexistent").status == 4


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:8000", "ftp://x", "http://", "http://iris_secret@x", "http://x:0", "http://x:y", "http://x/?a=b", "http://a b", "http://x\n"],
)  # fmt: skip
def test_an_address_that_is_none_is_refused_and_not_repeated(iris, url):
    done = iris("ls", IRIS_URL=url)
    assert (done.status, "must be like" in done.err) == (2, True)
    assert "iris_secret" not in done.err


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("http://[::1]:8000", (False, "::1", 8000, "")),
        ("https://[::1]/a/b/", (True, "::1", 443, "/a/b")),
        ("http://iris.example.org", (False, "iris.example.org", 80, "")),
    ],
)
def test_addresses_are_of_any_kind(url, parts):
    assert place._parts(url) == parts


class Listener:
    """Something that listens, hears one request and says what it was told to; no Iris."""

    def __init__(self, answer):
        self.answer, self.heard = answer, []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                self.heard.append(connection.recv(65536).decode())
                connection.sendall(self.answer)
                connection.close()


@pytest.fixture
def listener():
    made = []

    def listen(answer):
        made.append(Listener(answer))
        return made[-1]

    yield listen
    for each in made:
        each.socket.close()


HTML = b"Content-Type: text/html\r\nContent-Length: 2\r\n\r\nhi"
TEXT = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (b"HTTP/1.1 200 OK\r\n" + HTML, 4, "is no Iris (HTTP 200)"),
        (b"HTTP/1.1 502 Bad Gateway\r\n" + HTML, 4, "is no Iris (HTTP 502)"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://evil.example/\x1b[2J\r\n\r\n", 4, "leads on to http://evil.example/"),
        (b"SSH-2.0-OpenSSH\r\n", 4, "speaks no HTTP"),
        (b"", 4, "broke off: no answer came"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", 4, "the answer is cut short"),
        (TEXT + b"Content-Length: 5\r\n\r\nabc", 4, "the answer is cut short"),
        (TEXT + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", 4, "the answer is cut short"),
        (TEXT + b"Transfer-Encoding: chunked\r\n\r\nx\r\n", 4, "makes no sense"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 300, 4, "says too much"),
        (TEXT + b"A: " + b"x" * 70000, 4, "the answer is cut short"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + TEXT + b"Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n", 0, ""),
        (TEXT + b"\r\nuntil its end", 0, ""),
    ],
)  # fmt: skip
def test_what_answers_may_be_anything(iris, listener, answer, status, said):
    done = iris("ls", IRIS_URL=listener(answer).url)
    assert (done.status, said in done.err) == (status, True), done.err
    assert "\x1b" not in done.err
    assert "Traceback" not in done.err
    assert bool(done.out) == (status == 0)


def test_what_is_shown_obeys_nobody(iris, listener):
    evil = "\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b[2J\u202e\n".encode()
    there = listener(TEXT + b"\r\n" + evil)
    shown = iris("ls", IRIS_URL=there.url).out
    assert shown == "\x1b[31mred\x1b[0m \ufffd]0;title\ufffd\ufffd[2J\ufffd\n"


def test_a_token_goes_where_it_was_meant_to_go_and_nowhere_else(iris, listener):
    there = listener(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n")
    iris("ls", IRIS_URL=f"{there.url}/of/iris/", IRIS_TOKEN="iris_mine")
    assert there.heard[-1].startswith("GET /of/iris/tickets?format=text")
    assert "\r\nAuthorization: Bearer iris_mine\r\n" in there.heard[-1]
    assert "Iris-Actor" not in there.heard[-1]
    written(iris.home / ".config/iris/config", f"IRIS_URL={there.url}\nIRIS_TOKEN=iris_mine\n")
    iris("ls", IRIS_URL=None)
    assert "iris_mine" in there.heard[-1]
    # A folder that came from somewhere says another address.
    folder = iris.home / ".irisrc"
    written(folder, f"IRIS_URL={there.url}\n")
    iris("ls", IRIS_URL=None)
    assert "iris_mine" not in there.heard[-1]
    heard = len(there.heard)
    done = iris("ls", IRIS_URL=None, IRIS_TOKEN="iris_mine")
    assert (done.status, len(there.heard)) == (2, heard)
    assert "iris_mine" not in done.err
    iris("ls", IRIS_URL=there.url)
    assert "iris_mine" not in there.heard[-1]
    written(iris.home / "secret", "iris_mine\n")
    iris("ls", IRIS_URL=there.url, IRIS_TOKEN_FILE="secret")
    assert "Bearer iris_mine\r\n" in there.heard[-1]
    assert iris("ls", IRIS_URL=there.url, IRIS_TOKEN_FILE="none").status == 2


def test_by_tls_with_an_authority_of_ones_own_and_a_token(iris, server, certificate, sql):
    token = sql.one("SELECT add_token('rita', 'reader') ->> 'token' AS it")["it"]
    live = Tls(server.url(), certificate, IRIS_AUTH="token")
    try:
        iris.environment["IRIS_URL"] = f"https://localhost:{live.port}"
        done = iris("ls")
        assert (done.status, "is not to be trusted" in done.err) == (4, True), done.err
        iris.environment["IRIS_CA"] = str(certificate[0])
        done = iris("ls")
        assert (done.status, "wants to know who you are" in done.err) == (1, True)
        # What is said is for who types iris, not for who types curl.
        assert done.err.count("hint: ") == done.err.count("hint: IRIS_TOKEN says it") == 1
        assert "iris token add NAME" in done.err and "-H" not in done.err
        iris.environment["IRIS_TOKEN"] = token
        assert iris("ls", "mine").out.startswith("ticket_id")
        done = iris("new", "x")
        assert (done.status, "The role writer may" in done.err) == (1, True)
        assert token not in done.err
        assert iris("ls", IRIS_CA="/nonexistent").status == 4
        assert iris("ls", IRIS_URL=f"http://127.0.0.1:{live.port}").status == 4
    finally:
        live.stop()
    with socket.create_server(("127.0.0.1", 0)) as plain:
        threading.Thread(
            target=lambda: plain.accept()[0].sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        ).start()
        done = iris("ls", IRIS_URL=f"https://127.0.0.1:{plain.getsockname()[1]}")
    # In words, and not where in OpenSSL it was found.
    assert (done.status, done.err.endswith("speaks no TLS: wrong version number\n")) == (4, True), (
        done.err
    )
    assert iris("ls", IRIS_URL=f"https://127.0.0.1:{live.port}").status == 4


def test_ctrl_c_ends_it_without_a_word(iris):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        running = iris.start("ls", IRIS_URL=f"http://127.0.0.1:{silent.getsockname()[1]}")
        connection, _ = silent.accept()
        assert connection.recv(65536).startswith(b"GET /tickets?")
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=10)
        assert (running.returncode, out, err) == (130, b"", b"")
        assert read_all(connection) == b""
        connection.close()


def test_what_was_sent_twice_is_done_once(iris, live, sql):
    """The connection breaks after the request is heard, so it is sent again, with the same key."""
    with socket.create_server(("127.0.0.1", 0)) as between:

        def pass_on():
            for number in range(2):
                connection, _ = between.accept()
                with connection, live.connect() as there:
                    there.sendall(connection.recv(65536))
                    answer = read_all(there)
                    if number:
                        connection.sendall(answer)

        passing = threading.Thread(target=pass_on, daemon=True)
        passing.start()
        done = iris("new", "once", IRIS_URL=f"http://127.0.0.1:{between.getsockname()[1]}")
        passing.join(timeout=10)
    assert done.out == "ticket 1 filed\n"
    assert sql.one("SELECT count(*) AS n, min(reporter) AS who FROM tickets") == {
        "n": 1,
        "who": ALICE,
    }
