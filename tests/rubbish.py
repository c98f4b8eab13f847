"""Requests that nobody would send who meant well, and statements for psql that are legal and odd."""

import base64
import json
import random
import re
import zlib
from urllib.parse import quote, quote_from_bytes

from wire import request

# Values -------------------------------------------------------------------------------------------

LONG = 1 << 20
TEXTS = [
    "", " ", "x", "me", "open", "closed", "alice", "a,b", "!a", "!", ",", "a\0b", "\n", "\r\n", "\t", "\x1b[31m", "\x7f", "\x85",
    "\u200b", "\u2028", "\ufeff", "\u202e\u2066abc", "e\u0301" * 50, "a" + "\u0301" * 200, "\U0001f1e9\U0001f1ea" * 30, "👩‍👩‍👧‍👦" * 9,
    "漢字" * 150, "ﷺ" * 100, "ǅ", "ß", "İ", "\ufffe", "\uffff", "\U0010ffff", "'", '"', "\\", "''; DROP TABLE tickets; --", "%", "%s",
    "%(ticket_id)s", "%%", "{}", "{0}", "{x!r}", "${x}", "$1", ":x", ":*", "a:*", "&|!()", "<->", "-", "--", "- -", "or", "or or", "-or",
    '"', '""', '"a', '-"a b"', "*", "a*", "'*", "\\*", "(((", "a" * 100, "a" * 101, "a" * 300, "a" * 301, "a " * 5000, "-a " * 31,
    "=1+1", "+1", "-1", "@x", "\\N", "\\.", "null", "true", "false", "NaN", "[]", '{"a":1}', "../..", "/etc/passwd", "<script>",
    "x to: y", 'a "quoted" one', "it's", "1e5000", "0e99999", "9" * 5000, "\ud800", "\udfff\ud800", "a" * 70_000,
]  # fmt: skip
# Fine everywhere, but not for everybody's terminal, CSV or SQL.
TAME = [
    "A ticket", "alice", "bob", "open", "on fire", "x", "café", "漢字", "e\u0301", "🇩🇪", "👩‍👩‍👧‍👦", "it's", 'a "quoted" one', "100 %", "a\\b",
    "=1+1", "-x", "a:*", "\u202eabc", "a,b", "ﷺ", "{}", "two words", "or", "a\tb", "a" * 100, "漢" * 90,
]  # fmt: skip
TIMES = [
    "now", "today", "tomorrow", "yesterday", "epoch", "infinity", "-infinity", "allballs", "2026-12-01", "2026-12-01T12:00:00Z",
    "2026-12-01T12:00:00+01:00", "2026-12-01 12:00 Europe/Berlin", "2026-12-01 12:00 GMT+0100", "0044-03-15 BC", "4713-01-01 BC",
    "4714-11-24 BC", "4714-11-23 BC", "294276-12-31", "294277-01-01", "99999-01-01", "0000-00-00", "2026-02-30", "2026-12-01T24:00",
    "2026-12-01T23:59:60Z", "2026-12-01T12:00+15:59:59", "2026-12-01T12:00+16", "J2451187", "20261201T120000", "1/2/3", "monday", "-2h",
    "7 days ago", "in 3 days", "friday 17:00", "Z", "T", "5", "1e9", "0001-01-01", "10000-01-01", "2026-12-01 12:00 Nowhere/Land",
]  # fmt: skip
NUMBERS = ["0", "1", "2", "50", "1000", "1001", "-1", "-0", "+1", "01", "1.0", "1e3", "٣", "1_000", "0x10", str(2**31), str(2**63 - 1), str(2**63), str(2**64), "9" * 30, "", " 1"]  # fmt: skip
FLAGS = ["true", "false", "True", "1", "0", "yes", ""]
COLUMNS = ["ticket_id", "title", "description", "status", "assignee", "reporter", "priority", "labels", "fields", "due", "created", "updated",
           "closed", "version"]  # fmt: skip
NAMES = [*COLUMNS, "comments", "links", "body", "author", "comment_id", "dry_run", "statuses", "transitions", "columns", "sort",
         "request", "self", "__class__", "format", "as_of", "kind", "event_id"]  # fmt: skip
KINDS = ["blocks", "duplicates", "parent", "relates", "likes", "Blocks", "%00", ""]
TYPES = ["application/json", "application/json", "application/x-www-form-urlencoded", "application/x-ndjson", "text/plain", "text/csv",
         "multipart/form-data; boundary=x", "application/json; charset=utf-16", "application/json; charset=", "Application/Json;a=b;c",
         "application/merge-patch+json", "application/", "/", ";", "", "a" * 300, "application/jsonl", "text/plain; charset=latin-1",
         "application/octet-stream"]  # fmt: skip
ACCEPTS = ["*/*", "application/json", "text/csv", "text/plain", "application/x-ndjson", "text/event-stream", "text/html,*/*;q=0.1", "q=1",
           ";", "*", "a/b;q=x", "text/csv;q=0, */*", "application/json;q=1e400", "," * 300, "text/*;q=" + "9" * 300, "é"]  # fmt: skip
HEADERS = [
    ("If-Match", ["*", '"1"', "1", 'W/"1"', '"1", "2"', '"', "", "9" * 40, "²", '"x"']),
    ("If-None-Match", ['"1"', "*", 'W/"1"', '"1", "2", "3"', '"', "9" * 30, "a" * 3000, "١"]),
    ("If-Modified-Since", ["Thu, 26 Nov 2026 12:00:00 GMT", "x"]),
    ("Idempotency-Key", ["a", "b", "c", "", " ", "x" * 200, "x" * 201, "é", "a\tb", "%s", "'"]),
    ("Iris-Actor", ["alice", "bob", "", " ", "x" * 100, "x" * 101, "José", "\x80", "a\tb", "'; --", "\u00ad", "%(x)s"]),
    ("Origin", ["http://iris", "null", "http://iris", "http://[", "http://iris:99999", "://", "http://elsewhere", "é", "//iris", "http://iris:x"]),
    ("Range", ["bytes=0-1", "bytes=-1", "lines=1-"]),
    ("Expect", ["100-continue", "100-continue", "100-Continue", "200-ok"]),
    ("Last-Event-ID", ["0", "5", "-1", "x", "", "9" * 25]),
    ("Content-Encoding", ["gzip", "deflate", "br", "identity", "x"]),
    ("Accept-Encoding", ["gzip", "gzip;q=x", "*"]),
    ("X-Forwarded-Proto", ["https"]),
    ("X-Forwarded-Host", ["evil.example", "[", "a b"]),
    ("X-HTTP-Method-Override", ["DELETE"]),
    ("Forwarded", ["for=1;host=x"]),
    ("Cookie", ["a=b", "=", '"', "a=\x80"]),
    ("Authorization", ["Basic !!!", "Bearer x", "Basic YTpi", "x"]),
    ("Upgrade", ["h2c", "websocket"]),
    ("Content-Disposition", ["x"]),
    ("Date", ["x"]),
    ("X_Under_Score", ["x"]),
    ("Access-Control-Request-Method", ["PUT", "x"]),
]  # fmt: skip
METHODS = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW", "QUERY", "PROPFIND", "get", "G", "A-B", "A" * 25]  # fmt: skip

# JSON that json.dumps would not write.
RAW_JSON = [
    '"\\u0000"', '"\\ud800"', '"\\udc00\\ud800"', "NaN", "Infinity", "-Infinity", "1e5000", "-1e5000", "1e-5000", "0e9999999999999999999",
    "0.1e1", "1" * 4301, "1" * 300 + "." + "1" * 300, "-0", "-0.0", "1E400", "01", "+1", ".5", "1.", "0x1", "'a'", "tru", "nul", "",
    '"\t"', '"\x00"', '"\\x"', '"\\u12"', '"', "[" * 40 + "]" * 40, "[" * 20_000, '{"a":' * 40 + "1" + "}" * 40, '{"a":1,"a":2}', "{,}",
    "[1,]", "{1:2}", '{"":{"":""}}', '{"__proto__":1}', "/**/1", '"' + "a" * 5000 + '"', '"' + "é" * 101 + '"', "5", "5.5", "true", "[]",
    "{}", "null", '[null]', '["a","a"]', '[[]]', "9223372036854775807", "9223372036854775808", "1.7976931348623157e308", "5e-324",
    "12345678901234567890123456789.123456789", '"2026-12-01"', '"infinity"', '"0044-03-15 BC"', '"\\u202e"', '[{"a":[{"b":[]}]}]',
]  # fmt: skip

SQL = [
    "INSERT INTO tickets (title, fields) VALUES ('big', '{\"n\": 1e5000}')",
    "INSERT INTO tickets (title, fields) VALUES ('small', '{\"n\": 1e-5000, \"m\": -0.0, \"o\": 1e308, \"p\": 12345678901234567890.1234567890}')",
    "INSERT INTO tickets (title, fields) VALUES ('deep', (repeat('[', 3000) || repeat(']', 3000))::jsonb)",
    "INSERT INTO tickets (title, fields) VALUES ('deep', (repeat('{\"a\":', 2000) || '1' || repeat('}', 2000))::jsonb)",
    "INSERT INTO tickets (title, fields) VALUES ('names', '{\"\": \"\", \"\\u202e\": [\"a\", \"b\"], \"a\\nb\": [1, {\"c\": null}]}')",
    "INSERT INTO tickets (title, labels) VALUES ('labels', ARRAY['', ',', '\"', '\\', '{}', E'\\n', 'NULL', '=1+1', U&'\\202E'])",
    "INSERT INTO tickets (title, assignee, reporter) VALUES (U&'a\\202Eb', E'x\\ny', E'\\x1b[2J')",
    "INSERT INTO tickets (title, due) VALUES ('long ago', '4713-01-01 BC'), ('not so long', '0044-03-15 BC'), ('year one', '0001-01-01')",
    "INSERT INTO tickets (title, due) VALUES ('far', '294276-12-31 23:59:59.999999'), ('ten thousand', '10000-01-01')",
    "INSERT INTO tickets (title, description) VALUES (repeat('漢', 300), repeat(U&'\\+01F1E9\\+01F1EA', 2500))",
    "INSERT INTO tickets (title, description) VALUES ('tabs', repeat(E'\\t', 20000)), ('lines', repeat(E'\\r\\n\\f\\v', 5000))",
    "INSERT INTO tickets (title, description) VALUES ('marks', 'a' || repeat(U&'\\0301', 50000)), ('quotes', repeat('\"', 100000))",
    "INSERT INTO tickets (title) VALUES ('='), ('\\N'), ('\\.'), ('\"'), (',')",
    "INSERT INTO statuses VALUES ('x to: y', 101), ('a \"quoted\" one', 102), ('it''s', 103), ('%s %(x)s {0}', 104), (E'back\\\\slash', 105), (U&'\\202E', 106)",
    "INSERT INTO transitions SELECT 'open', status FROM statuses WHERE position > 100",
    "INSERT INTO tickets (title, status) SELECT 'in ' || status, status FROM statuses WHERE position > 100",
    "UPDATE tickets SET status = 'x to: y' WHERE ticket_id = (SELECT max(ticket_id) FROM tickets WHERE status = 'open')",
    "SET iris.actor = E'who\\n\"they\" are, %s'; INSERT INTO comments (ticket_id, body) SELECT max(ticket_id), 'by somebody odd' FROM tickets; RESET iris.actor",
    "INSERT INTO comments (ticket_id, author, body) SELECT max(ticket_id), E'a\\tb\\x1b', repeat(E'漢 ', 30000) FROM tickets",
    "SET application_name = E'%s \"x\"'; UPDATE tickets SET title = title || '!' WHERE ticket_id = (SELECT min(ticket_id) FROM tickets); SET application_name = 'psql'",
    "INSERT INTO links SELECT a.ticket_id, 'relates', b.ticket_id FROM tickets AS a, tickets AS b WHERE a.ticket_id < b.ticket_id ORDER BY random() LIMIT 20 ON CONFLICT DO NOTHING",
    "UPDATE statuses SET is_open = NOT is_open WHERE status = 'x to: y'",
    "SELECT count(*) FROM events_after(0, 1000)",
]  # fmt: skip


class Some:
    """What comes next, by a seed.

    world:    a World, of which numbers of tickets and cursors come.
    """

    def __init__(self, seed, world):
        self.random = random.Random(seed)
        self.world = world
        # How much of what comes next is wilfully wrong. Anew for each request, for most of what is behind
        # the checks is only reached by what passes all of them but one.
        self.malice = 0.5

    def chance(self, part):
        return self.random.random() < part

    def wilful(self, part=1):
        return self.random.random() < part * self.malice

    def of(self, several):
        return self.random.choice(several)

    # Texts ----------------------------------------------------------------------------------------

    def text(self):
        if not self.wilful():
            return self.of(TAME)
        kind = self.random.random()
        if kind < 0.7:
            return self.of(TEXTS)
        if kind < 0.9:
            return "".join(self.of(TEXTS)[:20] for _ in range(self.random.randint(1, 6)))
        length = self.random.randint(1, 60)
        return "".join(chr(self.random.choice((self.random.randrange(128), self.random.randrange(0x3000), self.random.randrange(0x110000)))) for _ in range(length))  # fmt: skip

    def number(self):
        if not self.wilful(0.5):
            return str(self.world.number(self.random))
        return self.of(NUMBERS)

    def cursor(self):
        """Return a cursor, a real one's mangled form, or nonsense."""
        kind = self.random.random()
        if kind < 0.3 or not self.world.cursors:
            document = self.of(['["-created"]', "[]", "{}", "null", '["-created",1,2]', '["-created",null,null]', '["created","x","y"]', '["-ticket_id",1e400]',
                                '["-created","infinity","1"]', '["-created",[],{}]', '["-created","2026-01-01",true]', "[" * 2000, '["-created","\\ud800",1]',
                                '["-created","now","99999999999999999999"]', '["due","epoch","x"]', '["rank","NaN",1]', '["-created","\\u0000",1]'])  # fmt: skip
            return base64.urlsafe_b64encode(document.encode()).decode().rstrip("=")
        real = self.of(self.world.cursors)
        if kind < 0.5:
            return real
        if kind < 0.75:
            try:
                keys = json.loads(base64.urlsafe_b64decode(real + "=="))
            except ValueError:
                return real
            place = self.random.randrange(len(keys))
            keys[place] = self.of(
                [None, "", self.text()[:50], self.of(TIMES), 10**30, -1, 1.5, True, [], {}, keys[0]]
            )
            if self.chance(0.3):
                keys = keys[:place] + keys[place + 1 :]
            return base64.urlsafe_b64encode(json.dumps(keys).encode()).decode().rstrip("=")
        place = self.random.randrange(len(real))
        return real[:place] + self.of("=-_+/A !é") * self.random.randint(1, 3) + real[place + 1 :]

    def value(self, name):
        """Return text for a parameter: such as it wants, or any."""
        if self.wilful(0.3):
            return self.of(
                (
                    self.text,
                    self.number,
                    self.cursor,
                    lambda: self.of(TIMES),
                    lambda: self.of(FLAGS),
                )
            )()
        if name == "wait":
            return self.of(("0", "0", "1")) if not self.wilful() else self.of(("61", "-1", "0.5"))
        if name == "format":
            known = ("json", "ndjson", "csv", "tsv", "text", "text")
            return (
                self.of(known)
                if not self.wilful()
                else self.of(("html", "stream", "ics", "atom", "", "JSON", "csv,text"))
            )
        if name == "cursor":
            return self.cursor()
        if re.search(
            r"_before$|_after$|^as_of$|^due$|^since$|^until$|^(created|updated|closed)$", name
        ):
            return (
                self.of(TIMES)
                if self.wilful()
                else self.of(
                    ("yesterday", "tomorrow", "2026-12-01", "2026-12-01T12:00:00Z", "0044-03-15 BC")
                )
            )
        if name in ("limit", "after", "ticket_id", "tid", "linked", "width", "version"):
            return (
                self.number()
                if name != "limit" or self.wilful()
                else self.of(("1", "2", "50", "1000"))
            )
        if name in ("count", "open", "unassigned", "overdue", "dry_run", "blocked"):
            return self.of(FLAGS[: 7 if self.wilful() else 2])
        if name == "columns":
            return ",".join(
                self.random.sample(NAMES if self.wilful() else COLUMNS, self.random.randint(1, 4))
            )
        if name == "sort":
            return self.of(("", "-")) + self.of(
                (
                    *("created", "updated", "due", "priority", "ticket_id"),
                    "rank",
                    "event_id",
                    "comment_id",
                )
            )
        if name in ("status", "priority", "kind"):
            known = {
                "status": ("open", "active", "closed", "x to: y"),
                "priority": ("low", "normal", "urgent"),
                "kind": ("created", "changed", "deleted"),
            }[name]
            return self.of(("", "", "!")) + ",".join(
                self.of(known) for _ in range(self.random.randint(1, 3))
            )
        if name in ("fields", "statuses", "transitions"):
            return self.json()
        return self.text()

    def quoted(self, text):
        """Return text as a part of an address or a form, mostly decently quoted."""
        data = text.encode("utf-8", "surrogatepass")
        kind = self.random.random()
        if not self.wilful(0.2):
            return quote_from_bytes(data, safe=self.of(("", "/,:")))
        if kind < 0.5:
            return quote_from_bytes(data) + self.of(
                (
                    "%",
                    "%z",
                    "%zz",
                    "%00",
                    "%ff",
                    "%c0%80",
                    "%ed%a0%80",
                    "+",
                    "%u0041",
                    "&&",
                    "=",
                    ";",
                    "#",
                )
            )
        return re.sub(r"[\s\x00-\x20\x7f]", "", text)

    def query(self, method, known):
        """Return a query string of some parameters of a route."""
        pairs = []
        if method == "GET":
            known = [*known, *(["format"] * ("as_of" in known or "limit" in known))]
            known = [name if name != "fields" else "fields.n" for name in known]
        elif self.chance(0.8):
            return ""
        for _ in range(self.random.choice((0, 0, 1, 1, 2, 3, 6))):
            name = self.of(known) if known and not self.wilful(0.1) else self.of(NAMES)
            if self.wilful(0.03):
                name = self.text()[:50]
            pairs.append(
                self.quoted(name)
                + (
                    (self.of(("", "==")) if self.wilful(0.1) else "=")
                    + self.quoted(self.value(name))
                )
            )
        pairs = list({pair.partition("=")[0]: pair for pair in pairs}.values())
        if pairs and self.wilful(0.05):
            pairs.append(self.of(pairs))
        if self.chance(0.005):
            pairs += [f"a{n}={n}" for n in range(500)]
        return "&".join(pairs)[:8000]

    # Bodies ---------------------------------------------------------------------------------------

    def json(self, depth=0):
        """Return a JSON value as text, or what is nearly one."""
        kind = self.random.random()
        if self.wilful(0.5):
            return self.of(RAW_JSON)
        if kind < 0.6 or depth > 3:
            return json.dumps(self.text(), ensure_ascii=self.chance(0.5))
        if kind < 0.7:
            return self.number() or "0"
        if kind < 0.85:
            return (
                "[" + ",".join(self.json(depth + 1) for _ in range(self.random.randint(0, 4))) + "]"
            )
        return (
            "{"
            + ",".join(
                f"{json.dumps(self.text()[:40])}:{self.json(depth + 1)}"
                for _ in range(self.random.randint(0, 4))
            )
            + "}"
        )

    def member(self, name):
        """Return the JSON text of a value for one name: such as it wants, or any."""
        if self.wilful(0.4):
            return self.json()
        if name == "labels":
            return json.dumps([self.text() for _ in range(self.random.randint(0, 5))])
        if name in ("ticket_id", "version"):
            return self.number() or "null"
        if name == "fields" and not self.wilful():
            return json.dumps(
                {self.text(): self.of((self.text(), 1, 1.5, None, True, [1, {"a": []}]))}
            )
        if name in ("fields", "statuses", "transitions"):
            return self.json()
        if name == "dry_run":
            return self.of(("true", "false", "1"))
        if name == "priority":
            return json.dumps("huge" if self.wilful() else self.of(("low", "normal", "urgent")))
        if name == "status":
            known = (
                "open",
                "active",
                "blocked",
                "resolved",
                "closed",
                "x to: y",
                "it's",
                "nowhere",
            )
            return json.dumps(self.of(known))
        return json.dumps(self.value(name))

    def document(self, names):
        """Return a JSON object with some names that a route takes."""
        chosen = self.random.sample(names, min(len(names), self.random.randint(0, 5)))
        if self.chance(0.5):
            # A number makes a change of what could be a filing.
            chosen = [name for name in chosen if name != "ticket_id"]
        pairs = {name: self.member(name) for name in chosen}
        if "title" in names and self.chance(0.8):
            pairs["title"] = json.dumps(self.of((self.text()[:300], "A ticket")))
        if "body" in names and self.chance(0.8):
            pairs["body"] = json.dumps(self.text())
        pairs = [f"{json.dumps(name)}:{value}" for name, value in pairs.items()]
        if self.wilful(0.05):
            pairs.append(f"{json.dumps(self.text())}:{self.json()}")
        if pairs and self.wilful(0.05):
            pairs.append(pairs[0])
        return "{" + ",".join(pairs) + "}"

    def body(self, method, path, known):
        """Return (content type or None, body)."""
        if method in ("GET", "HEAD", "OPTIONS", "DELETE") and self.chance(0.95):
            return None, None
        names = [name for name in known if name != "dry_run" or self.chance(0.2)]
        names = names if names and self.chance(0.98) else list(NAMES)
        kind, many = self.random.random(), "title" in names or self.wilful()
        if 0.45 < kind < 0.6:
            chosen = self.random.sample(names, min(len(names), 3))
            pairs = (f"{self.quoted(name)}={self.quoted(self.value(name))}" for name in chosen)
            media, text = "application/x-www-form-urlencoded", "&".join(pairs)
        elif 0.6 < kind < 0.72 and many:
            rows = (
                self.json() if self.wilful(0.1) else self.document(names)
                for _ in range(self.of((0, 1, 2, 5, 40)))
            )
            media, text = "application/json", "[" + ",".join(rows) + "]"
        elif 0.72 < kind < 0.82 and many:
            rows = (self.document(names) for _ in range(self.random.randint(0, 5)))
            media, text = "application/x-ndjson", self.of(("\n", "\r\n", "\n\n")).join(rows)
        elif 0.82 < kind < 0.9 and self.wilful():
            media, text = self.of(TYPES), self.of((self.document(names), self.json(), self.text()))
        elif 0.9 < kind < 0.95 and self.wilful():
            media, text = "text/plain", self.of((self.text() + "\n" + self.text(), self.text()))
        elif kind > 0.95 and self.wilful():
            return self.of(TYPES), self.random.randbytes(self.random.randint(0, 200))
        else:
            media, text = "application/json", self.document(names)
        data = text.encode("utf-8", "surrogatepass")
        if self.wilful(0.08):
            data = self.mangled(data)
        if self.chance(0.001):
            data = self.large()
        return (self.of(TYPES) if self.wilful(0.05) else media), data

    def large(self):
        """Return a body as large as it may be, or a little larger."""
        return self.of((
            lambda: b'{"title":"x","description":"' + b"x" * (LONG - 30) + b'"}',
            lambda: b'{"title":"x","fields":{' + b",".join(b'"%d":%d' % (n, n) for n in range(60_000)) + b"}}",
            lambda: b"[" + b"[" * (LONG - 2),
            lambda: b"[" + b"1," * (LONG // 2 - 1) + b"1]",
            lambda: b'{"' + b"a" * (LONG - 10) + b'":1}',
            lambda: b"title=" + b"%41" * (LONG // 3 - 3),
            lambda: b"&" * LONG,
            lambda: b'[' + b",".join(b'{"title":"many"}' for _ in range(3000)) + b"]",
            lambda: b'[' + b",".join([b"{}"] * 50_000) + b"]",
            lambda: b"\n".join([b'{"title":5}'] * 20_000),
            lambda: b'{"title":"x","description":"' + "漢".encode() * 100_000 + b'"}',
            lambda: b" " * LONG + b"{}",
            lambda: b'{"title":"' + b"\\u0041" * 100_000 + b'"}',
            lambda: b'{"title":"x","labels":[' + b",".join([b'"a"'] * 200_000) + b"]}",
        ))()  # fmt: skip

    def mangled(self, data):
        """Return bytes with something wrong."""
        place = self.random.randrange(len(data) + 1)
        return self.of((
            lambda: data[:place],
            lambda: data[:place] + self.random.randbytes(3) + data[place:],
            lambda: b"\xef\xbb\xbf" + data,
            lambda: data.decode("utf-8", "replace").encode("utf-16"),
            lambda: data + data,
            lambda: data + b"\0",
            lambda: zlib.compress(data),
            lambda: b"\r\n" + data,
        ))()  # fmt: skip

    # Requests -------------------------------------------------------------------------------------

    def path(self, template):
        """Return an address of a route, its numbers mostly of what is there."""
        path = re.sub(
            r"\{kind\}", lambda _: quote(self.of(KINDS if self.wilful() else KINDS[:4])), template
        )
        path = re.sub(r"\{\w+\}", lambda _: quote(self.number(), safe=""), path)
        if self.wilful(0.06):
            path = self.of((
                path + "/", path + "//", "/" + path, path + "/x", path + "%00", path + "%2F", path + "/..", path.upper(), path + ";a=b", "/v1" + path,
                "//x" + path, "http://iris" + path, "http://evil.example" + path, "*", "/", "/" + quote(self.text()[:200].encode("utf-8", "replace")), "/%ff%fe",
                "/tickets/" + "9" * 400, path.replace("/", "/./"), path.replace("t", "%74"), "/" + "a/" * 500,
            ))  # fmt: skip
        return path

    def headers(self, method):
        """Yield lines of headers."""
        if self.chance(0.3 if method == "GET" else 0.05):
            yield "Accept: " + self.of(ACCEPTS[: 20 if self.wilful() else 5])
        for _ in range(self.random.choice((0, 0, 0, 1, 1, 2, 4))):
            name, values = self.of(HEADERS)
            values = values if self.wilful() else values[:2]
            if name == "If-None-Match" and self.chance(0.5):
                values = [f'"{self.random.randint(1, 9)}"']
            yield f"{name}: {self.of(values)}"

    def authorization(self):
        """Yield the header by which somebody comes in where tokens are wanted, or would not."""
        if not self.world.tokens:
            return
        token = self.of(self.world.tokens)
        if self.wilful(0.05):
            yield self.of(("", "Authorization: ", "Authorization: Bearer ")) + self.of(
                (token[:-1], token.upper(), f"{token},{token}", "x" * 5000, "iris_\xff", "\t")
            )
        elif self.chance(0.9):
            yield f"Authorization: Bearer {token}"
        else:
            said = base64.b64encode(f"{self.of(TAME)}:{token}".encode()).decode()
            yield f"Authorization: Basic {said}"

    def request(self, marker):
        """Return (method, bytes of a request, whether it is decently framed)."""
        self.malice = self.of((0, 0.03, 0.1, 0.3, 0.8))
        method, template = self.of(self.world.routes) if self.chance(0.85) else ("PUT", "/tickets")
        known = self.world.known.get((method, template), ())
        path = self.path(template)
        if self.wilful(0.1):
            method = self.of(METHODS)
        query = self.query(method, known)
        media, body = self.body(method, path, known)
        lines = (*self.authorization(), *self.headers(method))
        headers = [line.encode("utf-8", "replace") for line in lines if ":" in line]
        if media is not None and not self.wilful(0.1):
            headers.append(f"Content-Type: {media}")
        target = path + ("?" + query if query or self.chance(0.01) else "")
        target = target.encode("utf-8", "surrogatepass").decode("latin-1")
        if body and self.chance(0.1):
            size = self.random.randint(1, len(body))
            pieces = [
                body[at : at + size] for at in range(0, len(body), max(size, len(body) // 50, 1))
            ]
            pieces = [body] if b"".join(pieces) != body else pieces
            chunks = (
                b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
            )
            headers.append("Transfer-Encoding: chunked")
            data = request(method, target, marker, *headers) + chunks
        else:
            data = request(method, target, marker, *headers, body=body)
        if self.wilful(0.06):
            return method, self.garbled(data), False
        return method, data, target.isascii()

    def garbled(self, data):
        """Return a request whose framing is not to be trusted."""
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        extra = self.of((
            b"Content-Length: 7", b"Content-Length: -1", b"Content-Length: x", b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"A" * 9000 + b": b",
            b"no colon", b": no name", b"A: \0", b" folded", b"Host: other", b"A : b", b"A: " + b"x" * 70_000, b"\xff: \xff", b"Connection: close, \0",
        ))  # fmt: skip
        place = self.random.randint(1, len(lines))
        return self.of((
            lambda: b"\r\n".join([*lines[:place], extra, *lines[place:]]) + b"\r\n\r\n" + body,
            lambda: b"\n".join(lines) + b"\n\n" + body,
            lambda: head.replace(b"HTTP/1.1", self.of((b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/1.2", b"http/1.1", b"XTTP/1.1", b""))) + b"\r\n\r\n" + body,
            lambda: data[: self.random.randrange(len(data))],
            lambda: self.random.randbytes(self.random.randint(1, 300)) + b"\r\n\r\n",
            lambda: head + b"\r\n\r\n" + body + self.random.randbytes(20),
            lambda: head.replace(b"Content-Length: ", b"Content-Length: " + self.of((b"1", b"0", b"+", b"0x", b"1e"))) + b"\r\n\r\n" + body,
        ))()  # fmt: skip
