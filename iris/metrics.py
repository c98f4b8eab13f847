"""What Prometheus is told: what counters.py counts, and how far the feed is behind."""

import platform
from functools import partial
from typing import NamedTuple

import gevent
import psycopg2
from prometheus_client import CollectorRegistry, exposition
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from sqlalchemy import func, literal_column, select

from iris import __version__, counters, current, health, hooks, people, problems, untold
from iris.database import statements, writing

MEDIA = exposition.CONTENT_TYPE_PLAIN_0_0_4
# Seconds that the database has to say how far the feed is: whoever watches wants to know above all when it
# can't.
PATIENCE = 2


def _since(moment):
    """Return the seconds since a moment that a SELECT gives, 0 where it gives none."""
    return func.coalesce(func.extract("epoch", func.clock_timestamp() - moment), 0)


HOOKS, PEOPLE = hooks.TABLE, people.TABLE
# Who gets mail once a day is told when that day is over.
AT_ONCE = PEOPLE.c.digest == literal_column("'now'")
LAGS = statements.compiled(
    select(
        _since(health.waiting(1).scalar_subquery()),
        _since(untold.since(HOOKS)),
        _since(untold.since(PEOPLE, AT_ONCE)),
        untold.failing(HOOKS),
        untold.failing(PEOPLE),
        untold.states(HOOKS),
        untold.states(PEOPLE),
    )
)


class Lags(NamedTuple):
    """How far the feed is, and who is told of it.

    feed:     seconds for which the oldest event waits that the feed has not taken, 0 if none does.
    hooks:    the same of the oldest event that an active hook has not been told of.
    mail:     the same of who gets mail at once.
    hooks_failing, mail_failing: how many active ones were tried in vain.
    hooks_states, mail_states: {state: how many}.
    """

    feed: float
    hooks: float
    mail: float
    hooks_failing: int
    mail_failing: int
    hooks_states: dict
    mail_states: dict


def _lags():
    """Return the Lags, or None where the database does not say.

    Source:   one SELECT, which nobody's role is asked for: it tells of no hook which it is.
    """
    try:
        with gevent.Timeout(PATIENCE):
            found = statements.run(LAGS, {}, before=writing.AS_ITSELF, again=True)
    except (psycopg2.Error, problems.Problem, gevent.Timeout):
        return None
    # A transaction that began a moment before an event was written sees it in the future.
    return Lags(*(max(0.0, float(each)) for each in found[:3]), *found[3:])


def _counter(name, meaning, value):
    return CounterMetricFamily(name, meaning, value=value)


def _gauge(name, meaning, value):
    return GaugeMetricFamily(name, meaning, value=value)


def _by(kind, name, meaning, label, values):
    made = kind(name, meaning, labels=[label])
    for word, value in values.items():
        made.add_metric([word], value)
    return made


_counters, _gauges = partial(_by, CounterMetricFamily), partial(_by, GaugeMetricFamily)


def _buckets(histogram):
    """Return the buckets as Prometheus has them: each with all that is in the ones before."""
    found, total = [], 0
    for bound, many in zip([*counters.BUCKETS, "+Inf"], histogram.counts, strict=True):
        total += many
        found.append((str(bound), total))
    return found


def _requests(sums):
    number = CounterMetricFamily(
        "iris_http_requests", "Requests that were answered", labels=["method", "route", "status"]
    )
    took = HistogramMetricFamily(
        "iris_http_request_duration_seconds",
        "How long it took until an answer began",
        labels=["method", "route"],
    )
    for method, path, by_status, histogram in sums.requests():
        for status, many in by_status.items():
            number.add_metric([method, path, str(status or "other")], many)
        took.add_metric([method, path], _buckets(histogram), histogram.seconds)
    return number, took


class Told:
    """What is told at one scrape, as prometheus-client collects it."""

    def collect(self):
        # Of many trackers, each has a feed of its own; who watches all of them asks about none.
        lags, sums = None if current.MANY else _lags(), counters.Sums()
        yield InfoMetricFamily(
            "iris_build",
            "Which Iris this is",
            value={"version": __version__, "python": platform.python_version()},
        )
        yield _gauge("iris_start_time_seconds", "When the service began, of 1970", counters.BEGAN)
        yield _gauge("iris_workers", "Workers that serve", sums[counters.ALIVE])
        yield from _requests(sums)
        yield _gauge(
            "iris_http_requests_in_flight",
            "Requests whose answer has not begun, this one included",
            sums[counters.IN_FLIGHT],
        )
        yield _gauges(
            "iris_streams_open",
            "Readers that wait for the feed, and lists that are streamed",
            "kind",
            {"feed": sums[counters.FEEDS], "list": sums[counters.LISTS]},
        )
        yield _gauges(
            "iris_database_connections",
            "Connections of the pools of all workers",
            "state",
            {
                "used": sums[counters.USED],
                # Whoever takes one says so before they have opened it.
                "idle": max(0, sums[counters.OPEN] - sums[counters.USED]),
            },
        )
        yield _gauge("iris_database_connections_max", "As many there may be", sums[counters.MOST])
        yield _counter(
            "iris_database_connections_opened",
            "Connections that were opened for the pools",
            sums[counters.OPENED],
        )
        yield _counter(
            "iris_database_pool_waits",
            "Requests that found all connections of their pool in use",
            sums[counters.WAITS],
        )
        yield _counter(
            "iris_database_pool_wait_seconds",
            "How long they waited for one",
            sums[counters.WAITED] / 1e9,
        )
        yield _counters(
            "iris_database_heavy_reads",
            "Heavy reads, by where they were done, if there is a choice (IRIS_READ_URL)",
            "server",
            {"standby": sums[counters.ON_STANDBY], "primary": sums[counters.ON_PRIMARY]},
        )
        yield _counter(
            "iris_database_standby_waits",
            "Heavy reads for which no standby had come far enough at once",
            sums[counters.CAME_LATER],
        )
        yield _counter(
            "iris_database_standby_wait_seconds",
            "How long they waited for one",
            sums[counters.WAITED_FOR] / 1e9,
        )
        yield _counter(
            "iris_database_standbys_given_up",
            "Heavy reads that waited in vain, or failed on a standby, and were done on the primary",
            sums[counters.GIVEN_UP],
        )
        statements_ = sums.statements()
        took = HistogramMetricFamily(
            "iris_database_statement_duration_seconds",
            "How long statements took, refused ones included",
        )
        took.add_metric([], _buckets(statements_), statements_.seconds)
        yield took
        if current.MANY:
            return
        yield _counters(
            "iris_hooks_deliveries",
            "What came of tries to tell hooks, of the deliverer that runs beside this service",
            "outcome",
            counters.tries(),
        )
        yield _gauge(
            "iris_database_up", "Whether the database answered this scrape", int(lags is not None)
        )
        if lags is not None:
            yield _gauge(
                "iris_feed_lag_seconds",
                "How long the oldest event waits that the feed has not taken, as it does for its readers",
                lags.feed,
            )
            yield _gauges("iris_hooks", "Hooks, whoever tells them", "state", lags.hooks_states)
            yield _gauge(
                "iris_hooks_failing",
                "Active hooks whose next event was tried in vain",
                lags.hooks_failing,
            )
            yield _gauge(
                "iris_hooks_lag_seconds",
                "How long the oldest event waits that an active hook has not been told of",
                lags.hooks,
            )
            yield _gauges(
                "iris_mail_people", "People with an address for mail", "state", lags.mail_states
            )
            yield _gauge(
                "iris_mail_failing",
                "Active people whose next mail was tried in vain",
                lags.mail_failing,
            )
            yield _gauge(
                "iris_mail_lag_seconds",
                "How long the oldest event waits that was not looked at for who gets mail at once",
                lags.mail,
            )


REGISTRY = CollectorRegistry()
REGISTRY.register(Told())


def text():
    """Return all metrics in Prometheus's text format, as bytes.

    Source:   the memory that all workers share, and one SELECT.
    """
    return exposition.generate_latest(REGISTRY)
