"""B8: no descriptors left for another process. What runs serves on, nothing leaks, and it heals by itself."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from passenger.spawn.spawner import SpawnError
from tests.support.spawning import Place, ask, descriptors, place, run, stopped


@pytest.fixture(name="here")
def _here() -> Iterator[Place]:
    with place() as made:
        yield made


@contextlib.contextmanager
def only(more: int) -> Iterator[None]:
    """This process may open so many more descriptors."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The limit is about numbers: descriptors stand close together, but for gaps, which are filled first.
    highest = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
    gaps = [os.open(os.devnull, os.O_RDONLY) for _ in range(highest + 1 - descriptors(os.getpid()))]
    free = max([*gaps, highest])
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1 + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for fd in gaps:
            os.close(fd)


@pytest.mark.parametrize("more", range(11))
def test_a_start_without_descriptors_fails_and_leaves_nothing(here: Place, more: int) -> None:
    """Wherever it runs out of them: an error that says so, no process, no descriptor; the next start works."""

    async def life() -> SpawnError:
        app = here.app("blog")
        first = await here.spawner(app).spawn()
        before, children = descriptors(os.getpid()), own_children()
        with only(more):
            with pytest.raises(SpawnError) as caught:
                await here.spawner(app).spawn()
            if more:
                assert ask(first).endswith(b"hello")
        assert descriptors(os.getpid()) <= before
        assert own_children() == children
        second = await here.spawner(app).spawn()
        assert ask(second).endswith(b"hello")
        await stopped(second)
        await stopped(first)
        return caught.value

    error = run(life())
    assert error.category in {"resources", "exec-failed"}
    assert "Too many open files" in error.summary
    assert error.hint


def own_children() -> list[str]:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
