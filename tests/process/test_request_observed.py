"""What an observer is told of requests, through a real RequestHandler with the test as web server and as process."""

from __future__ import annotations

import os
import socket

from passenger.config.model import App
from passenger.pool.session import Refusal, RefusalReason
from passenger.request.cgi import CgiClient
from passenger.request.gate import Pause
from passenger.request.observed import Seen
from passenger.telemetry.records import ENDINGS
from tests.support.requestcore import RequestCore, scgi, upgrade
from tests.support.tunnels import SWITCH, head_of


def watch(core: RequestCore) -> list[Seen]:
    told: list[Seen] = []
    core.call(lambda: core.handler.observe(told.append))
    return told


def times(seen: Seen) -> list[float]:
    return [seen.arrived or seen.asked, seen.asked, seen.granted, seen.done]


def test_a_request_is_told_once_with_all_its_times() -> None:
    with RequestCore() as core:
        told = watch(core)
        web = core.connect(scgi(REQUEST_METHOD="POST", REQUEST_URI="/buy?card=1", body=b"x" * 300_000))
        end = core.accept()
        end.request()
        end.exactly(300_000)
        end.ok()
        data, _ = web.response()
        core.until(lambda: len(told) == 1)
        (seen,) = told
        assert (seen.app, seen.pid, seen.status, ENDINGS[seen.ending]) == ("blog", os.getpid(), b"200", "answered")
        assert (seen.received, seen.sent, seen.is_own, seen.refusal) == (300_000, len(data), False, None)
        assert times(seen) == sorted(times(seen))
        assert seen.asked > 0


def test_what_becomes_of_the_connection_afterwards_is_no_part_of_it() -> None:
    """Answered before its body had come; observers keep what they are told, and the web server goes a moment later."""
    with RequestCore() as core:
        told = watch(core)
        web = core.connect(scgi(REQUEST_METHOD="POST", body=b"x" * 300_000)[:-290_000])
        end = core.accept()
        end.request()
        end.ok()
        core.until(lambda: len(told) == 1)
        web.sock.close()
        core.until(lambda: core.handler.active == 0)
        assert ENDINGS[told[0].ending] == "answered"


def test_probes_and_strangers_are_nobodys_requests() -> None:
    with RequestCore() as core:
        told = watch(core)
        for data in (scgi(app=":livez"), scgi(app="other"), b"5:hello,"):
            core.connect(data).response()
        web = core.connect(scgi())
        end = core.accept()
        end.request()
        end.ok()
        web.response()
        core.until(lambda: bool(told))
        assert [seen.app for seen in told] == ["blog"]


def test_who_leaves_and_who_is_refused_is_told_as_that() -> None:
    with RequestCore() as core:
        told = watch(core)
        web = core.connect(scgi())
        end = core.accept()
        end.request()
        web.sock.shutdown(socket.SHUT_RDWR)
        core.until(lambda: len(told) == 1)
        end.ok()
        core.until(lambda: core.pool.released == 1)
        core.pool.refusal = Refusal(RefusalReason.QUEUE_FULL, "blog")
        assert core.connect(scgi()).status() == 503
        core.until(lambda: len(told) == 2)
        left, refused = told
        assert (ENDINGS[left.ending], left.status, left.served, left.pid) == ("departed", b"", 0.0, os.getpid())
        assert (ENDINGS[refused.ending], refused.status, refused.granted, refused.pid) == ("answered", b"503", 0.0, 0)
        assert (refused.is_own, refused.refusal) == (True, RefusalReason.QUEUE_FULL)


def test_a_response_that_ends_early_is_told_as_cut() -> None:
    with RequestCore() as core:
        told = watch(core)
        web = core.connect(scgi())
        end = core.accept()
        end.request()
        end.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
        assert web.sock.recv(1) == b"H"
        end.sock.close()
        assert not web.response()[1]
        core.until(lambda: len(told) == 1)
        assert (ENDINGS[told[0].ending], told[0].status, told[0].is_own) == ("cut", b"200", False)


def test_apache_gets_and_the_observer_sees_the_answer_that_counts() -> None:
    """A short response that is cut becomes a 502 of ours."""
    with RequestCore() as core:
        told = watch(core)
        core.call(lambda: core.handler.listen(core.upgrade_listener, CgiClient))
        web = core.connect(scgi(), path=core.upgrade_path)
        end = core.accept()
        end.request()
        end.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
        end.sock.close()
        assert web.response()[0].startswith(b"Status: 502 ")
        core.until(lambda: len(told) == 1)
        assert (ENDINGS[told[0].ending], told[0].status, told[0].is_own) == ("answered", b"502", True)


def test_what_apache_gets_in_one_piece_is_told_as_that_though_the_process_said_it_in_two() -> None:
    with RequestCore() as core:
        told = watch(core)
        core.call(lambda: core.handler.listen(core.upgrade_listener, CgiClient))
        web = core.connect(scgi(), path=core.upgrade_path)
        end = core.accept()
        end.request()
        end.answer(b"HTTP/1.1 201 Created\r\nContent-Length: 40\r\n\r\n" + b"a" * 20)
        core.until(lambda: any(getattr(rider, "_early", b"") for rider in core.handler.wheel.riders()))
        end.answer(b"b" * 20)
        data, _ = web.response()
        core.until(lambda: len(told) == 1)
        assert (told[0].status, told[0].sent) == (b"201", len(data))


def test_a_tunnel_is_told_when_it_ends() -> None:
    with RequestCore(protocol="http_session") as core:
        told = watch(core)
        web = core.connect(upgrade(), path=core.upgrade_path)
        end = core.accept()
        end.until_head()
        end.answer(SWITCH)
        head_of(web)
        assert not told
        web.sock.close()
        assert end.at_end()
        end.sock.close()
        core.until(lambda: len(told) == 1)
        assert (told[0].status, ENDINGS[told[0].ending], told[0].pid) == (b"101", "answered", os.getpid())


def test_sticky_requests_and_those_held_by_a_pause_are_told_too() -> None:
    with RequestCore(apps={"blog": App(app_root="/", sticky_sessions=True)}) as core:
        told = watch(core)
        core.call(lambda: core.handler.traffic.pause("blog", Pause(since=0.0, hold=60.0)))
        web = core.connect(scgi())
        core.until(lambda: len(core.handler.traffic.gates["blog"].held) == 1)
        core.call(lambda: core.handler.traffic.resume("blog"))
        end = core.accept()
        end.request()
        end.ok()
        data, _ = web.response()
        core.until(lambda: len(told) == 1)
        assert told[0].sent == len(data)
        assert b"Set-Cookie: _passenger_route=" in data


def test_the_head_is_the_tracers_and_an_observer_that_fails_harms_nothing() -> None:
    def broken(_: Seen) -> None:
        raise RuntimeError("no")

    with RequestCore() as core:
        core.call(lambda: core.handler.observe(broken))
        told = watch(core)
        core.handler.tracer = lambda _, pairs: pairs + b"HTTP_TRACEPARENT\0own\0"
        web = core.connect(scgi())
        end = core.accept()
        assert end.request()["HTTP_TRACEPARENT"] == "own"
        end.ok()
        assert web.status() == 200
        core.until(lambda: len(told) == 1)
        assert "defect while a request was observed" in core.log_text()


def test_who_observes_no_more_is_told_of_nothing_more() -> None:
    with RequestCore() as core:
        told, others = watch(core), watch(core)
        core.call(lambda: core.handler.observe_no_more(told.append))
        web = core.connect(scgi())
        end = core.accept()
        end.request()
        end.ok()
        web.response()
        core.until(lambda: len(others) == 1)
        assert not told
