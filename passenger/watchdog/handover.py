"""When have old workers of nginx left the sockets to new ones? Only then a reload is over for those who connect next.

Rules.
1. A worker that was told to finish says so in its title, then closes its listening sockets; nobody else is told.
2. Nothing depends on it: after PATIENCE, or where /proc does not show children, the reload is over all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from passenger.watchdog.loop import Loop

PATIENCE: Final = 2.0
LOOK_AFTER: Final = 0.02
ACCEPTING: Final = b"nginx: worker process"
LEAVING: Final = b"nginx: worker process is shutting down"


def is_accepting(pid: int) -> bool:
    """Whether this process is a worker that takes new connections."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as stream:
            title = stream.read(len(LEAVING))
    except OSError:
        return False
    return title.startswith(ACCEPTING) and not title.startswith(LEAVING)


def workers(master: int) -> set[int]:
    """Those of a master that take new connections."""
    try:
        with open(f"/proc/{master}/task/{master}/children", encoding="ascii") as stream:
            children = stream.read()
    except OSError:
        return set()
    return {int(pid) for pid in children.split() if is_accepting(int(pid))}


def when_left(loop: Loop, old: set[int], call: Callable[[], None]) -> None:
    """Call once, later, when none of them takes new connections any more, or PATIENCE is over."""
    until = loop.clock.monotonic() + PATIENCE

    def look() -> None:
        if any(map(is_accepting, old)) and loop.clock.monotonic() < until:
            loop.after(LOOK_AFTER, look)
        else:
            call()

    loop.after(0, look)
