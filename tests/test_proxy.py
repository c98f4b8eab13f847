"""Behind a real nginx, with what docs/running.md says and with nginx's own defaults."""

import gzip
import http.client
import json
import re
import shutil
import subprocess
import threading
import time
from urllib.parse import urljoin, urlsplit

import pytest
from browsing import ACCEPT
from conftest import RESET, ROOT, Live, free_port, seeds

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
pytestmark = pytest.mark.skipif(NGINX is None, reason="needs nginx: apt-get install nginx-light")

CONF = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ }}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    proxy_cache_path {folder}/kept keys_zone=kept:1m;
    gzip on; gzip_types application/json; gzip_proxied any;
    server {{
        listen 127.0.0.1:{port};
        {told}
        location /bare/ {{ proxy_pass http://127.0.0.1:{iris}/; }}
        location /kept/ {{
            proxy_pass http://127.0.0.1:{iris}/; proxy_cache kept; proxy_cache_valid 200 1m;
            add_header X-Cache $upstream_cache_status;
        }}
    }}
}}
"""


@pytest.fixture(scope="module")
def live(server, owner):
    """Return a service whose feed nobody resets between two tests."""
    made = Live(server.url())
    yield made
    made.stop()
    with owner.cursor() as cursor:
        cursor.execute(RESET + seeds() + "SET session_replication_role = origin;")


@pytest.fixture(scope="module")
def port(live, tmp_path_factory):
    """Return the port of an nginx that has Iris under /iris/, as told, and under /bare/."""
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    text = (ROOT / "docs" / "running.md").read_text()
    told = re.search(r"^    location /iris/ \{.*?^    \}$", text, re.MULTILINE | re.DOTALL)[0]
    told = told.replace("127.0.0.1:8000", f"127.0.0.1:{live.port}")
    conf = folder / "nginx.conf"
    conf.write_text(CONF.format(folder=folder, port=port, iris=live.port, told=told))
    nginx = subprocess.Popen([NGINX, "-e", folder / "error.log", "-c", conf])
    deadline = time.monotonic() + 30
    while True:
        try:
            ask(port, "GET", "/iris/health")
            break
        except OSError:
            assert nginx.poll() is None, (folder / "error.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
    yield port
    nginx.terminate()
    nginx.wait()


def ask(port, method, path, given=None, **headers):
    """Send a request; return (status, headers, body)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body = None if given is None else json.dumps(given)
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, {"Content-Type": "application/json", **headers})
    answer = connection.getresponse()
    found = answer.status, answer.headers, answer.read()
    connection.close()
    return found


@pytest.fixture(params=["/iris", "/bare"])
def prefix(request):
    return request.param


def last(port):
    """Return the feed's last position."""
    events = json.loads(ask(port, "GET", "/iris/events?after=0&limit=1000")[2])
    return events[-1]["position"] if events else 0


def test_addresses_lead_back_under_the_prefix(port, prefix):
    base = f"http://127.0.0.1:{port}"
    for title in ("first", "second"):
        given = {"title": title, "assignee": prefix}
        status, headers, _ = ask(port, "PUT", f"{prefix}/tickets", given)
        assert status == 201
        there = urljoin(f"{base}{prefix}/tickets", headers["Location"])
        status, _, body = ask(port, "GET", urlsplit(there).path)
        assert (status, json.loads(body)["title"]) == (200, title)
    path, seen = f"{prefix}/tickets?limit=1&assignee={prefix}", []
    while path:
        status, headers, body = ask(port, "GET", path)
        assert status == 200
        seen += [ticket["title"] for ticket in json.loads(body)]
        link = re.match(r'<(.*)>; rel="next"', headers.get("Link", ""))
        path = link and urljoin(base + path, link[1]).removeprefix(base)
    assert seen == ["second", "first"]


def test_what_nginx_packs_can_be_asked_for_by_its_tag(port, prefix):
    given = {"title": "x", "description": "long " * 1000}
    number = json.loads(ask(port, "PUT", f"{prefix}/tickets", given)[2])["ticket_id"]
    path = f"{prefix}/tickets/{number}"
    _, headers, body = ask(port, "GET", path, Accept_Encoding="gzip")
    assert headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(body))["title"] == "x"
    # nginx makes it a weak one, for the bytes are others.
    tag = headers["ETag"]
    assert tag == 'W/"1"'
    assert ask(port, "GET", path, If_None_Match=tag)[0] == 304
    assert ask(port, "PUT", path, {"title": "y"}, If_Match=tag)[0] == 200
    assert ask(port, "PUT", path, {"title": "z"}, If_Match=tag)[0] == 412


def test_an_event_stream_is_not_held_back(port, prefix):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(
        "GET", f"{prefix}/events?after={last(port)}", headers={"Accept": "text/event-stream"}
    )
    stream = connection.getresponse()
    assert stream.headers["Content-Type"].startswith("text/event-stream")
    for title in ("one", "two"):
        ask(port, "PUT", f"{prefix}/tickets", {"title": title})
        # What nginx gathers first never comes: the time limit is ten seconds.
        while not (line := stream.readline()).startswith(b"data: "):
            pass
        assert json.loads(line[6:])["changes"]["title"] == [None, title]
    connection.close()


def test_a_long_poll_is_answered_when_something_happens(port, prefix):
    position = last(port)
    timer = threading.Timer(1, ask, (port, "PUT", f"{prefix}/tickets", {"title": "late"}))
    timer.start()
    status, headers, body = ask(port, "GET", f"{prefix}/events?after={position}&wait=30")
    timer.join()
    (event,) = json.loads(body)
    assert (status, event["changes"]["title"]) == (200, [None, "late"])
    assert f"after={event['position']}" in headers["Link"]


def test_many_at_once_fit(port):
    rows = [{"title": "x", "description": "long " * 1000} for _ in range(500)]
    status, _, body = ask(port, "PUT", "/iris/tickets", rows)
    assert status in (200, 201), body[:200]


def test_a_cache_in_between_keeps_nothing_apart_for_who_asked(port):
    """Told to keep what it may for a minute: who asks gets what is now, curl no page, a browser no JSON."""
    kinds = {"*/*": "application/json", ACCEPT: "text/html; charset=utf-8"}
    number = json.loads(ask(port, "PUT", "/kept/tickets", {"title": "first"})[2])["ticket_id"]
    path, tags = f"/kept/tickets/{number}", {}
    for title in ("second", "third"):
        ask(port, "PUT", path, {"title": title})
        # Nobody has what is now.
        for accept, tag in tags.items():
            assert ask(port, "GET", path, Accept=accept, If_None_Match=tag)[0] == 200
        for accept in (*kinds, *kinds):
            status, headers, body = ask(port, "GET", path, Accept=accept)
            assert (status, headers["Content-Type"]) == (200, kinds[accept])
            assert (headers["Vary"], headers["X-Cache"]) == ("Accept", "MISS")
            assert title in body.decode()
            tags[accept] = headers["ETag"]
        # Who has it is told so, by an nginx that keeps nothing; what is another's tag is none of theirs.
        for accept, other in zip(kinds, reversed(kinds), strict=True):
            bare = f"/bare/tickets/{number}"
            assert ask(port, "GET", bare, Accept=accept, If_None_Match=tags[accept])[0] == 304
            assert ask(port, "GET", bare, Accept=accept, If_None_Match=tags[other])[0] == 200
    # What never changes is kept, or this would say nothing of the cache.
    asset = re.search(r'href="[^"]*(assets/[^"]+\.css)"', body.decode())[1]
    kept = [ask(port, "GET", f"/kept/{asset}")[1]["X-Cache"] for _ in range(2)]
    assert kept == ["MISS", "HIT"]
