"""Requests through a real RequestHandler, with the test as web server and as application process."""

from __future__ import annotations

import os
import resource
import socket
import struct
import threading
from collections.abc import Callable

import pytest

from passenger.config.model import App
from passenger.pool.session import Refusal, RefusalReason
from tests.support.requestcore import RequestCore, WebEnd, scgi


def test_request_and_answer_travel_and_the_connection_is_used_again() -> None:
    """The second request comes over the connection of the first."""
    with RequestCore() as core:
        web = core.connect(scgi(REQUEST_URI="/a%20b?x=1", HTTP_COOKIE="a=1"))
        app = core.accept()
        request = app.request()
        assert request["PATH_INFO"] == "/a b"
        assert request["SCRIPT_NAME"] == ""
        assert request["REQUEST_URI"] == "/a%20b?x=1"
        assert request["HTTP_COOKIE"] == "a=1"
        assert request["PASSENGER_CONNECT_PASSWORD"] == "pw"
        assert not {"SCGI", "PASSENGER_CONNECT_SECRET", "PASSENGER_APP", "CONTENT_LENGTH"} & set(request)
        app.ok(b"first")
        assert web.response() == (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst", True)
        web = core.connect(scgi(REQUEST_URI="/second"))
        assert app.request()["PATH_INFO"] == "/second"
        app.ok(b"again")
        assert web.response()[0].endswith(b"again")
        assert core.call(lambda: core.pool.open_sessions) == 0
        assert core.call(core.handler.status) == {
            "active": 0,
            "handled": 2,
            "malformed": 0,
            "aborted": 0,
            "upgraded": 0,
            "tunnels": 0,
        }


@pytest.mark.parametrize("size", [1, 100, 8192, 8193, 70_000, 3_000_000])
def test_bodies_of_any_size_arrive_whole_and_the_connection_stays(size: int) -> None:
    """Uploads and downloads are equal to the byte."""
    body = os.urandom(size)
    with RequestCore() as core:
        app = None
        for _ in range(2):
            web = core.connect()
            sender = _in_thread(web.sock.sendall, scgi(REQUEST_METHOD="POST", body=body))
            app = app or core.accept()
            assert app.request()["CONTENT_LENGTH"] == str(size)
            assert app.exactly(size) == body
            sender()
            answer = _in_thread(app.ok, body)
            data, clean = web.response()
            answer()
            assert clean
            assert data.endswith(b"\r\n\r\n" + body)


def test_head_that_comes_byte_by_byte_is_the_same_request() -> None:
    """Slow arrival changes nothing, also not for the bytes of the body."""
    data = scgi(REQUEST_METHOD="POST", body=b"abc")
    with RequestCore() as core:
        web = core.connect()
        for at in range(len(data)):
            web.sock.sendall(data[at : at + 1])
        app = core.accept()
        assert app.request()["CONTENT_LENGTH"] == "3"
        assert app.exactly(3) == b"abc"
        app.ok()
        assert web.response()[1]


def test_long_head_is_taken_up_to_the_limit() -> None:
    """A head beyond one look is read in steps; one beyond the cap is refused."""
    with RequestCore() as core:
        web = core.connect(scgi(HTTP_X_LONG="x" * 100_000))
        app = core.accept()
        assert len(app.request()["HTTP_X_LONG"]) == 100_000
        app.ok()
        assert web.status() == 200
        web = core.connect(scgi(HTTP_X_LONG="x" * 300_000)[:4000])
        assert web.status() == 400


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"0:,",
        b"3:abc,",
        b"012:aaaaaaaaaaaa,",
        b"9999999999:",
        b"\0" * 20,
        scgi(PASSENGER_CONNECT_SECRET="wrong"),
        scgi(SCGI="2"),
        scgi(REQUEST_URI="/%00"),
        scgi() + b"surplus",
        scgi(body=b"abc") + b"d",
        scgi()[:-1] + b";",
    ],
)
def test_malformed_requests_are_answered_400(data: bytes) -> None:
    """No process is bothered, and the next request works."""
    with RequestCore() as core:
        assert core.connect_at_once(data).status() == 400
        web = core.connect(scgi())
        app = core.accept()
        app.request()
        app.ok()
        assert web.status() == 200
        assert core.call(lambda: core.handler.malformed) == 1


def test_process_that_dies_before_answering_is_a_502_and_never_asked_again() -> None:
    """A2: at most once, also for GET."""
    with RequestCore() as core:
        web = core.connect(scgi(HTTP_X_REQUEST_ID="a-known-one"))
        app = core.accept()
        app.request()
        app.sock.close()
        data, clean = web.response()
        assert data.startswith(b"HTTP/1.1 502 ")
        assert clean
        core.app_listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            core.app_listener.accept()
        assert core.call(lambda: core.pool.open_sessions) == 0
        (line,) = [line for line in core.log_text().splitlines() if "ended early" in line]
        assert "app=blog pid=" in line
        assert "request_id=a-known-one" in line


def test_process_that_dies_in_its_head_leaks_nothing_of_it() -> None:
    """A3."""
    with RequestCore() as core:
        web = core.connect(scgi())
        app = core.accept()
        app.request()
        app.answer(b"HTTP/1.1 200 OK\r\nX-Secret")
        app.sock.close()
        data, _ = web.response()
        assert data.startswith(b"HTTP/1.1 502 ")
        assert b"Secret" not in data


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n"],
)
@pytest.mark.parametrize("request_body", [b"", b"x", b"y" * 100_000])
def test_response_cut_in_its_body_ends_with_a_reset(head: bytes, request_body: bytes) -> None:
    """A4, A5: the web server can tell that it is not whole."""
    with RequestCore() as core:
        web = core.connect()
        sender = _in_thread(web.sock.sendall, scgi(body=request_body))
        app = core.accept()
        app.request()
        app.exactly(len(request_body))
        sender()
        app.answer(head + b"abc")
        app.sock.close()
        data, clean = web.response()
        assert data.endswith(b"\r\n\r\nabc")
        assert not clean
        assert core.call(lambda: core.handler.aborted) == 1


def test_chunked_responses_are_decoded_and_keep_the_connection() -> None:
    """The web server gets the plain body, ended by a clean close; the process gets the next request."""
    with RequestCore() as core:
        web = core.connect(scgi())
        app = core.accept()
        app.request()
        app.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        app.answer(b"2;ext=1\r\nde\r\n0\r\nTrailer: x\r\n\r\n")
        assert web.response() == (b"HTTP/1.1 200 OK\r\n\r\nabcde", True)
        web = core.connect(scgi())
        app.request()
        app.ok()
        assert web.status() == 200


def test_surplus_bytes_never_reach_the_next_client() -> None:
    """A12: what follows the response is dropped, and the connection with it."""
    with RequestCore() as core:
        web = core.connect(scgi())
        app = core.accept()
        app.request()
        app.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        assert web.response()[0].endswith(b"\r\n\r\nok")
        assert app.at_end()
        web = core.connect(scgi())
        fresh = core.accept()
        fresh.request()
        fresh.ok(b"good")
        assert web.response()[0].endswith(b"good")


def test_bytes_on_a_parked_connection_end_it() -> None:
    """A12: an idle connection that speaks is not trusted with another request."""
    with RequestCore() as core:
        web = core.connect(scgi())
        app = core.accept()
        app.request()
        app.ok()
        web.response()
        app.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        assert app.at_end()
        web = core.connect(scgi())
        fresh = core.accept()
        fresh.request()
        fresh.ok(b"good")
        assert web.response()[0].endswith(b"good")


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\na",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 99 X\r\n\r\n",
        b"HTTP/1.1 200 OK\n\n",
    ],
)
def test_illegal_responses_are_a_502(answer: bytes) -> None:
    """A10, A11: refused, logged escaped, and the connection is not used again."""
    with RequestCore() as core:
        web = core.connect(scgi(HTTP_X_REQUEST_ID="a-known-one"))
        app = core.accept()
        app.request()
        app.answer(answer)
        if b"\r\n\r\n" not in answer:
            app.sock.shutdown(socket.SHUT_WR)
        assert web.status() == 502
        assert app.at_end()
        assert core.call(lambda: core.pool.open_sessions) == 0
        assert "application process" in core.log_text()
        assert "request_id=a-known-one" in core.log_text()


def test_interim_responses_are_swallowed() -> None:
    """A11: 100 and 103 do not reach the web server, which would take them as final."""
    with RequestCore() as core:
        web = core.connect(scgi())
        app = core.accept()
        app.request()
        app.answer(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
        app.ok(b"final")
        assert web.response() == (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfinal", True)


@pytest.mark.parametrize(
    ("method", "status"), [("HEAD", b"200 OK"), ("GET", b"304 Not Modified"), ("GET", b"204 No Content")]
)
def test_responses_without_a_body_end_with_their_head(method: str, status: bytes) -> None:
    """HEAD, 204, 304: complete at once; a forbidden body is dropped and ends the connection."""
    with RequestCore() as core:
        web = core.connect(scgi(REQUEST_METHOD=method))
        app = core.accept()
        app.request()
        app.answer(b"HTTP/1.1 " + status + b"\r\nContent-Length: 4\r\n\r\n")
        data, clean = web.response()
        assert data.endswith(b"\r\n\r\n")
        assert clean
        assert (b"Content-Length" in data) == (status != b"204 No Content")
        web = core.connect(scgi(REQUEST_METHOD=method))
        app.request()
        app.answer(b"HTTP/1.1 " + status + b"\r\nContent-Length: 4\r\n\r\nbody")
        assert web.response()[0] == data
        assert app.at_end()


def test_refused_connections_are_tried_again_with_another_process() -> None:
    """A13: the pool hears of the process that cannot be reached; the request goes to the next one."""
    with RequestCore(processes=0) as core:
        core.call(lambda: core.add_process(address="unix:/nonexistent/socket"))
        core.call(core.add_process)
        web = core.connect(scgi())
        app = core.accept()
        app.request()
        app.ok()
        assert web.status() == 200
        assert core.call(lambda: core.pool.failures) == ["No such file or directory"]


def test_socket_of_another_process_is_not_trusted() -> None:
    """F14: the kernel says who listens."""
    with RequestCore(processes=0) as core:
        core.call(lambda: core.add_process(pid=1))
        core.call(core.add_process)
        web = core.connect(scgi())
        core.accept()
        app = core.accept()
        app.request()
        app.ok()
        assert web.status() == 200
        assert core.call(lambda: core.pool.failures) == [f"its socket belongs to process {os.getpid()}"]


def test_ten_failed_processes_are_a_502() -> None:
    """The search for a process ends."""
    with RequestCore(processes=0) as core:
        for _ in range(12):
            core.call(lambda: core.add_process(address="unix:/nonexistent/socket"))
        assert core.connect(scgi()).status() == 502
        assert core.call(lambda: len(core.pool.failures)) == 10


def test_connections_of_other_users_are_closed() -> None:
    """F10: SO_PEERCRED decides before a byte is read."""
    with RequestCore(allowed_uids=[12345]) as core:
        data, _ = core.connect_at_once(scgi()).response()
        assert data == b""
        assert core.call(lambda: core.handler.malformed) == 1


def test_queued_client_that_leaves_is_forgotten() -> None:
    """E2: the process never hears of it."""
    with RequestCore() as core:
        core.connect(scgi(REQUEST_URI="/busy"))
        app = core.accept()
        app.request()
        queued = core.connect(scgi(REQUEST_URI="/gone"))
        core.until(lambda: len(core.pool.queue) == 1)
        queued.sock.close()
        core.until(lambda: core.pool.forgotten == 1)
        assert core.call(lambda: core.handler.active) == 1
        app.ok()
        core.connect(scgi(REQUEST_URI="/next"))
        assert app.request()["PATH_INFO"] == "/next"


def test_running_client_that_leaves_frees_the_place_when_the_process_is_free() -> None:
    """E7: the answer nobody wants is read and dropped, and never goes to the next client (E8)."""
    with RequestCore() as core:
        gone = core.connect(scgi(REQUEST_URI="/slow"))
        app = core.accept()
        app.request()
        gone.sock.close()
        core.until(lambda: core.handler.active == 0)
        assert core.call(lambda: core.pool.open_sessions) == 1
        web = core.connect(scgi(REQUEST_URI="/next"))
        core.until(lambda: len(core.pool.queue) == 1)
        app.ok(b"late answer")
        assert app.request()["PATH_INFO"] == "/next"
        app.ok(b"right answer")
        assert web.response()[0].endswith(b"right answer")


def test_endless_stream_of_a_client_that_left_is_ended() -> None:
    """E7: after 64 KiB that nobody wants, the process sees the end of the connection."""
    with RequestCore() as core:
        web = core.connect(scgi())
        app = core.accept()
        app.request()
        app.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        web.sock.close()
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            app.answer((b"400\r\n" + b"x" * 1024 + b"\r\n") * 10_000)
        core.until(lambda: core.pool.open_sessions == 0)


def test_upload_that_breaks_off_is_never_a_whole_body() -> None:
    """E6: the process sees the end of the stream before the announced length."""
    with RequestCore() as core:
        data = scgi(REQUEST_METHOD="POST", body=b"x" * 50_000)
        web = core.connect(data[:-10])
        app = core.accept()
        app.request()
        web.sock.close()
        with pytest.raises(EOFError):
            app.exactly(50_000)
        app.sock.close()
        core.until(lambda: core.pool.open_sessions == 0)


def test_answer_before_the_upload_is_over_reaches_the_web_server() -> None:
    """An early 413 is delivered although the web server still sends."""
    with RequestCore() as core:
        data = scgi(REQUEST_METHOD="POST", body=b"x" * 3_000_000)
        web = core.connect(data[:200_000])
        app = core.accept()
        app.request()
        app.answer(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        core.until(lambda: core.handler.handled == 1)
        web.sock.sendall(data[200_000:])
        assert web.response() == (b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", True)
        assert core.call(lambda: core.pool.open_sessions) == 0


def test_response_timeout_is_a_504_and_the_late_answer_is_dropped() -> None:
    """A6, E8: the place stays taken until the process is free again."""
    with RequestCore(apps={"blog": App(app_root="/", response_timeout=0.3)}) as core:
        web = core.connect(scgi())
        app = core.accept()
        app.request()
        assert web.status() == 504
        assert core.call(lambda: core.pool.open_sessions) == 1
        core.with_app(response_timeout=60.0)
        web = core.connect(scgi(REQUEST_URI="/next"))
        core.until(lambda: len(core.pool.queue) == 1)
        app.ok(b"late")
        assert app.request()["PATH_INFO"] == "/next"
        app.ok(b"right")
        assert web.response()[0].endswith(b"right")


def test_probes_need_no_pool() -> None:
    """`:livez` and its like are answered by the core itself."""
    with RequestCore(processes=0, probes=lambda name: (503, f"{name}: starting")) as core:
        data, _ = core.connect(scgi(app=":readyz")).response()
        assert data.startswith(b"HTTP/1.1 503 ")
        assert data.endswith(b"readyz: starting\n")


def test_unknown_application_is_a_503() -> None:
    """nginx and core disagree for a moment while a reload is applied."""
    with RequestCore() as core:
        assert core.connect(scgi(app="nobody")).status() == 503


def test_refusals_have_retry_after() -> None:
    """The queue is full: 503 at once."""
    with RequestCore() as core:
        refusal = Refusal(RefusalReason.QUEUE_FULL, "blog", retry_after=2)
        core.call(lambda: setattr(core.pool, "refusal", refusal))
        data, clean = core.connect(scgi()).response()
        assert data.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: 2\r\n" in data
        assert clean


def test_drain_serves_what_has_come_and_reports_once() -> None:
    """A stop loses no accepted request."""
    with RequestCore() as core:
        web = core.connect(scgi())
        app = core.accept()
        app.request()
        drained: list[bool] = []
        core.call(lambda: core.handler.stop_accepting(lambda: drained.append(True)))
        assert not drained
        app.ok()
        assert web.status() == 200
        core.until(lambda: drained == [True])


def test_close_cuts_what_is_running() -> None:
    """A forced stop never makes half a response look whole."""
    with RequestCore() as core:
        web = core.connect(scgi())
        app = core.accept()
        app.request()
        app.answer(b"HTTP/1.1 200 OK\r\n\r\npartial")
        head = web.sock.recv(26)
        core.call(core.handler.close)
        data, clean = web.response()
        assert (head + data).endswith(b"partial")
        assert not clean
        app.sock.close()


def test_requests_of_one_connection_are_framed_as_announced() -> None:
    """The length prefix covers exactly the pairs."""
    with RequestCore() as core:
        core.connect(scgi(REQUEST_METHOD="POST", body=b"abc"))
        app = core.accept()
        (length,) = struct.unpack("!I", app.exactly(4))
        assert app.exactly(length).endswith(b"\0")
        assert app.exactly(3) == b"abc"


def _in_thread(action: Callable[[bytes], None], data: bytes) -> Callable[[], None]:
    """Run beside the test; the result waits for the end."""
    thread = threading.Thread(target=action, args=(data,))
    thread.start()
    return thread.join


def test_slow_client_that_leaves_in_the_queue_is_noticed_too() -> None:
    """E2 for a head that took longer than a tick to arrive."""
    with RequestCore() as core:
        core.connect(scgi())
        app = core.accept()
        app.request()
        data = scgi(REQUEST_URI="/slow")
        slow = core.connect(data[:100])
        core.until(lambda: not core.handler.wheel.fresh)
        slow.sock.sendall(data[100:])
        core.until(lambda: len(core.pool.queue) == 1)
        slow.sock.close()
        core.until(lambda: core.pool.forgotten == 1)
        app.ok()


def test_accepting_pauses_without_descriptors_and_recovers() -> None:
    """D2: the connections wait in the kernel, and everybody is answered in the end."""
    with RequestCore(processes=0, probes=lambda name: (200, name)) as core:
        sockets = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest_free = os.dup(0)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
        try:
            for sock in sockets:
                sock.connect(core.path)
            core.until(lambda: "cannot accept" in core.log_text())
            assert core.call(lambda: core.handler.active) == 0
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for sock in sockets:
            sock.sendall(scgi(app=":livez"))
            assert WebEnd(sock).status() == 200
            sock.close()


def test_hundreds_may_wait_and_are_served_in_order() -> None:
    """E1: one process, 300 queued requests, first come first served."""
    with RequestCore() as core:
        first = core.connect(scgi(REQUEST_URI="/first"))
        app = core.accept()
        assert app.request()["PATH_INFO"] == "/first"
        waiting = []
        for number in range(300):
            waiting.append(core.connect(scgi(REQUEST_URI=f"/{number}")))
            expected = number + 1
            core.until(lambda: len(core.pool.queue) == expected)  # noqa: B023 - called before the next turn
        app.ok(b"first")
        assert first.response()[0].endswith(b"first")
        for number, web in enumerate(waiting):
            path = app.request()["PATH_INFO"]
            assert path == f"/{number}"
            app.ok(path.encode())
            assert web.response()[0].endswith(path.encode())
