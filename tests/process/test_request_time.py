"""max_request_time and max_request_queue_time at the core: who is answered what, who is told, whose place is taken."""

from __future__ import annotations

import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from passenger.config.model import App
from passenger.request import overtime
from tests.support.requestcore import AppEnd, RequestCore, scgi, upgrade

LIMIT = 0.3


@contextmanager
def timed(
    *, takes_interrupts: bool = False, limits: dict[str, Any] | None = None, **kind: Any
) -> Iterator[RequestCore]:
    """A core with one process, and with these limits instead of `max_request_time` alone."""
    keys: dict[str, Any] = {"max_request_time": LIMIT, **(limits or {})}
    with RequestCore(apps={"blog": App(app_root="/", **keys)}, processes=0, **kind) as core:
        core.call(lambda: core.add_process(takes_interrupts=takes_interrupts))
        yield core


def name_of(end: AppEnd) -> str:
    """What the core calls the connection."""
    address: bytes = end.sock.getpeername()
    return address[1:].decode() if address else ""


def counts(core: RequestCore) -> tuple[int, int, int]:
    """Requests over time, of these interrupted, processes ended for it."""
    (process,) = core.pool.processes
    found = process.group.counters
    return found.requests_over_time, found.requests_interrupted, found.processes_over_time


def test_an_interrupted_request_frees_its_place_when_the_process_says_so() -> None:
    with timed(takes_interrupts=True) as core:
        web = core.connect(scgi({"REQUEST_URI": "/slow?token=x", "HTTP_X_REQUEST_ID": "a-known-one"}))
        app = core.accept()
        app.request()
        assert web.status() == 504
        (process,) = core.pool.processes
        core.until(lambda: process.running.asked == [f"interrupt {name_of(app)}"])
        assert core.pool.open_sessions == 1
        app.sock.close()
        core.until(lambda: core.pool.open_sessions == 0 and not core.handler.wheel.riders())
        assert counts(core) == (1, 1, 0)
        assert core.pool.condemned == []
        text = core.log_text()
        assert "request over time" in text
        assert "GET /slow" in text
        assert "token" not in text
        assert "request_id=a-known-one" in text


def test_the_late_answer_reaches_nobody_and_the_connection_no_other_request() -> None:
    """E8: it answers nevertheless, whole and well framed."""
    with timed(takes_interrupts=True) as core:
        web = core.connect(scgi())
        app = core.accept()
        app.request()
        assert web.status() == 504
        core.with_app(max_request_time=0.0)
        again = core.connect(scgi())
        app.ok(b"late")
        assert app.at_end(), "an interruption may still be on its way to this connection"
        other = core.accept()
        other.request()
        other.ok(b"in time")
        data, clean = again.response()
        assert data.endswith(b"in time")
        assert clean


def test_a_response_that_has_begun_is_cut() -> None:
    with timed(takes_interrupts=True) as core:
        web = core.connect(scgi())
        app = core.accept()
        app.request()
        app.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        data, clean = web.response()
        assert data.endswith(b"half")
        assert not clean
        app.sock.close()
        core.until(lambda: core.pool.open_sessions == 0)


def test_the_limit_holds_for_a_request_without_a_client() -> None:
    """Whoever leaves early does not let a hanging request keep the process for ever."""
    with timed(takes_interrupts=True) as core:
        web = core.connect(scgi())
        app = core.accept()
        app.request()
        web.sock.close()
        (process,) = core.pool.processes
        core.until(lambda: process.running.asked == [f"interrupt {name_of(app)}"])
        assert counts(core)[0] == 1


def test_the_limit_holds_after_the_response_timeout() -> None:
    with timed(takes_interrupts=True, limits={"response_timeout": 0.1}) as core:
        web = core.connect(scgi())
        app = core.accept()
        app.request()
        assert web.status() == 504
        (process,) = core.pool.processes
        core.until(lambda: process.running.asked == [f"interrupt {name_of(app)}"])


def test_a_request_in_time_is_left_alone() -> None:
    with timed(takes_interrupts=True) as core:
        for _ in range(3):
            web = core.connect(scgi())
            app = core.accept()
            app.request()
            app.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            assert web.status() == 200
            app.sock.close()
        core.until(lambda: not core.handler.wheel.riders())
        (process,) = core.pool.processes
        assert process.running.asked == []


def test_who_does_not_end_after_its_interruption_ends_with_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stacks first, then SIGTERM with five seconds' patience."""
    monkeypatch.setattr(overtime, "GRACE", 0.5)
    with timed(takes_interrupts=True) as core:
        web = core.connect(scgi())
        app = core.accept()
        app.request()
        assert web.status() == 504
        core.until(lambda: bool(core.pool.condemned))
        (process,) = core.pool.processes
        assert core.pool.condemned == [(process.pid, 5.0)]
        assert process.running.asked[1:] == ["show stacks"]
        assert counts(core) == (1, 0, 1)
        assert core.pool.open_sessions == 1, "its place is taken until it is gone"
        app.sock.close()
        core.until(lambda: core.pool.open_sessions == 0)


def test_who_cannot_be_interrupted_ends_at_once() -> None:
    with timed() as core:
        web = core.connect(scgi())
        app = core.accept()
        app.request()
        assert name_of(app) == ""
        assert web.status() == 504
        core.until(lambda: bool(core.pool.condemned))
        assert core.pool.condemned[0][1] == 5.0
        assert "cannot show where it is" in core.log_text()


def test_other_requests_of_the_process_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that are not to blame; each of them is overdue in its turn, so the wait has an end."""
    monkeypatch.setattr(overtime, "GRACE", 0.5)
    with timed(takes_interrupts=True, concurrency=2) as core:
        guilty = core.connect(scgi())
        first = core.accept()
        first.request()
        core.until(lambda: not core.handler.wheel.fresh)
        core.with_app(max_request_time=60.0)
        innocent = core.connect(scgi())
        second = core.accept()
        second.request()
        assert guilty.status() == 504
        (process,) = core.pool.processes
        core.until(lambda: process.is_retired)
        assert core.pool.condemned == []
        second.ok(b"not to blame")
        assert innocent.status() == 200
        core.until(lambda: bool(core.pool.condemned))


# HTTP


def is_asked_whether_it_lives(core: RequestCore) -> AppEnd:
    """The connection without a request."""
    ping = core.accept()
    assert ping.at_end()
    return ping


def test_an_http_process_that_lives_only_loses_the_connection() -> None:
    """Nobody can interrupt it, and it takes many requests at a time: it sees its client leave."""
    with timed(protocol="http_session", concurrency=0) as core:
        web = core.connect(scgi())
        app = core.accept()
        assert web.status() == 504
        app.until_end()
        ping = is_asked_whether_it_lives(core)
        assert core.pool.open_sessions == 0
        ping.sock.close()
        core.until(lambda: not core.handler.wheel.riders())
        assert core.pool.condemned == []
        assert counts(core) == (1, 0, 0)


def test_an_http_process_that_is_silent_goes_when_nobody_else_is_in_there() -> None:
    with timed(protocol="http_session", concurrency=0) as core:
        web = core.connect(scgi())
        core.accept()
        assert web.status() == 504
        is_asked_whether_it_lives(core)
        core.until(lambda: bool(core.pool.condemned))


def test_only_the_streams_that_are_too_old_end() -> None:
    """A7: twenty requests in one process, some of them overdue; it answers its ping, so the others go on."""
    with timed(protocol="http_session", concurrency=0) as core:
        old = [core.connect(scgi()) for _ in range(3)]
        for _ in old:
            core.accept()
        core.until(lambda: not core.handler.wheel.fresh)
        core.with_app(max_request_time=60.0)
        young = [core.connect(scgi()) for _ in range(17)]
        ends = [core.accept() for _ in young]
        assert [web.status() for web in old] == [504] * 3
        is_asked_whether_it_lives(core).sock.close()
        core.until(lambda: len(core.handler.wheel.riders()) == 17 * 2)
        for end in ends:
            end.ok()
        assert [web.status() for web in young] == [200] * 17
        (process,) = core.pool.processes
        assert not process.is_retired


def test_an_asgi_request_keeps_its_place_until_its_task_has_ended() -> None:
    """It must not see its client leave: the connection is the name by which it was told."""
    with timed(protocol="http_session", concurrency=0, takes_interrupts=True) as core:
        web = core.connect(scgi())
        app = core.accept()
        assert web.status() == 504
        (process,) = core.pool.processes
        core.until(lambda: process.running.asked == [f"interrupt {name_of(app)}"])
        is_asked_whether_it_lives(core).sock.close()
        assert core.pool.open_sessions == 1
        app.answer(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        app.sock.close()
        core.until(lambda: core.pool.open_sessions == 0 and not core.handler.wheel.riders())
        assert counts(core) == (1, 1, 0)


def test_a_tunnel_may_last() -> None:
    with timed(protocol="http_session", concurrency=0) as core:
        web = core.connect(upgrade(), path=core.upgrade_path)
        app = core.accept()
        app.until_head()
        app.answer(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        web.sock.recv(65536)
        select.select([], [], [], 3 * LIMIT)
        app.answer(b"\x81\x01a")
        assert web.sock.recv(65536) == b"\x81\x01a"


# The queue


def test_a_request_that_waits_too_long_is_refused() -> None:
    limits = {"max_request_time": 0.0, "max_request_queue_time": LIMIT, "request_queue_timeout_status_code": 529}
    with timed(limits=limits) as core:
        core.connect(scgi())
        busy = core.accept()
        busy.request()
        waiting = core.connect(scgi())
        data, clean = waiting.response()
        assert data.startswith(b"HTTP/1.1 529 Server Error\r\n")
        assert b"Retry-After: 1\r\n" in data
        assert clean
        core.until(lambda: (core.pool.forgotten, core.pool.late) == (1, 1))


def test_the_response_timeout_in_the_queue_is_another_matter() -> None:
    limits = {"max_request_time": 0.0, "response_timeout": LIMIT, "max_request_queue_time": 60.0}
    with timed(limits=limits) as core:
        core.connect(scgi())
        core.accept()
        assert core.connect(scgi()).status() == 504
        core.until(lambda: (core.pool.forgotten, core.pool.late) == (1, 0))


@pytest.mark.parametrize("takes_interrupts", [True, False])
def test_only_processes_that_asked_for_it_get_connections_with_a_name(takes_interrupts: bool) -> None:  # noqa: FBT001
    """A program of somebody else might show it, or stumble over it."""
    with timed(takes_interrupts=takes_interrupts) as core:
        web = core.connect(scgi())
        app = core.accept()
        assert bool(name_of(app)) == takes_interrupts
        app.request()
        app.ok()
        assert web.status() == 200
