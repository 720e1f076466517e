"""When a reload of nginx is over: its workers' titles are all that there is to see."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from typing import cast

import pytest

from passenger.watchdog.handover import PATIENCE, is_accepting, when_left, workers
from passenger.watchdog.loop import Loop

WORKER, LEAVING = "nginx: worker process", "nginx: worker process is shutting down"


@contextlib.contextmanager
def titled(title: str) -> Iterator[int]:
    """A child with this title, until its input ends."""
    pipe = subprocess.PIPE
    with subprocess.Popen([title], executable="/bin/cat", stdin=pipe, stdout=pipe, bufsize=0) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(b"x")
        assert child.stdout.read(1) == b"x", "it runs, so the kernel has taken its title"
        yield child.pid


class Turns:
    """A loop whose time goes on by what it waits for."""

    def __init__(self) -> None:
        self.clock = self
        self.now = 0.0
        self.calls: list[tuple[float, Callable[[], None]]] = []

    def monotonic(self) -> float:
        return self.now

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        self.calls.append((seconds, call))

    def run(self) -> None:
        while self.calls:
            seconds, call = self.calls.pop(0)
            self.now += seconds
            call()


@pytest.mark.parametrize(
    ("title", "accepts"), [(WORKER, True), (LEAVING, False), ("nginx: cache manager process", False)]
)
def test_only_a_worker_that_stays_takes_connections(title: str, accepts: bool) -> None:  # noqa: FBT001
    with titled(title) as pid:
        assert is_accepting(pid) is accepts
        assert (pid in workers(os.getpid())) is accepts
    assert not is_accepting(pid), "it has ended"


def test_it_is_over_at_once_later_or_when_patience_is() -> None:
    loop, over = Turns(), list[float]()

    def note() -> None:
        over.append(loop.now)

    with titled(WORKER) as pid:
        when_left(cast(Loop, loop), {pid}, note)
        assert not over
        loop.run()
        assert over.pop() >= PATIENCE
    when_left(cast(Loop, loop), {pid}, note)
    assert not over, "never before the caller is done"
    began = loop.now
    loop.run()
    assert over == [began]
