"""Applications with keys of their own for a sink: whose records are delivered with which, and what lies on the disk."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from passenger.config.model import EnvValue
from passenger.config.telemetry import HttpSink, Otlp, OwnHeaders, Routes, Telemetry
from passenger.telemetry.assembly import sinks_of
from passenger.telemetry.records import EventRecord, Record
from passenger.telemetry.sink import Sink
from tests.support.collector import Collector, collecting

DEADLINE = 30.0


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


def secrets(**headers: str) -> Mapping[str, EnvValue]:
    return {name: EnvValue(value, secret=True) for name, value in headers.items()}


def routes(
    collector: Collector, spool: Path | None = None, *, shop: str = "Bearer shop", timeout: float = 5.0
) -> Routes:
    address = f"http://127.0.0.1:{collector.port}"
    return Routes(
        sinks=Telemetry(
            flush_interval=0.1,
            sample_interval=0.0,
            spool=None if spool is None else str(spool),
            spool_size=1 << 20,
            otlp=Otlp(endpoint=address, headers=secrets(Authorization="Bearer all", X_Team="web"), timeout=timeout),
            http=HttpSink(url=f"{address}/json", headers=secrets(Authorization="Bearer all"), timeout=timeout),
        ),
        own={"shop": OwnHeaders(otlp=secrets(authorization=shop), http=secrets(X_Api_Key="shop"))},
    )


def records() -> list[Record]:
    """Two of a shop, one of a blog, and one of the instance."""
    return [EventRecord(kind="exit", app=app, time=1.0, facts={}) for app in ("shop", "blog", "shop", "")]


def run(sinks: list[Sink]) -> dict[str, dict[str, Any]]:
    """Deliver `records` at once and end."""
    deadline = time.monotonic() + DEADLINE
    for sink in sinks:
        sink.put(records())
        sink.stop(deadline)
    for sink in sinks:
        sink.join(deadline)
    return {sink.name: sink.status() for sink in sinks}


def test_records_go_out_with_the_headers_of_their_application_and_with_no_others(collector: Collector) -> None:
    told = run(sinks_of(routes(collector), instance="main", version="1", on_trouble=lambda _name, _problem: None))
    assert {name: (status["sent"], status["unwanted"]) for name, status in told.items()} == {
        "otlp": (2, 2),
        "otlp:shop": (2, 2),
        "http": (2, 2),
        "http:shop": (2, 2),
    }
    logs = [headers for path, headers in collector.asked if path == "/v1/logs"]
    assert sorted(values(headers, "authorization") for headers in logs) == [["Bearer all"], ["Bearer shop"]]
    assert [headers["X-Team"] for headers in logs] == ["web", "web"], "what is not replaced stays"
    found = {}
    for (path, headers), (_, body) in zip(collector.asked, collector.bodies, strict=True):
        if path == "/json":
            found[headers.get("X-Api-Key")] = [record.get("app") for record in json.loads(body)["records"]]
    assert found == {None: ["blog", None], "shop": ["shop", "shop"]}
    metrics = [values(headers, "authorization") for path, headers in collector.asked if path == "/v1/metrics"]
    assert sorted(metrics) == [["Bearer all"], ["Bearer shop"]], "sums of an application are its own, too"


def test_a_key_that_is_refused_or_used_up_holds_up_nobody_else(collector: Collector) -> None:
    told: dict[str, str] = {}
    sinks = sinks_of(routes(collector), instance="main", version="1", on_trouble=told.__setitem__)
    collector.refused["Bearer shop"] = 429
    for sink in sinks:
        sink.put(records())
    for sink in sinks:
        sink.hurry()
    done = {sink.name: sink.hurried(time.monotonic() + DEADLINE) for sink in sinks}
    assert done == {"otlp": True, "otlp:shop": False, "http": True, "http:shop": True}
    assert set(told) == {"otlp:shop"}
    assert told["otlp:shop"] == "status 429"
    del collector.refused["Bearer shop"]
    deadline = time.monotonic() + DEADLINE
    for sink in sinks:
        sink.stop(deadline)
        sink.join(deadline)
    assert {sink.name: sink.status()["sent"] for sink in sinks} == dict.fromkeys(done, 2)


def test_the_spool_holds_no_header_and_is_delivered_with_the_key_of_its_owner(
    collector: Collector, tmp_path: Path
) -> None:
    collector.answer = 503
    run(sinks_of(routes(collector, tmp_path), instance="main", version="1", on_trouble=lambda *_: None))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} == {"main-otlp", "main-otlp:shop", "main-http", "main-http:shop"}
    assert not [path for path in files if b"Bearer" in path.read_bytes() or b"X-" in path.read_bytes()]
    collector.answer = 200
    collector.asked.clear()
    sinks = sinks_of(
        routes(collector, tmp_path, shop="Bearer new"), instance="main", version="1", on_trouble=lambda *_: None
    )
    deadline = time.monotonic() + DEADLINE
    for sink in sinks:
        sink.stop(deadline)
        sink.join(deadline)
    assert {sink.name: sink.status()["spool_sent"] for sink in sinks} == dict.fromkeys([s.name for s in sinks], 2)
    logs = [values(headers, "authorization") for path, headers in collector.asked if path == "/v1/logs"]
    assert sorted(logs) == [["Bearer all"], ["Bearer new"]]


def test_a_header_that_cannot_be_sent_is_told_without_its_value(collector: Collector) -> None:
    told: dict[str, str] = {}
    sinks = sinks_of(routes(collector, shop="sec\nret"), instance="main", version="1", on_trouble=told.__setitem__)
    assert run(sinks)["otlp:shop"]["rejected"] == 2
    assert told == {"otlp:shop": "a header cannot be sent"}


def test_one_that_hangs_takes_no_time_of_a_flush_from_the_others(collector: Collector) -> None:
    """A flush of all at once: the first does not answer, the others are through when it is given up."""
    sinks = sinks_of(routes(collector), instance="main", version="1", on_trouble=lambda *_: None)
    collector.refused["Bearer all"] = b""
    for sink in sinks:
        sink.put(records())
    for sink in sinks:
        sink.hurry()
    assert sinks[1].hurried(time.monotonic() + DEADLINE)
    assert not sinks[0].hurried(time.monotonic())
    collector.close()


@pytest.mark.parametrize("has_spool", [False, True])
def test_a_slow_collector_holds_up_neither_flush_nor_end(
    collector: Collector, tmp_path: Path, *, has_spool: bool
) -> None:
    """Its answer would be waited for for minutes; what is in hand at the end is kept, or counted."""
    collector.answer = b""
    slow = routes(collector, tmp_path if has_spool else None, timeout=300.0)
    sinks = sinks_of(slow, instance="main", version="1", on_trouble=lambda *_: None)
    for sink in sinks:
        sink.put(records())
    collector.wait_for_requests(len(sinks))
    began = time.monotonic()
    for sink in sinks:
        sink.hurry()
    assert not any(sink.hurried(began + 0.2) for sink in sinks)
    for sink in sinks:
        sink.stop(began + 0.4)
    for sink in sinks:
        sink.join(began + 0.4)
    assert time.monotonic() - began < DEADLINE
    end = "spooled" if has_spool else "dropped"
    assert {sink.name: sink.status()[end] for sink in sinks} == dict.fromkeys([sink.name for sink in sinks], 2)
    assert not any(sink.status()["waiting"] for sink in sinks)


def values(headers: Mapping[str, str], name: str) -> list[str]:
    return [value for own, value in headers.items() if own.lower() == name]
