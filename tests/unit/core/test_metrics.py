"""/metrics: the values, their text as Prometheus reads it, and what it costs while nobody asks."""

from __future__ import annotations

import asyncio
import math
import time
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from passenger.core import metric_names as names
from passenger.core.exposition import families
from passenger.core.loop_lag import LoopLag
from passenger.core.memory import Usage
from passenger.core.memory_shares import MemoryShares
from passenger.core.metric_rows import Row, Snapshot, rows, telemetry_rows
from passenger.core.request_figures import BUCKETS, AppFigures, Histogram, RequestFigures
from passenger.core.step_sums import StepSums
from passenger.pool.session import RefusalReason
from passenger.request.observed import ANSWERED, DEPARTED, Seen
from passenger.request.traffic import Traffic
from passenger.spawn.journey import Journey, Step
from tests.support.statuses import core, group, process

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def snapshot(*groups: Any, **parts: Any) -> Snapshot:
    status = core(*groups)
    given: dict[str, Any] = {"figures": {}, "gates": {}, "memory": {}} | parts
    return Snapshot(pool=status["pool"], requests=status["requests"], **given)


def text_of(found: list[Row]) -> str:
    return b"".join(families(found)).decode()


def samples(text: str) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, "a sample twice: Prometheus refuses the whole scrape"
            found[key] = sample.value
    return found


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def seen(**facts: Any) -> Seen:
    one = Seen()
    one.arrived = 100.0
    one.app, one.status, one.ending = "blog", b"200", ANSWERED
    one.asked, one.granted, one.served, one.done, one.sent = 100.0, 100.2, 100.5, 100.6, 42
    for name, fact in facts.items():
        setattr(one, name, fact)
    return one


def test_a_scrape_tells_what_status_tells() -> None:
    """Processes by state, queue, places, counters and memory, from the same snapshot."""
    blog = group(
        "blog",
        queue=7,
        processes=[
            process(pid=1, state="enabled", concurrency=4, sessions=3),
            process(pid=2, state="draining", concurrency=4, sessions=1, outdated=True),
        ],
    )
    blog["counters"]["crashes"] = 2
    memory = {1: Usage(rss=30, pss=20, private=10), 2: Usage(rss=5, pss=4, private=3)}
    gates: Any = {"blog": {"expired": 1, "refused": 2, "turned_away": 4}}
    found = samples(text_of(list(rows(snapshot(blog, memory=memory, gates=gates)))))
    assert value(found, "passenger_queue_length", app="blog") == 7
    assert value(found, "passenger_processes", app="blog", state="enabled") == 1
    assert value(found, "passenger_processes", app="blog", state="draining") == 1
    assert value(found, "passenger_processes", app="blog", state="stopping") == 0
    assert value(found, "passenger_places", app="blog") == 4
    assert value(found, "passenger_places_taken", app="blog") == 3
    assert value(found, "passenger_processes_outdated", app="blog") == 1
    assert value(found, "passenger_process_crashes_total", app="blog") == 2
    assert value(found, "passenger_refusals_total", app="blog", reason="pause") == 3
    assert value(found, "passenger_refusals_total", app="blog", reason="maintenance") == 4
    assert [value(found, "passenger_memory_bytes", app="blog", kind=kind) for kind in names.MEMORY_KINDS] == [
        24,
        13,
        22,
    ]
    assert value(found, "passenger_memory_unknown_processes") == 0


def test_a_process_without_limit_has_endless_places_and_one_unseen_is_counted() -> None:
    """+Inf is what Prometheus calls it."""
    found = samples(text_of(list(rows(snapshot(group("x", processes=[process(pid=9, concurrency=0)]))))))
    assert value(found, "passenger_places", app="x") == math.inf
    assert value(found, "passenger_memory_unknown_processes") == 1


def test_an_application_that_left_and_came_back_is_one() -> None:
    """Two groups of one name would be two samples of one series, and the scrape would be refused."""
    found = samples(text_of(list(rows(snapshot(group("blog", queue=1), group("blog", queue=2))))))
    assert value(found, "passenger_queue_length", app="blog") == 3


def test_every_metric_keeps_the_conventions() -> None:
    """Counters end in _total, nothing else does; every label is explained; names are there once."""
    assert len({metric.name for metric in names.METRICS}) == len(names.METRICS)
    for metric in names.METRICS:
        assert metric.name.startswith("passenger_")
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert metric.kind not in {"histogram", "summary"} or metric.name.endswith("_seconds")
        assert metric.help.endswith(".")
        assert set(metric.labels) <= names.LABELS.keys()


def test_labels_are_escaped() -> None:
    """A version, say, is text."""
    text = text_of([(names.BUILD, ('a"b\\c\n', "3", "main"), 1)])
    assert value(samples(text), "passenger_build_info", version='a"b\\c\n', python="3", instance_name="main") == 1


def test_requests_by_status_and_durations() -> None:
    """Those that got no process waited for none; a tunnel's time is no duration of a request."""
    figures = RequestFigures(["blog"])
    figures(seen())
    figures(seen(status=b"503", granted=0.0, served=0.0, refusal=RefusalReason.QUEUE_FULL))
    figures(seen(status=b"", ending=DEPARTED, granted=0.0))
    figures(seen(status=b"101", done=9000.0))
    figures(seen(app="gone"))
    blog = figures.by_app["blog"]
    assert blog.statuses == [1, 1, 0, 0, 1, 1]
    assert sum(blog.duration.counts) == 3
    assert sum(blog.queue_wait.counts) == 2
    assert sum(blog.application.counts) == 1
    assert round(blog.application.total, 6) == 0.3
    found = samples(text_of(list(rows(snapshot(group("blog"), figures=figures.by_app)))))
    assert value(found, "passenger_requests_total", app="blog", status="none") == 1
    assert value(found, "passenger_application_seconds_bucket", app="blog", le="0.25") == 0
    assert value(found, "passenger_application_seconds_bucket", app="blog", le="0.5") == 1
    assert value(found, "passenger_application_seconds_count", app="blog") == 1
    assert value(found, "passenger_response_bytes_total", app="blog") == 4 * 42


def test_a_bound_belongs_to_its_bucket() -> None:
    """`le` is less or equal."""
    histogram = Histogram()
    histogram.add(BUCKETS[0])
    histogram.add(1e6)
    assert (histogram.counts[0], histogram.counts[-1]) == (1, 1)


def test_figures_survive_a_reload_and_leave_with_their_application() -> None:
    """Counters never fall while an application stays."""
    figures = RequestFigures(["blog", "shop"])
    figures(seen())
    figures.apply(["blog", "wiki"])
    assert figures.by_app["blog"].statuses[1] == 1
    assert figures.by_app.keys() == {"blog", "wiki"}


def test_memory_is_read_within_a_budget_the_oldest_first() -> None:
    """Each look costs 1.5 budgets after two processes: five processes take three looks."""
    clock, spent, looked = [10.0], [0.0], []

    def look(pids: list[int]) -> dict[int, Usage]:
        spent[0] += 0.015
        clock[0] += 1.0
        looked.append(pids[0])
        return {pid: Usage(pss=pid) for pid in pids}

    async def scenario() -> None:
        shares = MemoryShares(now=lambda: clock[0], cpu=lambda: spent[0], look=look)
        assert await shares.of([1, 2, 3, 4, 5]) == {1: Usage(pss=1), 2: Usage(pss=2)}
        await shares.of([1, 2, 3, 4, 5])
        assert len(await shares.of([1, 2, 3, 4, 5])) == 5
        assert looked == [1, 2, 3, 4, 5, 1]
        assert shares.age() == 5.0
        assert (await shares.of([4])).keys() == {4}

    asyncio.run(scenario())


def test_lag_is_looked_at_only_while_somebody_asks() -> None:
    """A loop that is held up is late by so much; without scrapes there is no timer."""

    class Loop:
        def __init__(self) -> None:
            self.now, self.timers = 0.0, list[Any]()

        def time(self) -> float:
            return self.now

        def call_at(self, due: float, callback: Any, *args: Any) -> Any:
            self.timers.append((due, callback, args))
            return self

    loop = Loop()
    lag = LoopLag(loop)  # type: ignore[arg-type]
    assert not loop.timers
    lag.wanted()
    while loop.timers:
        due, callback, args = loop.timers.pop()
        loop.now = due + 0.003
        callback(*args)
    assert 290 < loop.now < 310
    assert lag.histogram.counts[1] == sum(lag.histogram.counts) > 500


def test_what_gates_have_answered_only_grows() -> None:
    """An open gate is forgotten, its counts are not."""
    from passenger.request.gate import Pause

    traffic = Traffic(lambda: None)
    traffic.pause("blog", Pause(since=1.0, hold=30.0))
    traffic.gates["blog"].refused += 2
    assert traffic.counted("blog")["refused"] == 2
    traffic.resume("blog")
    traffic.pause("blog", Pause(since=2.0, hold=30.0))
    traffic.gates["blog"].refused += 1
    assert traffic.counted("blog") == {"expired": 0, "refused": 3, "turned_away": 0}
    traffic.only([])
    assert traffic.counted("blog")["refused"] == 0


def test_a_scrape_of_five_hundred_processes_is_cheap() -> None:
    """The core's part without memory, which has a budget of its own (20 ms): far below the 30 ms that are left of 50."""
    groups = [group(f"app{n}", processes=[process(pid=n * 10 + i) for i in range(10)]) for n in range(50)]
    figures = {f"app{n}": AppFigures() for n in range(50)}
    took = []
    for _ in range(3):
        began = time.thread_time()
        text = text_of(list(rows(snapshot(*groups, figures=figures))))
        took.append(time.thread_time() - began)
    assert text.count("\n") > 3000
    assert min(took) < 0.1, f"{min(took):.3f} s"


def test_steps_of_starts_are_added_up() -> None:
    """One that fails counts with the steps that it came to, and is told of once."""
    now = [0.0]

    class Clock:
        def monotonic(self) -> float:
            return now[0]

        def wall(self) -> float:
            return now[0]

    sums = StepSums()
    for fails in (False, True):
        journey = Journey(Clock(), app="blog", observers=[sums])
        now[0] += 1.0
        journey.begin(Step.EXEC)
        now[0] += 0.5
        if fails:
            journey.fail()
            journey.fail()
        else:
            journey.begin(Step.CHECK)
            journey.finish()
    assert sums.sums == {
        ("blog", "prepare work"): (2, 2.0),
        ("blog", "fork and exec"): (2, 1.0),
        ("blog", "check the socket"): (1, 0.0),
    }
    found = samples(text_of(list(rows(snapshot(group("blog"), steps=sums.sums)))))
    assert value(found, "passenger_spawn_step_seconds_sum", app="blog", step="prepare work") == 2.0


def test_what_telemetry_lost_is_told_by_sink() -> None:
    """Also before there is a sink, and for one whose router has just died."""
    sink = {"rejected": 1, "dropped": 2, "spool_dropped": 3, "lost": 4, "waiting": None, "sent": 9}
    status = {"told": 20, "overflow": 5, "too_long": 6, "waiting": 7, "sinks": {"otlp": sink}}
    found = samples(text_of(list(telemetry_rows(status))))
    lost = {labels: count for (name, labels), count in found.items() if name == "passenger_telemetry_dropped_total"}
    assert sum(lost.values()) == 1 + 2 + 3 + 4 + 5 + 6
    assert value(found, "passenger_telemetry_waiting_records", sink="otlp") == 0
    assert value(found, "passenger_telemetry_waiting_records", sink="core") == 7
    assert value(found, "passenger_telemetry_records_total") == 20
