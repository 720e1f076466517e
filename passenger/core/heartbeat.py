"""The core's sign of life: a message to the watchdog every BEAT seconds, from the event loop that serves requests.

Rules.
1. It says how late the loop was, so that a core that is alive but does not get round to anything is seen, too.
2. Words about applications are only made for somebody who reads them: a service manager.
3. Until every application has started it looks more often, so that "ready" is said when it is true.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from passenger.core.feedback import Feedback
from passenger.instance.plan import CoreLaunch
from passenger.pool.pool import Pool
from passenger.wire.status import PoolStatus

BEAT: Final = 5.0
STARTING_BEAT: Final = 0.1
FAILING_NAMES: Final = 3
"""Names of failing applications in a status line."""


class Heartbeat:
    """Beats from `start` on, as long as the loop turns."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        send: Callable[[Mapping[str, Any]], None],
        is_started: Callable[[], bool],
        pool: Callable[[], PoolStatus] | None,
    ) -> None:
        """`pool` None: nobody reads a status."""
        self._loop = loop
        self._send = send
        self._is_started = is_started
        self._pool = pool
        self._sent_at = -BEAT
        self._was_started = False

    def start(self) -> None:
        """The first beat comes at once."""
        self._beat(self._loop.time())

    def _beat(self, due: float) -> None:
        now = self._loop.time()
        started = self._is_started()
        if started is not self._was_started or now - self._sent_at >= BEAT:
            self._was_started = started
            self._sent_at = now
            text = summary(self._pool()) if self._pool is not None else ""
            self._send({"event": "beat", "late": round(now - due, 3), "started": started, "text": text})
        after = now + (BEAT if started else STARTING_BEAT)
        self._loop.call_at(after, self._beat, after)


def say_ready(launch: CoreLaunch, pool: Pool, feedback: Feedback, loop: asyncio.AbstractEventLoop) -> None:
    """Begin to beat, and tell the watchdog that requests are served."""
    status = pool.snapshot if launch.status_wanted else None
    Heartbeat(loop=loop, send=feedback.send, is_started=pool.is_started, pool=status).start()
    feedback.send({"event": "ready"})


def summary(pool: PoolStatus) -> str:
    """One line for `systemctl status`: how much there is of what, and what fails."""
    groups = pool["groups"]
    failing = [group["name"] for group in groups if group["last_error"] is not None and not group["processes"]]
    starting = sum(group["spawning"] for group in groups)
    words = [
        _counted(len(groups), "application", "applications"),
        _counted(pool["processes"], "process", "processes") + (f" ({starting} starting)" if starting else ""),
        _counted(pool["queue"], "request queued", "requests queued"),
    ]
    named = ", ".join(failing[:FAILING_NAMES]) + (", ..." if len(failing) > FAILING_NAMES else "")
    return ", ".join(words) + (f"; failing to start: {named}" if failing else "")


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
