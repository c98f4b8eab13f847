"""What Prometheus is told: exact over all workers, whatever becomes of them, and in no words but Iris's own."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from urllib.parse import urlencode
from urllib.request import urlopen

import psutil
import pytest
from conftest import LATER, ROOT, Live
from prometheus_client.parser import text_string_to_metric_families
from receivers import Receiver

from iris import models

WORKERS = 2


def samples(text):
    """Return {(name, labels as a sorted tuple): value}."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scraped(service):
    status, head, body = service.send("GET", "/metrics")
    assert status == 200, body
    assert "text/plain; version=0.0.4" in head
    return samples(body.decode())


def asked(found, method="GET", route="/health", status="200"):
    """Return how many requests of a kind were counted."""
    labels = (("method", method), ("route", route), ("status", status))
    return found.get(("iris_http_requests_total", labels), 0)


def connections(service, ask):
    """Run ask(socket) on connections until each worker has had one."""
    master = psutil.Process(service.process.pid)
    wanted, seen = {each.pid for each in master.children()}, set()
    for _ in range(200):
        with service.connect() as connection:
            ask(connection)
            ours = connection.getsockname()[1]
            for pid in wanted:
                for each in psutil.Process(pid).net_connections("tcp"):
                    if each.raddr and each.raddr.port == ours:
                        seen.add(pid)
        if seen == wanted:
            return
    raise AssertionError("one worker was never asked")


@pytest.fixture(scope="module")
def service(server):
    made = Live(server.url(), IRIS_WORKERS=str(WORKERS))
    yield made
    made.stop(signal.SIGQUIT)


def send(connection, request):
    """Send a request on a kept connection; return (head, body)."""
    connection.sendall(request.encode())
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(1 << 16)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(re.search(rb"content-length: (\d+)", head, re.IGNORECASE)[1])
    while len(body) < length:
        body += connection.recv(1 << 16)
    return head, body.decode()


HEALTH = "GET /health HTTP/1.1\r\nHost: iris\r\n\r\n"
METRICS = "GET /metrics HTTP/1.1\r\nHost: iris\r\n\r\n"


def hundreds(service):
    """Send 400 requests over 20 connections at once."""

    def some():
        with service.connect() as connection:
            for _ in range(20):
                assert b" 200 " in send(connection, HEALTH)[0]

    threads = [threading.Thread(target=some) for _ in range(20)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()


def test_four_hundred_are_four_hundred_whichever_worker_tells(service):
    before = asked(scraped(service))
    hundreds(service)
    found = []
    connections(service, lambda connection: found.append(samples(send(connection, METRICS)[1])))
    assert len(found) >= WORKERS
    assert {asked(each) - before for each in found} == {400}


def test_a_worker_that_is_killed_takes_nothing_away(service):
    hundreds(service)
    before = scraped(service)
    master = psutil.Process(service.process.pid)
    old = {each.pid for each in master.children()}
    assert len(old) == WORKERS
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        children = {each.pid for each in master.children()}
        if len(children - old) == WORKERS and not children & old:
            break
        time.sleep(0.05)
    after = scraped(service)
    gauges = ("in_flight", "connections", "workers", "streams", "_up", "lag")
    for name, value in before.items():
        if not any(word in name[0] for word in gauges):
            assert after[name] >= value, name
    # A health check may have been sent while there was nobody: it was not answered, nor counted.
    assert asked(after) == asked(before)
    hundreds(service)
    now = scraped(service)
    assert asked(now) == asked(before) + 400
    assert now["iris_workers", ()] == WORKERS
    assert now["iris_http_requests_in_flight", ()] == 1


@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")
def test_no_client_invents_a_label(http):
    routes = r'(?:/[\w{}./-]*|none)"'
    for number in range(5):
        http.get(f"/invented/{number}")
        http(f"INVENT{number}", "/tickets")
        http.get(f"/tickets/{number + 1000}")
        http.get("/tickets", headers={"Accept": f"invented/{number}"})
    text = http.get("/metrics").text
    assert "nvent" not in text
    assert re.findall(r'route="(?!' + routes + ")", text) == []
    found = samples(text)
    assert asked(found, "GET", "/tickets/{ticket_id}", "404") >= 5
    assert asked(found, "other", "none", "404") >= 5


def test_each_request_is_in_its_histogram(http, ticket):
    ticket()
    http.get("/tickets?limit=oops")
    http("HEAD", "/tickets")
    found = samples(http.get("/metrics").text)
    counted = {}
    for (name, labels), value in found.items():
        if name == "iris_http_requests_total":
            key = tuple(each for each in labels if each[0] != "status")
            counted[key] = counted.get(key, 0) + value
    assert counted
    name = "iris_http_request_duration_seconds"
    for key, value in counted.items():
        assert found[f"{name}_count", key] == value
        assert found[f"{name}_bucket", tuple(sorted((*key, ("le", "+Inf"))))] == value
    assert asked(found, "PUT", "/tickets", "201") >= 1
    assert asked(found, "GET", "/tickets", "422") >= 1
    assert found["iris_database_statement_duration_seconds_count", ()] > 0
    assert found["iris_database_up", ()] == 1


def test_what_is_no_http_is_counted_too(service):
    before = asked(scraped(service), "other", "none", "400")
    service.raw(b"this is no HTTP\r\n\r\n")
    assert asked(scraped(service), "other", "none", "400") == before + 1


def test_it_tells_of_who_reads_the_feed_and_how_far_that_is(service, http, ticket):
    with service.connect() as reader:
        reader.sendall(
            b"GET /events?after=0 HTTP/1.1\r\nHost: iris\r\nAccept: text/event-stream\r\n\r\n"
        )
        came = b""
        while b"retry" not in came:
            came += reader.recv(4096)
        assert scraped(service)["iris_streams_open", (("kind", "feed"),)] == 1
    deadline = time.monotonic() + 20
    while (
        scraped(service)["iris_streams_open", (("kind", "feed"),)] and time.monotonic() < deadline
    ):
        # That nobody is there is noticed by what can't be sent; the first of it still can.
        ticket()
        time.sleep(0.1)
    assert scraped(service)["iris_streams_open", (("kind", "feed"),)] == 0


def test_an_event_that_nobody_reads_is_waited_for(http, sql, ticket):
    sql("SELECT FROM events_after(0, 1000)")
    assert samples(http.get("/metrics").text)["iris_feed_lag_seconds", ()] == 0
    ticket()
    assert 0 < samples(http.get("/metrics").text)["iris_feed_lag_seconds", ()] < 10


def test_each_try_to_tell_a_hook_is_counted_whoever_is_killed(server, http, owner):
    answers = {"/good": 204, "/bad": 500, "/gone": 410}
    receiver = Receiver(lambda number, path: (answers[path], {}, b""))
    live = Live(server.url(), IRIS_DELIVER="true", IRIS_HOOKS_INSIDE="127.0.0.1")

    def tries():
        """Return how many there were, {outcome: number}."""
        return {
            dict(labels)["outcome"]: number
            for (name, labels), number in scraped(live).items()
            if name == "iris_hooks_deliveries_total"
        }

    def until(good):
        """Wait until as many were told as heard of it, and one was told so often."""
        deadline, told = time.monotonic() + 60, None
        while time.monotonic() < deadline:
            heard = Counter(path for path, _, _ in receiver.tries)
            kinds = ("/good", "accepted"), ("/bad", "failed"), ("/gone", "disabled")
            if heard["/good"] >= good:
                told = tries()
                if all(heard[path] == told[kind] for path, kind in kinds):
                    return
            time.sleep(0.05)
        raise AssertionError((heard, told))

    try:
        assert tries() == dict.fromkeys(models.DeliveryOutcome.enums, 0)
        for path in answers:
            assert http.put("/hooks", url=receiver.url + path, kind="created").status == 201
        http.put("/tickets", title="one")
        until(1)
        (deliverer,) = (
            each
            for each in psutil.Process(live.process.pid).children()
            if each.cmdline()[-1] == "deliver"
        )
        # What it had no time to write down is told once more, and counted once more.
        deliverer.kill()
        owner.cursor().execute(LATER)
        http.put("/tickets", title="two")
        until(2)
        assert all(tries()[outcome] for outcome in ("accepted", "failed", "disabled"))
    finally:
        live.stop()
        receiver.close()


def test_it_tells_of_who_gets_mail(service, http, ticket, sql):
    for name, state in (("alice", "active"), ("bob", "disabled"), ("charlie", "active")):
        http.put(f"/people/{name}", mail=f"{name}@example.org", state=state)
    http.put("/people/charlie", digest="daily")
    http.get("/events?after=0")
    before = scraped(service)
    assert before["iris_mail_people", (("state", "active"),)] == 2
    assert before["iris_mail_people", (("state", "disabled"),)] == 1
    assert (before["iris_mail_failing", ()], before["iris_mail_lag_seconds", ()]) == (0, 0)
    ticket()
    http.get("/events?after=0")
    assert scraped(service)["iris_mail_lag_seconds", ()] > 0


# What is beside it --------------------------------------------------------------------------------


MONITORING = ROOT / "monitoring"
NAMES = r"\biris_\w+"


def named(text):
    """Return the metrics that a text names, without what a histogram or an info puts behind."""
    return set(re.findall(NAMES, text))


def test_dashboard_alerts_and_docs_name_what_there_is(http):
    http.get("/tickets")
    text = http.get("/metrics").text
    there = named(text)
    families = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    board = json.loads((MONITORING / "grafana.json").read_text())
    asked_for = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    assert len(asked_for) > 15
    assert named(" ".join(asked_for)) <= there
    assert named((MONITORING / "alerts.yml").read_text()) <= there
    told = named((ROOT / "docs" / "watching.md").read_text())
    assert told <= there | families
    assert {name.removesuffix("_total") for name in families} <= {
        name.removesuffix("_total") for name in told
    }


# What no panel draws: it says nothing by itself, or another says it better.
NOT_DRAWN = {
    "iris_start_time_seconds",
    "iris_database_connections_opened_total",
    "iris_database_pool_waits_total",
}


def test_each_metric_is_drawn_or_said_not_to_be(http):
    http.get("/tickets")
    there = named(http.get("/metrics").text)
    board = json.loads((MONITORING / "grafana.json").read_text())
    drawn = named(
        " ".join(target["expr"] for panel in board["panels"] for target in panel["targets"])
    )
    # A histogram has three names, an info and its lines two.
    families = {re.sub("_(bucket|sum|count|info)$", "", name) for name in there}
    shown = {re.sub("_(bucket|sum|count|info)$", "", name) for name in drawn}
    known = {name.removesuffix("_total") for name in shown | NOT_DRAWN}
    assert {name.removesuffix("_total") for name in families} == known
    assert not shown & NOT_DRAWN


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs Debian's prometheus")
def test_each_panel_and_alert_finds_what_it_asks_for(service, http, tmp_path):
    """By a Prometheus that scrapes an Iris under some load."""
    http.put("/hooks", url="https://ci.example.org/iris")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = (MONITORING / "prometheus.yml").read_text()
    config = config.replace("127.0.0.1:8000", f"127.0.0.1:{service.port}").replace("15s", "1s")
    (tmp_path / "prometheus.yml").write_text(config)
    shutil.copy(MONITORING / "alerts.yml", tmp_path)
    started = subprocess.Popen(
        [
            "prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data",
            f"--web.listen-address=127.0.0.1:{port}", "--log.level=error",
        ],
        cwd=tmp_path,
    )  # fmt: skip

    def ask(path, **query):
        url = f"http://127.0.0.1:{port}/api/v1/{path}?{urlencode(query)}"
        with urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def found(expression):
        return ask("query", query=expression)["result"]

    def is_scraped():
        with contextlib.suppress(OSError):
            groups = ask("rules")["groups"]
            told = found("count_over_time(iris_build_info[1m])")
            rules = [rule for group in groups for rule in group["rules"]]
            if (
                told
                and float(told[0]["value"][1]) > 4
                and all(rule["health"] == "ok" for rule in rules)
            ):
                return rules
        return []

    try:
        until = time.monotonic() + 60
        while not (rules := is_scraped()):
            for path in ("/tickets", "/tickets?q=x", "/stats", "/tickets/0"):
                service.send("GET", path)
            assert time.monotonic() < until, "nothing was scraped"
            time.sleep(0.2)
        board = json.loads((MONITORING / "grafana.json").read_text())
        for panel in board["panels"]:
            for target in panel["targets"]:
                expression = target["expr"].replace("$instance", ".*")
                assert found(expression.replace("$__rate_interval", "30s")), panel["title"]
        assert len(rules) > 8
        for rule in rules:
            # There is something to compare, whichever side of the bound it is on; nothing fails here.
            compared = re.sub(r" (?:>|==) [0-9.e+]+( and .*)?$", "", rule["query"])
            assert found(compared) or rule["name"] == "IrisFails", rule
    finally:
        started.terminate()
        started.wait()


def test_each_alert_says_what_to_look_at():
    alerts = re.findall(r"alert: (\w+)", (MONITORING / "alerts.yml").read_text())
    page = (ROOT / "docs" / "watching.md").read_text()
    assert alerts
    assert all(f"`{alert}`" in page for alert in alerts)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs Debian's prometheus")
def test_prometheus_reads_all_of_it(http):
    config = [["check", "config", MONITORING / "prometheus.yml"]]
    for command in [*config, ["check", "rules", MONITORING / "alerts.yml"]]:
        subprocess.run(["promtool", *command], check=True, capture_output=True)
    found = http.get("/metrics").text
    told = subprocess.run(
        ["promtool", "check", "metrics"], input=found, text=True, capture_output=True, check=False
    )
    assert (told.returncode, told.stdout + told.stderr) == (0, "")
