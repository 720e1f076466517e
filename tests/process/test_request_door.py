"""Requests at the door of their application, through a real RequestHandler: cookies, gates, wishes."""

from __future__ import annotations

import os
import socket

from passenger.config.model import App
from passenger.request.gate import Maintenance, Pause
from tests.support.requestcore import RequestCore, WebEnd, scgi, upgrade

COOKIE = f"Set-Cookie: _passenger_route=route-{os.getpid()}; Path=/; HttpOnly; SameSite=Lax\r\n".encode()


def sticky() -> RequestCore:
    return RequestCore(apps={"blog": App(app_root="/", sticky_sessions=True)})


def serve(core: RequestCore) -> None:
    end = core.accept()
    end.request()
    end.answer(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")


def head_of(web: WebEnd) -> bytes:
    return web.response()[0].partition(b"\r\n\r\n")[0] + b"\r\n"


def test_a_new_client_gets_a_cookie_and_an_old_one_none() -> None:
    with sticky() as core:
        for given, has_cookie in (("", True), ("_passenger_route=other", True)):
            web = core.connect(scgi(HTTP_COOKIE=given))
            serve(core)
            assert (COOKIE in head_of(web)) is has_cookie
        web = core.connect(scgi(HTTP_COOKIE=f"a=b; _passenger_route=route-{os.getpid()}"))
        serve(core)
        assert b"Set-Cookie" not in head_of(web)
        assert core.call(lambda: core.pool.wanted) == [("other",), (f"route-{os.getpid()}",)]


def test_over_https_the_cookie_is_secure_and_a_large_body_comes_through() -> None:
    with sticky() as core:
        web = core.connect(scgi(REQUEST_SCHEME="https", REQUEST_METHOD="POST", body=b"x" * 300_000))
        end = core.accept()
        assert end.request()["CONTENT_LENGTH"] == "300000"
        assert end.exactly(300_000) == b"x" * 300_000
        end.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        end.answer(b"5\r\nhello\r\n0\r\n\r\n")
        data, is_whole = web.response()
        assert is_whole
        assert COOKIE.removesuffix(b"\r\n") + b"; Secure\r\n" in data
        assert data.endswith(b"\r\n\r\nhello")


def test_a_websocket_gets_its_cookie_with_the_switch() -> None:
    with RequestCore(apps={"blog": App(app_root="/", sticky_sessions=True)}, protocol="http_session") as core:
        web = core.connect(upgrade(), path=core.upgrade_path)
        end = core.accept()
        end.until_head()
        end.answer(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            data += web.sock.recv(1)
        assert COOKIE in data
        end.sock.close()


def test_a_held_request_with_a_body_goes_on_whole_when_the_pause_is_over() -> None:
    with RequestCore() as core:
        core.call(lambda: core.handler.traffic.pause("blog", Pause(since=0.0, hold=60.0)))
        web = core.connect(scgi(REQUEST_METHOD="POST", body=b"x" * 100_000))
        core.until(lambda: len(core.handler.traffic.gates["blog"].held) == 1)
        assert core.call(lambda: core.handler.traffic.resume("blog")) == 1
        end = core.accept()
        end.request()
        assert end.exactly(100_000) == b"x" * 100_000
        end.ok()
        assert web.status() == 200


def test_a_pause_holds_so_many_so_long_and_forgets_who_leaves() -> None:
    with RequestCore(apps={"blog": App(app_root="/", max_request_queue_size=2)}) as core:
        core.call(lambda: core.handler.traffic.pause("blog", Pause(since=0.0, hold=0.5)))
        held = [core.connect(scgi()) for _ in range(2)]
        gate = core.handler.traffic.gates["blog"]
        core.until(lambda: len(gate.held) == 2)
        assert core.connect(scgi()).status() == 503
        assert [web.status() for web in held] == [504, 504]
        core.until(lambda: (gate.refused, gate.expired, len(gate.held)) == (1, 2, 0))
        core.call(lambda: core.handler.traffic.pause("blog", Pause(since=0.0, hold=60.0)))
        leaver = core.connect(scgi())
        core.until(lambda: len(gate.held) == 1)
        leaver.sock.shutdown(socket.SHUT_RDWR)
        core.until(lambda: not gate.held)
        assert core.call(lambda: core.handler.traffic.resume("blog")) == 0


def test_maintenance_answers_all_but_those_who_may_pass() -> None:
    with RequestCore() as core:
        away = Maintenance(since=0.0, retry_after=9, page="<p>away</p>", allow=("10.0.0.0/8",))
        core.call(lambda: core.handler.traffic.maintain("blog", away))
        for data in (scgi(), scgi(HTTP_X_FORWARDED_FOR="10.0.0.1"), scgi(REQUEST_METHOD="POST", body=b"x" * 100_000)):
            answer, is_whole = core.connect(data).response()
            assert is_whole
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"Retry-After: 9\r\n" in answer
            assert answer.endswith(b"<p>away</p>")
        web = core.connect(scgi(REMOTE_ADDR="10.0.0.1"))
        serve(core)
        assert web.status() == 200


def test_the_queue_time_is_told_and_paths_without_a_limit_take_no_place() -> None:
    special = App(app_root="/", queue_time_header=True, unlimited_concurrency_paths=("/events",))
    with RequestCore(apps={"blog": special}) as core:
        web = core.connect(scgi(REQUEST_URI="/events/1"))
        end = core.accept()
        assert 0 <= float(end.request()["HTTP_X_QUEUE_TIME"]) < 20_000
        end.ok()
        assert web.status() == 200
        assert core.pool.asked_beside == 1


def test_a_wish_for_out_of_band_work_is_heard_once_and_never_passed_on() -> None:
    with RequestCore() as core:
        for line in (b"X-Passenger-Request-OOB-Work: 1", b"!~Request-OOB-Work: true", b"X-Other: 1"):
            web = core.connect(scgi())
            end = core.accept()
            end.request()
            end.answer(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n%b\r\n\r\nok" % line)
            assert b"oob" not in web.response()[0].lower()
        core.until(lambda: core.pool.released == 3)
        assert core.call(lambda: core.pool.errands) == [os.getpid()] * 2
