"""What a process started and what then made a session of its own goes when the process goes (fault matrix A14)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from passenger.posix import runaways
from passenger.posix.prctl import PR_SET_CHILD_SUBREAPER, become_subreaper
from tests.support.preloading import counted, smart
from tests.support.spawning import Place, ask, place, proc_text, readable, run, stopped

LEAVE = """
import os, signal, subprocess, sys
def note(pid):
    with open("left", "a") as left:
        left.write("%d\\n" % pid)
def by_exec(**options):
    # A shell with a child, in a session of its own; nobody waits for it.
    child = subprocess.Popen(["sh", "-c", "sleep 9999 & echo $!; wait"], start_new_session=True, stdout=-1, **options)
    note(child.pid)
    note(int(child.stdout.readline()))
def by_fork():
    reader, writer = os.pipe()
    if not os.fork():
        os.setsid()
        if not os.fork():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.write(writer, b"%d" % os.getpid())
            while True:
                signal.pause()
        os._exit(0)
    note(int(os.read(reader, 20)))
"""


@pytest.fixture(name="here")
def _here() -> Iterator[Place]:
    with place() as made:
        yield made


@pytest.fixture(autouse=True)
def _adopting() -> Iterator[None]:
    """Orphans become children of this process, as they become the watchdog's."""
    become_subreaper()
    yield
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(0), 0, 0, 0)


def left(here: Place) -> list[int]:
    """Who was left so far."""
    return [int(line) for line in (here.root / "blog" / "left").read_text().split()]


def hold(pids: list[int]) -> list[int]:
    return [os.pidfd_open(pid) for pid in pids]


def reap(pidfd: int) -> None:
    with contextlib.suppress(ChildProcessError):  # its parent was faster
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED)


async def ended(pidfds: list[int]) -> None:
    """Until all of them have; whom we have adopted is taken note of."""
    for pidfd in pidfds:
        await readable(pidfd)
        reap(pidfd)
        os.close(pidfd)


def test_runaways_of_a_process_end_with_it_and_those_of_others_do_not(here: Place) -> None:
    """However they left: with exec or without, with children of their own."""
    app = counted(here, LEAVE + "by_exec()\nby_fork()\n", spawn_method="direct")

    async def life() -> None:
        spawner = here.spawner(app, adopter=os.getpid())
        first = await spawner.spawn()
        mine = hold(left(here))
        second = await spawner.spawn()
        others = left(here)[3:]
        assert len(mine) == len(others) == 3
        await stopped(first)
        await ended(mine)
        assert {proc_text(pid, "stat").split()[2] for pid in others} == {"S"}
        ask(second)
        watches = hold(others)
        await stopped(second)
        await ended(watches)

    run(life())
    assert "killed what a process had left behind" in here.log_text()


def test_runaways_of_a_forked_process_end_with_it_and_its_siblings_go_on(here: Place) -> None:
    """What a preloader forked is known by the variable that its loader set."""
    body = LEAVE + "def passenger_after_fork():\n    by_exec()\n"
    app = counted(here, body)

    async def life() -> None:
        async with smart(here, app, adopter=os.getpid()) as spawner:
            first = await spawner.spawn()
            mine = hold(left(here))
            second = await spawner.spawn()
            others = left(here)[2:]
            await stopped(first)
            await ended(mine)
            assert {proc_text(pid, "stat").split()[2] for pid in others} == {"S"}
            assert ask(second)
            watches = hold(others)
            await stopped(second)
            await ended(watches)

    run(life())


def test_who_gives_the_variable_up_is_left_alone(here: Place) -> None:
    """The way to leave something running on purpose."""
    body = LEAVE + "by_exec(env={'PATH': os.environ['PATH']})\n"
    app = counted(here, body, spawn_method="direct")

    async def life() -> None:
        await stopped(await here.spawner(app, adopter=os.getpid()).spawn())
        pids = left(here)
        assert {proc_text(pid, "stat").split()[2] for pid in pids} == {"S"}
        watches = hold(pids)
        for watch in reversed(watches):
            signal.pidfd_send_signal(watch, signal.SIGKILL)
        await ended(watches)

    run(life())


@pytest.mark.parametrize("kind", ["with lists of children", "without"])
def test_only_orphans_of_that_user_with_that_variable_are_touched(kind: str, tmp_path: Path) -> None:
    """Neither a longer value, nor another user's, nor a child of somebody else."""
    program = [sys.executable, "-c", "import signal; signal.pause()"]
    me, uid = os.getpid(), os.getuid()
    with (
        subprocess.Popen(program, env={"MARK": "1"}) as marked,
        subprocess.Popen(program, env={"MARK": "12", "XMARK": "1"}) as other,
    ):
        try:
            proc = Path("/proc")
            if kind == "without":
                proc = tmp_path
                for pid in (marked.pid, other.pid):
                    (proc / str(pid)).mkdir()
                    for name in ("stat", "status", "environ"):
                        (proc / str(pid) / name).symlink_to(f"/proc/{pid}/{name}")
            assert runaways.sweep("MARK=1", uid=uid + 1, adopter=me, proc=proc) == []
            assert runaways.sweep("MARK=1", uid=uid, adopter=os.getppid(), proc=proc) == []
            assert runaways.sweep("MARK=1", uid=uid, adopter=me, proc=proc) == [marked.pid]
            assert marked.wait(30) == -signal.SIGKILL
            assert other.poll() is None
        finally:
            marked.kill()
            other.kill()
