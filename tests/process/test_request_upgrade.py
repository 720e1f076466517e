"""Upgrades through a real RequestHandler, with the test as web server and as application process."""

from __future__ import annotations

import os
import socket
import threading

import psutil
import pytest

from passenger.pool.session import Refusal, RefusalReason
from passenger.request.tunnel import Way
from tests.support.requestcore import DEADLINE, RequestCore, upgrade
from tests.support.tunnels import SWITCH, ask, exactly, head_of, http_core, is_reset, over, tunnelled

MIB = 1024 * 1024


def test_an_upgrade_becomes_a_tunnel_and_a_session() -> None:
    """The application gets the upgrade, the web server the 101, both the bytes of the other; then it is counted."""
    with http_core() as core:
        web = ask(core)
        app = core.accept()
        head = head_of(app)
        assert head.startswith(b"GET /chat?a=b HTTP/1.1\r\nhost: localhost:8080\r\n")
        assert b"\r\nconnection: upgrade\r\nupgrade: websocket\r\n" in head
        app.answer(SWITCH + b"\x81\x02hi")
        assert head_of(web) == (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"
        )
        assert exactly(web, 4) == b"\x81\x02hi"
        web.sock.sendall(b"from the client")
        assert app.exactly(15) == b"from the client"
        app.answer(b"\x89\x00")
        assert exactly(web, 2) == b"\x89\x00"
        assert core.call(lambda: core.pool.open_sessions) == 1
        status = core.call(core.handler.status)
        assert (status["upgraded"], status["tunnels"]) == (1, 1)
        web.sock.close()
        assert app.at_end()
        app.sock.close()
        over(core)
        assert core.call(core.handler.status)["upgraded"] == 1


def test_head_that_comes_byte_by_byte_is_the_same_request() -> None:
    """Also one that is longer than a look."""
    with http_core() as core:
        data = upgrade({"X-Long": "x" * 40_000})
        web = ask(core, data[:1])
        for at in range(1, 600):
            web.sock.sendall(data[at : at + 1])
        web.sock.sendall(data[600:-2])
        web.sock.sendall(data[-2:-1])
        web.sock.sendall(data[-1:])
        app = core.accept()
        assert b"x" * 40_000 in head_of(app)
        app.answer(SWITCH)
        head_of(web)
        web.sock.sendall(b"x")
        assert app.exactly(1) == b"x"


@pytest.mark.parametrize(
    "data",
    [
        upgrade({"X-Passenger-Connect-Secret": "wrong"}),
        upgrade() + b"surplus",
        upgrade({"Upgrade": ""}),
        upgrade(target="/%00"),
        b"\0" * 16,
    ],
)
def test_malformed_requests_are_answered_400(data: bytes) -> None:
    """Nothing of it reaches a process."""
    with http_core() as core:
        web = core.call(lambda: ask(core, data if b"\r\n\r\n" in data else data + b"\r\n\r\n"))
        assert web.status() == 400
        assert core.call(lambda: core.pool.granted) == 0


def test_head_without_end_is_limited() -> None:
    """Nothing beyond the cap is kept."""
    with http_core() as core:
        web = ask(core)
        web = ask(core, upgrade()[:-2])
        try:
            web.sock.sendall(b"X: " + b"x" * 300_000)
        except ConnectionError:
            pass
        else:
            assert web.status() == 400
        core.until(lambda: core.handler.malformed == 1)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", b"no"),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
            b"no",
        ),
        (b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n", b""),
    ],
)
def test_answer_that_is_no_switch_is_an_ordinary_response(answer: bytes, body: bytes) -> None:
    """And the end of the connection to the process."""
    with http_core() as core:
        web = ask(core)
        app = core.accept()
        head_of(app)
        app.answer(answer)
        data, clean = web.response()
        assert clean
        assert data.endswith(b"\r\n\r\n" + body)
        assert app.at_end()
        over(core)


def test_ordinary_response_that_is_cut_resets_the_web_server() -> None:
    """N2 holds on this socket, too."""
    with http_core() as core:
        web = ask(core)
        app = core.accept()
        head_of(app)
        app.answer(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        assert exactly(web, 23).endswith(b"half")
        core.call(core.handler.close)
        assert web.response() == (b"", False)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 101",
        b"nonsense\r\n\r\n",
        SWITCH.replace(b"websocket", b"h2c"),
        b"HTTP/1.1 103 X\r\n\r\n" * 20,
    ],
)
def test_process_that_answers_badly_is_a_502(answer: bytes) -> None:
    """Crash before the answer, in its head, a wrong one."""
    with http_core() as core:
        web = ask(core)
        app = core.accept()
        head_of(app)
        app.answer(answer)
        app.sock.close()
        assert web.status() == 502
        over(core)


def test_upgrades_wait_in_the_queue_and_leave_it() -> None:
    """A tunnel takes a place; who waits for one may go, and who is refused gets an answer."""
    with http_core(concurrency=1) as core:
        web, app = tunnelled(core)
        waiting = ask(core)
        core.until(lambda: len(core.pool.queue) == 1)
        waiting.sock.close()
        core.until(lambda: core.pool.forgotten == 1)
        second = ask(core)
        core.until(lambda: len(core.pool.queue) == 1)
        web.sock.close()
        app.sock.close()
        other = core.accept()
        head_of(other)
        other.answer(SWITCH)
        assert b" 101 " in head_of(second)
        core.pool.refusal = Refusal(RefusalReason.QUEUE_FULL, "blog")
        assert ask(core).status() == 503


def test_client_that_leaves_before_the_answer_frees_the_place() -> None:
    """The process sees the end."""
    with http_core() as core:
        web = ask(core)
        app = core.accept()
        head_of(app)
        web.sock.close()
        assert app.at_end()
        over(core)


def test_response_timeout_counts_until_the_answer_only() -> None:
    """504 for a process that does not answer; an open tunnel has no limit of ours."""
    with http_core() as core:
        core.with_app(response_timeout=0.2)
        web, app = tunnelled(core)
        late = ask(core)
        head_of(core.accept())
        assert late.status() == 504
        web.sock.sendall(b"x")
        assert app.exactly(1) == b"x"


def test_process_that_speaks_the_session_protocol_gets_a_plain_request() -> None:
    """It cannot switch; the web server was told otherwise by a mistake, and the client gets an answer."""
    with RequestCore() as core:
        web = ask(core)
        app = core.accept()
        request = app.request()
        assert request["REQUEST_URI"] == "/chat?a=b"
        assert not {"HTTP_UPGRADE", "HTTP_CONNECTION"} & set(request)
        app.ok()
        assert web.status() == 200


# Ends


def test_application_that_ends_its_way_may_still_read() -> None:
    """Half-close: what the client sent before it learnt of it arrives."""
    with http_core() as core:
        web, app = tunnelled(core)
        app.answer(b"\x82\x01x")
        app.sock.shutdown(socket.SHUT_WR)
        assert exactly(web, 3) == b"\x82\x01x"
        assert is_reset(web)
        web.sock.sendall(b"last words")
        web.sock.shutdown(socket.SHUT_WR)
        assert app.exactly(10) == b"last words"
        assert app.at_end()
        over(core)


def test_client_that_ends_its_way_may_still_read() -> None:
    """The other half."""
    with http_core() as core:
        web, app = tunnelled(core)
        web.sock.shutdown(socket.SHUT_WR)
        assert app.at_end()
        app.answer(b"\x82\x01x")
        assert exactly(web, 3) == b"\x82\x01x"
        app.sock.close()
        assert is_reset(web)
        over(core)


def test_half_a_tunnel_has_a_deadline() -> None:
    """Nobody keeps a place with a connection that is closed on the other side."""
    with http_core() as core:
        web, app = tunnelled(core)
        web.sock.shutdown(socket.SHUT_WR)
        assert app.at_end()
        assert is_reset(web)
        over(core)


def test_crash_of_the_application_ends_the_tunnel_without_a_close_frame() -> None:
    """What a client calls 1006: the stream ends in the middle."""
    with http_core() as core:
        web, app = tunnelled(core)
        app.answer(b"\x82\x7e\x10\x00part")
        app.sock.close()
        data, _ = web.response()
        assert data == b"\x82\x7e\x10\x00part"
        web.sock.close()
        over(core)


@pytest.mark.parametrize("status", [1001, 1012])
def test_tunnel_is_closed_politely_at_the_end_of_a_frame(status: int) -> None:
    """1001 on a drain, 1012 when the process is replaced; the answer of the client reaches the application."""
    with http_core() as core:
        web, app = tunnelled(core)
        app.answer(b"\x82\x04ab")
        assert exactly(web, 4) == b"\x82\x04ab"
        drained = threading.Event()
        if status == 1001:
            core.call(lambda: core.handler.stop_accepting(drained.set))
        else:
            core.call(lambda: next(iter(core.pool.processes[0].upgraded)).process_leaves())
        app.answer(b"cd\x82\x02ef")
        assert exactly(web, 6) == b"cd\x88\x02" + status.to_bytes(2, "big")
        web.sock.sendall(b"\x88\x82\0\0\0\0" + status.to_bytes(2, "big"))
        assert app.exactly(8).endswith(status.to_bytes(2, "big"))
        app.answer(b"\x88\x02" + status.to_bytes(2, "big"))
        app.sock.close()
        assert is_reset(web)
        web.sock.close()
        over(core)
        assert status != 1001 or drained.wait(DEADLINE)


def test_tunnel_at_rest_is_closed_at_once() -> None:
    """No frame is under way, so nothing is waited for."""
    with http_core() as core:
        web, _ = tunnelled(core)
        core.call(lambda: core.handler.stop_accepting(lambda: None))
        assert exactly(web, 4) == b"\x88\x02\x03\xe9"


def test_second_close_frame_is_never_sent() -> None:
    """The application has begun to close: it goes on with that."""
    with http_core() as core:
        web, app = tunnelled(core)
        app.answer(b"\x88\x02\x03")
        assert exactly(web, 3) == b"\x88\x02\x03"
        core.call(lambda: core.handler.stop_accepting(lambda: None))
        app.answer(b"\xe8")
        app.sock.close()
        data, _ = web.response()
        assert data == b"\xe8"


def test_client_that_does_not_answer_the_close_frame_is_cut() -> None:
    """After three seconds the drain goes on without it."""
    with http_core() as core:
        web, app = tunnelled(core)
        drained = threading.Event()
        core.call(lambda: core.handler.stop_accepting(drained.set))
        assert drained.wait(DEADLINE)
        assert app.at_end()
        data, _ = web.response()
        assert data == b"\x88\x02\x03\xe9"
        over(core)


def test_other_protocols_are_cut_on_a_drain() -> None:
    """Nobody knows where a message of theirs ends."""
    with http_core() as core:
        web = ask(core, upgrade({"Upgrade": "chat/2"}))
        app = core.accept()
        head_of(app)
        app.answer(SWITCH.replace(b"websocket", b"chat/2"))
        head_of(web)
        core.call(lambda: core.handler.stop_accepting(lambda: None))
        assert is_reset(web)
        assert app.at_end()
        over(core)


def test_upgrade_during_a_drain_or_after_a_retirement_is_closed_as_soon_as_it_is_open() -> None:
    """It was granted before, and answered after."""
    with http_core() as core:
        web = ask(core)
        app = core.accept()
        head_of(app)
        core.call(lambda: setattr(core.pool.processes[0], "is_retired", True))
        app.answer(SWITCH)
        head_of(web)
        assert exactly(web, 4) == b"\x88\x02\x03\xf4"


def test_flood_that_nobody_reads_waits_outside_of_the_core() -> None:
    """Back-pressure both ways: the memory of the core stays where it was, and every byte arrives in the end."""
    count = 40 * MIB
    frame = b"\x82\x7f" + (MIB).to_bytes(8, "big") + bytes(MIB)
    with http_core() as core:
        web, app = tunnelled(core)
        before = psutil.Process().memory_info().rss
        sent = [0, 0]

        def flood(number: int, sock: socket.socket, piece: bytes) -> None:
            while sent[number] < count:
                sent[number] += sock.send(piece)

        threads = [
            threading.Thread(target=flood, args=(0, app.sock, frame[:10] + bytes(65526))),
            threading.Thread(target=flood, args=(1, web.sock, bytes(65536))),
        ]
        for thread in threads:
            thread.start()
        core.until(lambda: sum(way._backlog is not None for way in ways(core)) == 2)
        assert max(sent) < 8 * MIB
        assert psutil.Process().memory_info().rss - before < 8 * MIB
        got = [0, 0]

        def read(number: int, sock: socket.socket) -> None:
            while got[number] < count:
                got[number] += len(sock.recv(MIB))

        readers = [threading.Thread(target=read, args=(0, web.sock)), threading.Thread(target=read, args=(1, app.sock))]
        for thread in readers:
            thread.start()
        for thread in (*threads, *readers):
            thread.join(DEADLINE)
        assert got == sent
        assert psutil.Process().memory_info().rss - before < 16 * MIB


def ways(core: RequestCore) -> tuple[Way, Way]:
    (client,) = core.handler.tunnels
    tunnel = client._tunnel
    assert tunnel is not None
    return tunnel._to_app, tunnel._to_web


def test_many_tunnels_leave_nothing_behind() -> None:
    """No descriptor, no session, no entry anywhere, whoever ends them."""
    with http_core() as core:
        core.until(lambda: core.handler.active == 0)
        before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - numbers
        for number in range(100):
            web, app = tunnelled(core)
            first, second = (web, app) if number % 2 else (app, web)
            first.sock.close()
            second.sock.close()
        over(core)
        assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
