"""Smart spawns with the real preloader: how preloader and processes end, each without the other (fault matrix B6)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from passenger.spawn.spawner import Exit, SpawnError
from tests.support.preloading import counted, dead, loads, parent, smart, with_hostile
from tests.support.spawning import HELLO, Place, ask, descriptors, exited, place, proc_text, readable, run, stopped


@pytest.fixture(name="here")
def _here() -> Iterator[Place]:
    with place() as made:
        yield made


def test_a_process_that_hangs_after_the_fork_is_ended_by_the_deadline(here: Place) -> None:
    """And nothing of it stays."""
    body = "def passenger_after_fork():\n    print('at', os.getpid(), flush=True)\n    import threading\n    threading.Event().wait()\n"

    async def life() -> None:
        async with smart(here, counted(here, body, start_timeout=1.0)) as spawner:
            with pytest.raises(SpawnError) as raised:
                await spawner.spawn()
            assert raised.value.category == "timeout"
            await dead(int(raised.value.output.split()[1]))
            assert spawner.preloader_pid is not None

    run(life())


def test_a_killed_preloader_is_replaced_and_its_processes_go_on(here: Place) -> None:
    """B6: existing workers untouched, the next spawn comes from a fresh preloader."""
    app = counted(here)

    async def life() -> None:
        async with smart(here, app) as spawner:
            old = await spawner.spawn()
            first = spawner.preloader_pid
            assert first is not None
            os.kill(first, signal.SIGKILL)
            new = await spawner.spawn()
            assert loads(here, app) == [first, spawner.preloader_pid]
            assert ask(old).endswith(str(parent(old.pid)).encode())
            ask(new)
            end = await stopped(old)
            assert end.status in {0, None}  # whoever adopted it may have reaped it before it could be looked at
            await stopped(new)

    run(life())


def test_a_stopped_preloader_is_not_waited_for_longer_than_start_timeout(here: Place) -> None:
    """B6, hung: it is killed, a fresh one is asked."""
    app = counted(here, start_timeout=1.5)

    async def life() -> None:
        async with smart(here, app) as spawner:
            await stopped(await spawner.spawn())
            hung = spawner.preloader_pid
            assert hung is not None
            os.kill(hung, signal.SIGSTOP)
            await stopped(await spawner.spawn())
            assert spawner.preloader_pid not in {None, hung}
            await dead(hung)

    run(life())
    assert "ask the preloader" in here.log_text()


def test_an_idle_preloader_is_stopped_and_started_again_when_needed(here: Place) -> None:
    """max_preloader_idle_time; its processes go on."""
    app = counted(here, max_preloader_idle_time=0.05)

    async def life() -> None:
        async with smart(here, app) as spawner:
            process = await spawner.spawn()
            first = spawner.preloader_pid
            assert first is not None
            await dead(first)
            assert spawner.preloader_pid is None
            assert ask(process)
            again = await spawner.spawn()
            assert len(loads(here, app)) == 2
            await stopped(process)
            await stopped(again)

    run(life())


def test_an_idle_time_of_zero_keeps_the_preloader(here: Place) -> None:
    """0s = never: no timer is set."""
    app = counted(here, max_preloader_idle_time=0.0)

    async def life() -> None:
        async with smart(here, app) as spawner:
            await stopped(await spawner.spawn())
            assert spawner._idle is None
            assert spawner.preloader_pid is not None

    run(life())


@pytest.mark.parametrize("before", [0.0, 3600.0])
def test_a_new_idle_time_holds_for_the_preloader_that_runs(here: Place, before: float) -> None:
    """Live: counted from when it was needed last; nobody has to be started first."""
    app = counted(here, max_preloader_idle_time=before)

    async def life() -> None:
        async with smart(here, app) as spawner:
            await stopped(await spawner.spawn())
            preloader = spawner.preloader_pid
            assert preloader is not None
            spawner.change(replace(app, max_preloader_idle_time=0.05))
            await dead(preloader)

    run(life())


def test_a_new_idle_time_of_zero_keeps_the_preloader_that_runs(here: Place) -> None:
    """The timer that was set is gone."""
    app = counted(here, max_preloader_idle_time=3600.0)

    async def life() -> None:
        async with smart(here, app) as spawner:
            await stopped(await spawner.spawn())
            timers = [spawner._idle]
            spawner.change(replace(app, max_preloader_idle_time=0.0))
            timers.append(spawner._idle)
            assert [timer is None for timer in timers] == [False, True]
            assert spawner.preloader_pid is not None

    run(life())


def test_new_timeouts_need_no_new_preloader(here: Place) -> None:
    """Live: the next process is forked by the one that is there, has the new deadline, and is told the new words."""
    app = with_hostile(here, "", shutdown_timeout=7.0, start_timeout=20.0)

    async def life() -> None:
        async with smart(here, app) as spawner:
            await stopped(await spawner.spawn())
            preloader = spawner.preloader_pid
            assert preloader is not None
            spawner.change(replace(app, shutdown_timeout=3.0, start_timeout=10.0))
            await stopped(await spawner.spawn())
            assert spawner.preloader_pid == preloader
            assert loads(here, app) == [preloader]
            spawner.change(replace(app, start_timeout=0.3))
            os.kill(preloader, signal.SIGSTOP)
            with contextlib.suppress(SpawnError):  # a fresh preloader may be quick enough, or not
                await stopped(await spawner.spawn())
            assert "step `ask the preloader` failed: not done within 0.3 seconds" in here.log_text()

    run(life())
    assert re.findall(r"told shutdown_timeout (\d+)", here.log_text())[:2] == ["7", "3"]


def test_the_end_of_a_process_is_seen_with_its_status(here: Place) -> None:
    """Though it is no child of ours: the preloader leaves it a moment before it reaps it."""

    async def life() -> None:
        async with smart(here, counted(here)) as spawner:
            process = await spawner.spawn()
            os.kill(process.pid, signal.SIGSEGV)
            assert await exited(process) == Exit(-signal.SIGSEGV)
            process.dispose()

    run(life())


def test_what_a_process_leaves_in_its_session_is_swept(here: Place) -> None:
    """A14: a helper that the process started dies with it; siblings and preloader do not."""
    body = """
def passenger_after_fork():
    import subprocess
    helper = subprocess.Popen(["sleep", "9999"], stdin=subprocess.DEVNULL)
    with open("helpers", "a") as helpers:
        helpers.write("%d\\n" % helper.pid)
"""
    app = counted(here, body)

    async def life() -> None:
        async with smart(here, app) as spawner:
            first, second = await spawner.spawn(), await spawner.spawn()
            mine, other = map(int, (Path(app.app_root) / "helpers").read_text().split())
            first.kill()
            await exited(first)
            first.dispose()
            await dead(mine)
            assert proc_text(other, "comm") == "sleep\n"
            assert ask(second)
            assert spawner.preloader_pid == parent(second.pid)
            await stopped(second)
            await dead(other)

    run(life())


def test_cancelling_while_the_application_loads_ends_the_preloader(here: Place) -> None:
    """No orphan; the spawner can be used again."""
    app = here.app(
        "blog", {"passenger_wsgi.py": "open('fifo', 'w').write('x')\nimport threading\nthreading.Event().wait()\n"}
    )
    os.mkfifo(Path(app.app_root) / "fifo")
    (Path(app.app_root) / "fifo").chmod(0o666)

    async def life() -> None:
        fifo = os.open(Path(app.app_root) / "fifo", os.O_RDWR)
        async with smart(here, app) as spawner:
            task = asyncio.create_task(spawner.spawn())
            await readable(fifo)
            os.close(fifo)
            child = int(proc_text(os.getpid(), f"task/{os.getpid()}/children").split()[-1])
            watch = os.pidfd_open(child)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await readable(watch)
            os.close(watch)
            (Path(app.app_root) / "passenger_wsgi.py").write_text(HELLO)
            await stopped(await spawner.spawn())

    run(life())


def test_a_changed_environment_needs_another_preloader(here: Place) -> None:
    """Decided anew for each spawn."""
    app = counted(here)

    async def life() -> None:
        environ = dict(os.environ)
        async with smart(here, app, environ=environ) as spawner:
            await stopped(await spawner.spawn())
            before = spawner.preloader_pid
            environ["COLOUR"] = "green"
            await stopped(await spawner.spawn())
            assert spawner.preloader_pid != before

    run(life())


def test_many_processes_one_after_the_other_leave_nothing(here: Place) -> None:
    """No descriptor and no zombie per fork stays in the preloader."""
    app = counted(here)

    async def life() -> None:
        async with smart(here, app) as spawner:
            await stopped(await spawner.spawn())
            pid = spawner.preloader_pid
            assert pid is not None
            before = descriptors(pid)
            for _ in range(30):
                await stopped(await spawner.spawn())
            assert spawner.preloader_pid == pid
            assert descriptors(pid) == before

    run(life())
