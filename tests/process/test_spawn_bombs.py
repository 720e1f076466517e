"""Fork bombs: a process that forks as fast as it can, in process groups of its own, is ended with all that it made."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from passenger.spawn.spawner import SpawnError
from tests.support.preloading import counted, smart
from tests.support.spawning import Place, place, run

BOMB = """
import os, resource, time
def explode():
    os.open("alive", os.O_WRONLY)  # whoever comes of this has it, too
    own = sum(os.stat("/proc/" + name).st_uid == os.getuid() for name in os.listdir("/proc") if name.isdigit())
    resource.setrlimit(resource.RLIMIT_NPROC, (own + 100, own + 100))
    fuel, tank = os.pipe()  # whatever limits hold here, there are no more than these
    os.write(tank, b"x" * 200)
    os.set_blocking(fuel, False)
    made, note = os.pipe()
    burnt_out = time.monotonic() + 30
    if os.fork() == 0:
        while time.monotonic() < burnt_out:
            try:
                os.read(fuel, 1)
                if os.fork() == 0:
                    os.setpgid(0, 0)
                    os.write(note, b"x")
            except OSError:
                time.sleep(0)
        os._exit(0)
    for _ in range(50):
        os.read(made, 1)
    raise RuntimeError("it has exploded")
"""
WHILE_LOADING = BOMB + "explode()"
AFTER_THE_FORK = BOMB + "def passenger_after_fork():\n    explode()"


@pytest.fixture(name="here")
def _here() -> Iterator[Place]:
    with place() as made:
        yield made


@contextmanager
def all_dead(folder: Path) -> Iterator[None]:
    """Somebody has the FIFO `alive` open meanwhile, and at the end nobody has."""
    os.mkfifo(folder / "alive")
    (folder / "alive").chmod(0o666)
    fd = os.open(folder / "alive", os.O_RDONLY | os.O_NONBLOCK)
    try:
        yield
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        assert poll.poll(10_000) == [(fd, select.POLLHUP)], "somebody lives on, or nothing exploded"
    finally:
        os.close(fd)


@pytest.mark.parametrize("source", [WHILE_LOADING, AFTER_THE_FORK], ids=["while it loads", "after the fork"])
def test_out_of_a_preloader(here: Place, source: str) -> None:
    """In the preloader itself, and in a process that it forked; the preloader stays then."""
    app = counted(here, source)

    async def life() -> None:
        async with smart(here, app) as spawner:
            with pytest.raises(SpawnError) as raised:
                await spawner.spawn()
            assert "it has exploded" in raised.value.output
            assert (spawner.preloader_pid is None) == (source == WHILE_LOADING)

    with all_dead(Path(app.app_root)):
        run(life())


def test_directly(here: Place) -> None:
    """The session is ended before its leader is reaped."""
    app = counted(here, WHILE_LOADING)
    with all_dead(Path(app.app_root)):
        assert "it has exploded" in here.fails(app).output
