"""When a delivery is tried again, what an answer means, and how a request becomes spans."""

from __future__ import annotations

import pytest

from passenger.telemetry.post import seconds_of
from passenger.telemetry.records import EventRecord, RequestRecord
from passenger.telemetry.retry import LONGEST_ASKED, Retry
from passenger.telemetry.spans import spans_of, spans_of_spawn
from passenger.telemetry.sums import Sums

REQUEST = RequestRecord(
    id="id",
    app="blog",
    pid=7,
    method="GET",
    path="0123",
    status=200,
    received=0,
    sent=120,
    ending="answered",
    refusal="",
    is_own=False,
    arrived=1000.0,
    web_wait=0.5,
    queue_wait=0.25,
    app_time=0.5,
    total=1.0,
    trace_id="a" * 32,
    span_id="b" * 16,
    parent_id="c" * 16,
)


def test_waits_double_to_five_minutes_and_obey() -> None:
    retry = Retry(random=lambda: 0.5)
    waits = [retry.failed(None) for _ in range(12)]
    assert waits[:4] == [1.0, 1.5, 3.0, 6.0]
    assert waits[-1] == 225.0
    assert Retry(lambda: 0.999).failed(17.0) == 17.0
    assert Retry(lambda: 0.0).failed(1e9) == LONGEST_ASKED
    retry.succeeded()
    assert retry.failed(None) == 1.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, None), ("30", 30.0), ("Sun, 22 Nov 2026 12:00:30 GMT", 30.0), ("soon", None), ("-1", None)],
)
def test_retry_after_is_a_number_or_a_date(header: str | None, seconds: float | None) -> None:
    assert seconds_of(header, now=1795348800.0) == seconds


def test_a_request_is_a_tree_whose_application_span_has_the_id_that_the_application_knows() -> None:
    server, web, queue, app = spans_of(REQUEST)
    assert [span.name for span in (server, web, queue, app)] == ["GET", "web server", "queue", "application"]
    assert (app.span_id, app.parent_id, server.parent_id) == ("b" * 16, server.span_id, "c" * 16)
    assert {web.parent_id, queue.parent_id} == {server.span_id}
    assert len({span.span_id for span in (server, web, queue, app)}) == 4
    assert (server.start, web.end, queue.end, app.end) == (
        999_500_000_000,
        10**12,
        1_000_250_000_000,
        1_000_750_000_000,
    )
    assert spans_of(REQUEST) == [server, web, queue, app], "told twice, it is the same trace"


def test_a_failed_start_says_which_step_it_was() -> None:
    steps = [["prepare work", "done", 0.1], ["load the application", "failed", 0.9], ["announce", "not started", 0]]
    facts = {"seconds": 1.0, "steps": steps, "reason": "load the application"}
    spans = spans_of_spawn(EventRecord(kind="spawn_failed", app="blog", time=1000.0, facts=facts))
    assert [(span.name, span.error) for span in spans] == [
        ("spawn", "load the application"),
        ("prepare work", ""),
        ("load the application", "load the application"),
    ]
    assert {span.parent_id for span in spans[1:]} == {spans[0].span_id}


def test_sums_only_go_up_and_their_labels_are_ours() -> None:
    sums = Sums()
    sums.add([REQUEST, REQUEST, EventRecord(kind="sample", app="blog", time=1.0, facts={"pss": 5, "name": "x"})])
    ((name, labels), count) = next(iter(sums.counters.items()))
    assert (name, dict(labels), count) == (
        "passenger.requests",
        {"app": "blog", "status_class": "2xx", "ending": "answered"},
        2,
    )
    assert sums.gauges == {("passenger.app.pss", (("app", "blog"),)): 5.0}
    assert sums.spreads["http.server.request.duration", (("app", "blog"),)].count == 2
