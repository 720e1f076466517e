"""Spawns that succeed: what the process is, has, prints, and how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
from collections.abc import Iterator

import pytest

from passenger.spawn.spawner import Exit
from tests.support.spawning import (
    HELLO,
    Place,
    ask,
    descriptors,
    exited,
    place,
    proc_text,
    readable,
    run,
    stopped,
    turns,
)


@pytest.fixture(name="here")
def _here() -> Iterator[Place]:
    with place() as made:
        yield made


def test_a_process_is_ready_answers_and_ends(here: Place) -> None:
    """The whole life of a process, and nothing is left of it."""

    async def life() -> None:
        process = await here.spawner(here.app("blog")).spawn()
        assert process.sockets[0].protocol == "session"
        assert process.sockets[0].concurrency == 1
        assert 0 < process.spawn_seconds < 20
        path = process.sockets[0].address.removeprefix("unix:")
        assert stat.S_IMODE(os.lstat(path).st_mode) == 0o600
        assert here.socket_names() == [path.rpartition("/")[2]]
        assert len(here.socket_names()[0]) <= 32
        assert ask(process).endswith(b"hello")
        assert await stopped(process) == Exit(0)
        assert here.socket_names() == []

    run(life())


def test_it_has_only_its_own_descriptors_and_environment(here: Place) -> None:
    """Fault matrix B7: 0, 1, 2 and its socket; nothing of the core's secrets."""

    async def life() -> None:
        environ = dict(os.environ) | {"PASSENGER_LAUNCH_FD": "7", "NOTIFY_SOCKET": "/x", "BASH_ENV": "/y", "TZ": "UTC"}
        app = here.app("blog", env={"COLOUR": "blue=green\nx", "TZ": "Asia/Tokyo"}, base_uri="/blog")
        process = await here.spawner(app, environ=environ).spawn()
        count = descriptors(process.pid)
        given = dict(item.split("=", 1) for item in proc_text(process.pid, "environ").split("\0") if item)
        arguments = proc_text(process.pid, "cmdline")
        password = process.connect_password
        await stopped(process)
        assert count == 4
        assert given["COLOUR"] == "blue=green\nx"
        assert given["TZ"] == "Asia/Tokyo"
        assert given["PWD"] == app.app_root
        assert given["PASSENGER_APP_ENV"] == given["RACK_ENV"] == "production"
        assert given["PASSENGER_BASE_URI"] == "/blog"
        assert given["IN_PASSENGER"] == given["PYTHONUNBUFFERED"] == "1"
        assert not {"PASSENGER_LAUNCH_FD", "NOTIFY_SOCKET", "BASH_ENV"} & set(given)
        assert password not in str(given) + arguments

    run(life())


def test_signal_state_and_umask_are_clean(here: Place) -> None:
    """Fault matrix D9: what the core ignores or blocks is not inherited."""

    async def life() -> None:
        previous = signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        try:
            process = await here.spawner(here.app("blog"), umask=0o027).spawn()
        finally:
            signal.signal(signal.SIGUSR2, previous)
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        lines = proc_text(process.pid, "status").splitlines()
        status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        await stopped(process)
        assert int(status["SigBlk"], 16) == 0
        assert not int(status["SigIgn"], 16) & (1 << (signal.SIGUSR2 - 1))
        assert status["Umask"] == "0027"

    run(life())


def test_exits_are_told_with_their_status(here: Place) -> None:
    """By signal, and also to somebody who asks afterwards."""

    async def life() -> None:
        process = await here.spawner(here.app("blog")).spawn()
        process.kill()
        assert await exited(process) == Exit(-9)
        assert await exited(process) == Exit(-9)
        process.terminate()
        process.dispose()
        process.dispose()
        assert here.socket_names() == []

    run(life())


def test_terminate_lets_it_end_in_order(here: Place) -> None:
    """SIGTERM to the group: exit status 0."""

    async def life() -> None:
        process = await here.spawner(here.app("blog", thread_count=3)).spawn()
        process.terminate()
        assert await exited(process) == Exit(0)
        process.dispose()

    run(life())


def test_children_of_the_application_do_not_outlive_it(here: Place) -> None:
    """Fault matrix A14, as far as the session goes: also one in a process group of its own."""
    source = """
import os, subprocess
CHILDREN = [
    subprocess.Popen(["sleep", "9999"], preexec_fn=lambda: os.setpgid(0, 0)),
    subprocess.Popen(["sleep", "9999"]),
]
from wsgiref.validate import validator
@validator
def application(environ, start_response):
    body = " ".join(str(child.pid) for child in CHILDREN).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""

    async def life() -> None:
        process = await here.spawner(here.app("blog", {"passenger_wsgi.py": source})).spawn()
        pids = [int(pid) for pid in ask(process).rpartition(b"\r\n")[2].split()]
        watches = [os.pidfd_open(pid) for pid in pids]
        assert len(watches) == 2
        await stopped(process)
        for watch in watches:
            await readable(watch)
            os.close(watch)

    run(life())


def test_cancelling_a_spawn_ends_what_was_started(here: Place) -> None:
    """No orphan, no descriptor, no socket."""

    marker = here.root / "loading"
    os.mkfifo(marker)
    marker.chmod(0o666)
    source = f"open({str(marker)!r}, 'w').write('x')\nimport threading\nthreading.Event().wait()\n"
    fifo = os.open(marker, os.O_RDWR)

    async def life() -> None:
        before = descriptors(os.getpid())
        task = asyncio.create_task(here.spawner(here.app("blog", {"passenger_wsgi.py": source})).spawn())
        await readable(fifo)
        child = int(proc_text(os.getpid(), f"task/{os.getpid()}/children").split()[-1])
        watch = os.pidfd_open(child)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await readable(watch)
        os.close(watch)
        await turns(10)
        assert descriptors(os.getpid()) == before

    run(life())
    os.close(fifo)
    assert here.socket_names() == []


def test_the_virtual_environment_of_the_application_is_found(here: Place) -> None:
    """`.venv/bin/python` in the application's folder is its interpreter."""
    app = here.app("blog")
    (here.root / "blog" / ".venv" / "bin").mkdir(parents=True)
    seen = here.root / "blog" / ".venv" / "bin" / "python"
    seen.write_text(f'#!/bin/sh\necho "venv python of $PWD"\nexec {here.python} "$@"\n')
    seen.chmod(0o755)

    async def life() -> None:
        await stopped(await here.spawner(app).spawn())

    run(life())
    assert f"stdout: venv python of {app.app_root}" in here.log_text()


def test_an_entry_point_needs_no_startup_file(here: Place) -> None:
    """`package.module:factory()` with the application's folder on the import path."""
    files = {"shop/__init__.py": "", "shop/web.py": HELLO + "\ndef make():\n    return application\n"}

    async def life() -> None:
        process = await here.spawner(here.app("blog", files, entry_point="shop.web:make()")).spawn()
        assert ask(process).endswith(b"hello")
        await stopped(process)

    run(life())
