"""Tunnels through a RequestCore: what is said until one is open, and that nothing of it is left."""

from __future__ import annotations

from typing import Any

from tests.support.pool import StillClock
from tests.support.requestcore import AppEnd, RequestCore, WebEnd, upgrade

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


def http_core(*, concurrency: int = 0, **options: Any) -> RequestCore:
    """A core whose application speaks HTTP."""
    return RequestCore(concurrency=concurrency, protocol="http_session", **options)


def ask(core: RequestCore, data: bytes = b"") -> WebEnd:
    """The web server asks for an upgrade."""
    return core.connect(data or upgrade(), path=core.upgrade_path)


def exactly(end: AppEnd | WebEnd, count: int) -> bytes:
    return AppEnd(end.sock).exactly(count)


def head_of(end: AppEnd | WebEnd) -> bytes:
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        data += exactly(end, 1)
    return data


def tunnelled(core: RequestCore, data: bytes = b"") -> tuple[WebEnd, AppEnd]:
    """An open tunnel."""
    web = ask(core, data)
    app = core.accept()
    head_of(app)
    app.answer(SWITCH)
    assert head_of(web).startswith(b"HTTP/1.1 101 ")
    return web, app


def is_reset(end: WebEnd | AppEnd) -> bool:
    """Wait for the end of the stream, clean or not."""
    try:
        return end.sock.recv(1) == b""
    except ConnectionResetError:
        return True


def over(core: RequestCore) -> None:
    """Everything is given back."""
    core.until(lambda: core.handler.active == 0 and core.pool.open_sessions == 0)
    assert core.call(lambda: len(core.handler.tunnels)) == 0
    assert core.call(lambda: len(core.handler.connections)) == 0
    assert core.call(lambda: [process.upgraded for process in core.pool.processes]) == [{}]


def pass_by(core: RequestCore, clock: StillClock, seconds: float) -> None:
    """The time goes on, in two steps: who joined the wheel since its last tick is looked at in the next but one."""
    for step in (seconds - 0.5, 0.5):
        jump(core, clock, step)
        core.until(lambda: core.handler.wheel.now >= int(clock.now / 0.25))


def jump(core: RequestCore, clock: StillClock, seconds: float) -> None:
    """The time goes on, and the wheel will see it, if it turns any more."""
    core.call(lambda: setattr(clock, "now", clock.now + seconds))
