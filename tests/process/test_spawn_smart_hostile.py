"""Preloaders that lie, hang, die or talk nonsense (fault matrix B6, CVE-2018-12028).

Whatever one does, the spawn ends in a process: from a fresh preloader when the second one behaves, else started
directly. Nobody outside is signalled, nothing of it stays.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from passenger.spawn.running import DirectProcess
from passenger.spawn.spawner import SpawnError
from tests.support.preloading import dead, loads, smart, with_hostile
from tests.support.spawning import Place, ask, exited, place, proc_text, run, stopped, turns

WHEN_ASKED = [
    "die-when-asked",
    "die-mid-fork",
    "garbage",
    "long-line",
    "no-pid",
    "pid-zero",
    "pid-minus",
    "pid-one",
    "pid-own",
    "pid-unused",
    "pid-core",
    "close",
    "close-after-ok",
    "refuse",
    "other-listens",
    "no-listen",
]
WHEN_ANNOUNCED = ["no-socket", "fields", "two-sockets", "outside", "dots", "garbage-block"]
SILENT = ["hang", "half-answer"]


@pytest.fixture(name="here")
def _here() -> Iterator[Place]:
    with place() as made:
        yield made


@pytest.mark.parametrize("deed", WHEN_ASKED + WHEN_ANNOUNCED)
def test_a_fresh_preloader_is_asked_once(here: Place, deed: str) -> None:
    """The second one behaves: the process comes from it, the first one is dead."""
    app = with_hostile(here, f"{deed}\n")

    async def life() -> None:
        async with smart(here, app) as spawner:
            process = await spawner.spawn()
            bad, good = loads(here, app)
            assert spawner.preloader_pid == good
            assert ask(process).endswith(f"{process.pid} {good}".encode())
            await dead(bad)
            await stopped(process)

    run(life())
    assert "the preloader gave no process, asking a fresh one" in here.log_text()


@pytest.mark.parametrize("deed", [*WHEN_ASKED, *WHEN_ANNOUNCED])
def test_two_failures_make_a_direct_start(here: Place, deed: str) -> None:
    """The application loads well without the preloader; the log says why it is slow."""
    app = with_hostile(here, f"{deed}\n{deed}\n")

    async def life() -> None:
        async with smart(here, app) as spawner:
            process = await spawner.spawn()
            assert isinstance(process, DirectProcess)
            *bad, own = loads(here, app)
            assert own == process.pid
            assert len(bad) == 2
            assert spawner.preloader_pid is None
            for pid in bad:
                await dead(pid)
            assert ask(process)
            await stopped(process)

    run(life())
    assert "the preloader gave no process, starting a process directly" in here.log_text()


@pytest.mark.parametrize("deed", SILENT)
def test_a_preloader_that_does_not_answer_is_given_up_in_time(here: Place, deed: str) -> None:
    """The budget of the question, not for ever."""
    app = with_hostile(here, f"{deed}\n", start_timeout=1.0)

    async def life() -> None:
        async with smart(here, app) as spawner:
            async with asyncio.timeout(8):
                process = await spawner.spawn()
            assert process.spawn_seconds >= 1.0
            bad, _good = loads(here, app)
            await dead(bad)
            await stopped(process)

    run(life())


def test_a_preloader_that_never_gets_ready_is_the_error_of_the_spawn(here: Place) -> None:
    """The application may be what hangs: it is not tried again."""
    app = with_hostile(here, "never-ready\n", start_timeout=1.0)

    async def life() -> None:
        async with smart(here, app) as spawner:
            with pytest.raises(SpawnError) as raised:
                await spawner.spawn()
            assert raised.value.category == "preloader-timeout"
            (pid,) = loads(here, app)
            await dead(pid)

    run(life())


def test_a_fresh_preloader_that_dies_leaves_the_direct_way(here: Place) -> None:
    """The first did not answer, the second does not even start."""
    app = with_hostile(here, "die-when-asked\ndie-before-ready\n")

    async def life() -> None:
        async with smart(here, app) as spawner:
            process = await spawner.spawn()
            assert isinstance(process, DirectProcess)
            await stopped(process)

    run(life())


def test_a_process_of_the_same_user_that_it_did_not_fork_is_not_believed_and_not_signalled(here: Place) -> None:
    """CVE-2018-12028: the victim lives on."""
    app = with_hostile(here, "pid-victim\npid-victim\n")
    owner = Path(app.app_root).owner() if os.geteuid() else "nobody"
    victim = subprocess.Popen(
        ["sleep", "9999"], user=owner if os.geteuid() == 0 else None, start_new_session=True, stdin=subprocess.DEVNULL
    )
    (Path(app.app_root) / "victim").write_text(str(victim.pid))

    async def life() -> None:
        async with smart(here, app) as spawner:
            process = await spawner.spawn()
            assert isinstance(process, DirectProcess)
            await stopped(process)

    try:
        run(life())
        assert f"process {victim.pid}, which is not its child" in here.log_text()
        assert victim.poll() is None
    finally:
        victim.kill()
        victim.wait()


def test_the_same_process_twice_is_not_believed(here: Place) -> None:
    """The first spawn's process is not handed out again, and lives on."""
    app = with_hostile(here, "same-again\n")

    async def life() -> None:
        async with smart(here, app) as spawner:
            first = await spawner.spawn()
            second = await spawner.spawn()
            assert first.pid != second.pid
            assert ask(first).split()[-2] == str(first.pid).encode()
            await stopped(first)
            await stopped(second)

    run(life())
    assert "which it did before" in here.log_text()


def test_a_preloader_that_dies_right_after_the_fork_costs_nothing(here: Place) -> None:
    """The process that it forked is believed if it can still be seen to be its child, else another one comes."""
    app = with_hostile(here, "die-after-fork\ndie-after-fork\n")

    async def life() -> None:
        async with smart(here, app) as spawner:
            process = await spawner.spawn()
            assert ask(process)
            await stopped(process)

    run(life())


def test_a_process_that_shares_the_preloaders_session_survives_it(here: Place) -> None:
    """Preloaders of others fork into their own session and group: killing and sweeping must spare the processes."""
    app = with_hostile(here, "")

    async def life() -> None:
        async with smart(here, app) as spawner:
            old = await spawner.spawn()
            preloader = spawner.preloader_pid
            assert preloader is not None
            assert proc_text(old.pid, "stat").rpartition(")")[2].split()[3] == str(preloader)
            os.kill(preloader, signal.SIGKILL)
            await dead(preloader)
            new = await spawner.spawn()
            assert ask(old)  # it writes to the stderr that it has from the preloader
            await stopped(new)
            async with asyncio.timeout(10):
                while f"{old.pid} was asked" not in here.log_text():
                    await turns(1)
            old.terminate()
            await exited(old)
            old.dispose()

    run(life())


def test_closing_ends_a_preloader_that_does_not_want_to(here: Place) -> None:
    """After its patience it is killed, and a process in its session goes on."""
    app = with_hostile(here, "ignore-stop\n")

    async def life() -> None:
        async with smart(here, app) as spawner:
            process = await spawner.spawn()
            preloader = spawner.preloader_pid
            assert preloader is not None
            await spawner.close()
            await dead(preloader)
            assert ask(process)
            await stopped(process)

    run(life())


@pytest.mark.parametrize(("deed", "category"), [("worker-dies", "ended-before-handshake"), ("worker-hangs", "timeout")])
def test_a_forked_process_that_fails_is_an_error_and_not_tried_again(here: Place, deed: str, category: str) -> None:
    """Its stderr, which this preloader lets go where its own goes, is in the error."""
    app = with_hostile(here, f"{deed}\n", start_timeout=1.5)

    async def life() -> None:
        async with smart(here, app) as spawner:
            with pytest.raises(SpawnError) as raised:
                await spawner.spawn()
            assert raised.value.category == category
            assert ("worker says goodbye" in raised.value.output) == (deed == "worker-dies")
            assert loads(here, app) == [spawner.preloader_pid]

    run(life())


def test_cancelling_while_the_preloader_is_asked_leaves_nothing(here: Place) -> None:
    """No connection stays; the next spawn does not wait for the lock."""
    app = with_hostile(here, "hang\n", start_timeout=5.0)

    async def life() -> None:
        async with smart(here, app) as spawner:
            task = asyncio.create_task(spawner.spawn())
            while spawner.preloader_pid is None:
                await asyncio.wait({task}, timeout=0.02)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            hung = spawner.preloader_pid
            assert hung is not None
            os.kill(hung, signal.SIGKILL)
            await stopped(await spawner.spawn())

    run(life())
