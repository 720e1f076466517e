"""Smart spawns with the real preloader: loaded once, forked often; what is shared and what is not."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from passenger.spawn.spawner import Exit, SpawnError
from tests.support.preloading import counted, dead, loads, open_file, parent, session, smart
from tests.support.spawning import HELLO, Place, ask, descriptors, place, proc_text, run, stopped


@pytest.fixture(name="here")
def _here() -> Iterator[Place]:
    with place() as made:
        yield made


def test_the_application_is_loaded_once_for_all_processes(here: Place) -> None:
    """Processes are children of the preloader, each in a session, with a password and a socket of its own."""
    app = counted(here)

    async def life() -> None:
        async with smart(here, app) as spawner:
            processes = await asyncio.gather(*(spawner.spawn() for _ in range(3)))
            preloader = spawner.preloader_pid
            assert preloader is not None
            assert loads(here, app) == [preloader]
            for process in processes:
                assert ask(process).endswith(f"{process.pid} {preloader}".encode())
                assert parent(process.pid) == preloader
                assert session(process.pid) == process.pid
                assert proc_text(process.pid, "comm") == "wsgi:blog\n"
                mode = os.stat(process.sockets[0].address.removeprefix("unix:")).st_mode  # noqa: PTH116 - in a coroutine
                assert stat.S_IMODE(mode) == 0o600
            assert len({process.connect_password for process in processes}) == 3
            assert len({process.gupid for process in processes}) == 3
            assert [await stopped(process) for process in processes] == [Exit(0)] * 3
            assert spawner.preloader_pid == preloader
        await dead(preloader)

    run(life())


def test_a_process_has_only_its_own_descriptors_and_no_secret_in_its_environment(here: Place) -> None:
    """B7: connection, stderr, listener, and nothing of the preloader or of its siblings."""
    app = counted(here)

    async def life() -> None:
        async with smart(here, app) as spawner:
            first, second = await spawner.spawn(), await spawner.spawn()
            for process in (first, second):
                assert descriptors(process.pid) == 4
                assert open_file(process.pid, 0) == open_file(process.pid, 1)
                assert open_file(process.pid, 2).startswith("pipe:")
                assert process.connect_password not in proc_text(process.pid, "environ")
            assert open_file(first.pid, 2) != open_file(second.pid, 2)
            assert spawner.preloader_pid is not None
            await stopped(first)
            await stopped(second)

    run(life())


def test_output_is_tagged_with_the_process_that_wrote_it(here: Place) -> None:
    """stdout through the connection, stderr through a pipe of its own, loading's through the preloader."""
    body = """
import sys
print("loading out", flush=True)
print("loading err", file=sys.stderr, flush=True)
print("kept in a buffer", end="")
def passenger_after_fork():
    print("forked out", flush=True)
    print("forked err", file=sys.stderr, flush=True)
"""

    async def life() -> tuple[int, int]:
        async with smart(here, counted(here, body)) as spawner:
            process = await spawner.spawn()
            pids = process.pid, spawner.preloader_pid or 0
            await stopped(process)
        return pids

    worker, preloader = run(life())
    log = here.log_text()
    assert f"App blog[{preloader}] stdout: loading out" in log
    assert f"App blog[{preloader}] stderr: loading err" in log
    assert f"App blog[{worker}] stdout: forked out" in log
    assert f"App blog[{worker}] stderr: forked err" in log
    assert log.count("kept in a buffer") == 1


def test_processes_differ_in_what_must_differ(here: Place) -> None:
    """Random numbers, pids; registered functions run in order, the startup file's own last; at-fork callbacks run."""
    body = """
import random, json
from passenger_loader.hooks import after_fork
calls = []
os.register_at_fork(after_in_child=lambda: calls.append("at-fork"))
@after_fork
def first():
    calls.append("first")
after_fork(lambda: calls.append("second"))
def passenger_after_fork():
    calls.append("last")
    import gc
    with open("forks", "a") as forks:
        forks.write(json.dumps([random.random(), calls, gc.isenabled(), gc.get_freeze_count() > 1000]) + "\\n")
"""
    app = counted(here, body)

    async def life() -> None:
        async with smart(here, app) as spawner:
            for _ in range(3):
                await stopped(await spawner.spawn())

    run(life())
    lines = [json.loads(line) for line in (Path(app.app_root) / "forks").read_text().splitlines()]
    assert len({number for number, *_ in lines}) == 3
    assert [rest for _, *rest in lines] == [[["at-fork", "first", "second", "last"], True, True]] * 3


def test_an_entry_point_has_its_hook_in_its_module(here: Place) -> None:
    """`passenger_after_fork` of the module that the entry point names."""
    files = {
        "shop/__init__.py": "",
        "shop/web.py": HELLO + "\ndef passenger_after_fork():\n    print('hooked', flush=True)\n",
    }

    async def life() -> None:
        async with smart(here, here.app("blog", files, entry_point="shop.web:application")) as spawner:
            process = await spawner.spawn()
            assert ask(process).endswith(b"hello")
            await stopped(process)

    run(life())
    assert "stdout: hooked" in here.log_text()


def test_threads_that_run_before_the_fork_are_named(here: Place) -> None:
    """They will be missing in the processes; the log says which."""
    body = "import threading\nthreading.Thread(target=threading.Event().wait, name='poller', daemon=True).start()\n"

    async def life() -> None:
        async with smart(here, counted(here, body)) as spawner:
            await stopped(await spawner.spawn())

    run(life())
    assert "threads run in the preloader and will be missing in its processes: poller" in here.log_text()


def test_a_syntax_error_is_told_once_and_heals(here: Place) -> None:
    """No second preloader, no direct start: the application would not load there either."""
    app = here.app("blog", {"passenger_wsgi.py": "def application(:\n"})

    async def life() -> None:
        async with smart(here, app) as spawner:
            with pytest.raises(SpawnError) as raised:
                await spawner.spawn()
            error = raised.value
            assert error.category == "preloader-load-error"
            assert [name for name, state, _ in error.steps if state == "failed"] == ["load the application"]
            assert "SyntaxError" in error.summary
            assert f"{app.app_root}/passenger_wsgi.py" in error.output
            assert here.log_text().count("failed: SyntaxError") == 1
            assert spawner.preloader_pid is None
            (Path(app.app_root) / "passenger_wsgi.py").write_text(HELLO)
            await stopped(await spawner.spawn())

    run(life())


def test_a_hook_that_raises_is_the_error_of_that_process(here: Place) -> None:
    """Not retried; the preloader stays."""
    app = counted(here, "def passenger_after_fork():\n    raise RuntimeError('no database')\n")

    async def life() -> None:
        async with smart(here, app) as spawner:
            for _ in range(2):
                with pytest.raises(SpawnError, match="RuntimeError: no database") as raised:
                    await spawner.spawn()
                assert raised.value.category == "load-error"
                failed = [name for name, state, _ in raised.value.steps if state == "failed"]
                assert failed == ["start the forked process"]
            assert loads(here, app) == [spawner.preloader_pid]

    run(life())
