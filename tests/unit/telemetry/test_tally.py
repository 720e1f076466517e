"""What became of records, over the lives of routers: counters only go up, and what died with a router is lost."""

from __future__ import annotations

from typing import Any

from passenger.telemetry.tally import COUNTERS, Tally


def report(router: int, first: int, taken: int, *, waiting: int = 0, **counts: int) -> dict[str, Any]:
    sink = {**dict.fromkeys(COUNTERS, 0), **counts, "waiting": waiting, "on_disk": 0, "error": "", "retry_in": 0.0}
    return {"router": router, "core": 1, "first": first, "taken": taken, "sinks": {"otlp": sink}}


def test_counters_go_on_over_a_router_that_died() -> None:
    tally = Tally()
    tally.take(report(7, 0, 100, waiting=10, sent=90))
    tally.take(report(8, 130, 150, sent=20))
    otlp = tally.status()["sinks"]["otlp"]
    assert (otlp["sent"], otlp["waiting"]) == (110, 0)
    assert otlp["lost"] == 10 + 30, "what waited in it, and what it took since its last word"
    assert tally.status()["routers"] == 2


def test_what_a_router_took_that_died_before_its_first_word_is_lost() -> None:
    tally = Tally()
    tally.take(report(8, 40, 50, sent=10))
    tally.take(report(8, 40, 60, sent=20))
    otlp = tally.status()["sinks"]["otlp"]
    assert (otlp["sent"], otlp["lost"]) == (20, 40)


def test_a_router_that_ended_well_lost_nothing() -> None:
    tally = Tally()
    tally.take(report(7, 0, 100, sent=60, spooled=40))
    tally.take(report(8, 100, 100, spool_sent=40))
    otlp = tally.status()["sinks"]["otlp"]
    assert (otlp["sent"], otlp["spooled"], otlp["spool_sent"], otlp["lost"]) == (60, 40, 40, 0)


def test_a_sink_that_is_gone_keeps_its_counters() -> None:
    tally = Tally()
    tally.take(report(7, 0, 5, sent=5))
    tally.take({**report(8, 5, 5), "sinks": {}})
    assert tally.status()["sinks"]["otlp"]["sent"] == 5
