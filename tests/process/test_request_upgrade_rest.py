"""Tunnels over which nothing goes: `websocket_idle_timeout`, by a clock that the test moves."""

from __future__ import annotations

from tests.support.pool import StillClock
from tests.support.requestcore import upgrade
from tests.support.tunnels import SWITCH, ask, exactly, head_of, http_core, is_reset, jump, over, pass_by, tunnelled

PING = b"\x89\x00"
GOING_AWAY = b"\x88\x02\x03\xe9"


def test_tunnel_at_rest_is_closed_politely() -> None:
    """Not before its time; something in either direction makes it start anew; then 1001."""
    clock = StillClock()
    with http_core(clock=clock) as core:
        web, app = tunnelled(core)
        pass_by(core, clock, 3000)
        app.answer(PING)
        assert exactly(web, 2) == PING
        pass_by(core, clock, 3000)
        web.sock.sendall(PING)
        assert app.exactly(2) == PING
        pass_by(core, clock, 3000)
        assert core.call(lambda: core.handler.status()["tunnels"]) == 1
        pass_by(core, clock, 700)
        assert exactly(web, 4) == GOING_AWAY
        web.sock.sendall(b"\x88\x82\0\0\0\0\x03\xe9")
        assert app.exactly(8)[-2:] == b"\x03\xe9"
        app.sock.close()
        assert is_reset(web)
        web.sock.close()
        over(core)


def test_client_that_does_not_answer_is_cut() -> None:
    """Somebody whose connection is long gone."""
    clock = StillClock()
    with http_core(clock=clock) as core:
        web, app = tunnelled(core)
        pass_by(core, clock, 3602)
        assert exactly(web, 4) == GOING_AWAY
        jump(core, clock, 4)
        assert is_reset(web)
        assert app.at_end()
        over(core)


def test_other_protocols_are_cut_at_rest() -> None:
    """Without a Close frame, which only WebSocket has."""
    clock = StillClock()
    with http_core(clock=clock) as core:
        web = ask(core, upgrade({"Upgrade": "chat/2"}))
        app = core.accept()
        head_of(app)
        app.answer(SWITCH.replace(b"websocket", b"chat/2"))
        head_of(web)
        pass_by(core, clock, 3602)
        assert is_reset(web)
        over(core)


def test_limit_is_changed_for_open_tunnels() -> None:
    """A reload makes it shorter, longer, or takes it away."""
    clock = StillClock()
    with http_core(clock=clock) as core:
        web, app = tunnelled(core)
        core.with_app(websocket_idle_timeout=0.0)
        pass_by(core, clock, 100_000)
        app.answer(PING)
        assert exactly(web, 2) == PING
        core.with_app(websocket_idle_timeout=50.0)
        pass_by(core, clock, 40)
        assert core.call(lambda: core.handler.status()["tunnels"]) == 1
        core.with_app(websocket_idle_timeout=30.0)
        pass_by(core, clock, 1)
        assert exactly(web, 4) == GOING_AWAY


def test_waiting_for_the_answer_is_no_rest() -> None:
    """How long the application may take to agree is `response_timeout`'s business."""
    clock = StillClock()
    with http_core(clock=clock) as core:
        core.with_app(websocket_idle_timeout=5.0, response_timeout=0.0)
        web = ask(core)
        app = core.accept()
        head_of(app)
        pass_by(core, clock, 60)
        app.answer(SWITCH)
        assert head_of(web).startswith(b"HTTP/1.1 101 ")
        pass_by(core, clock, 4)
        app.answer(PING)
        assert exactly(web, 2) == PING
        pass_by(core, clock, 7)
        assert exactly(web, 4) == GOING_AWAY
