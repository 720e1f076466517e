"""Output of real processes: every line once, floods bounded (fault matrix A15)."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Iterator

import pytest

from tests.support.spawning import Place, ask, exited, place, run, stopped

NOISY = """
import os, sys
print("loading", flush=True)
from wsgiref.validate import validator
@validator
def application(environ, start_response):
    print("to stdout", flush=True)
    print("to stderr: \\u00e9", file=sys.stderr, flush=True)
    os.write(1, b"!> Ready\\n!> not any more\\nsplit ")
    os.write(1, b"line\\n\\xff\\x1b[0m\\n")
    with open("/dev/stdout", "w") as again:
        again.write("opened again\\n")
    os.write(2, b"unfinished")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
"""

FLOOD = """
import os, threading
def flood():
    piece = b"x" * 79 + b"\\n"
    block = piece * 800
    try:
        while True:
            os.write(1, block)
    except OSError:
        pass
from wsgiref.validate import validator
@validator
def application(environ, start_response):
    if environ["PATH_INFO"] == "/flood":
        threading.Thread(target=flood, daemon=True).start()
    if environ["PATH_INFO"] == "/line":
        os.write(1, b"y" * 50_000_000 + b"\\n")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
"""


@pytest.fixture(name="here")
def _here() -> Iterator[Place]:
    with place() as made:
        yield made


def test_every_line_is_in_the_log_once_and_in_order(here: Place) -> None:
    """While starting and afterwards, from both streams, whole, escaped; control lines mean nothing any more."""

    async def life() -> int:
        process = await here.spawner(here.app("blog", {"passenger_wsgi.py": NOISY})).spawn()
        assert ask(process).endswith(b"ok")
        await stopped(process)
        return process.pid

    pid = run(life())
    lines = [line.partition("App blog")[2] for line in here.log_text().splitlines()]
    out = [line.partition("stdout: ")[2] for line in lines if "] stdout: " in line]
    err = [line.partition("stderr: ")[2] for line in lines if "] stderr: " in line]
    assert out == [
        "loading",
        "to stdout",
        "!> Ready",
        "!> not any more",
        "split line",
        "\ufffd\\x1b[0m",
        "opened again",
    ]
    assert err == ["to stderr: \u00e9", "unfinished"]
    assert all(line.startswith(f"[{pid}]") for line in lines)


def test_a_flood_costs_neither_memory_nor_the_others(here: Place) -> None:
    """Four floods: memory stays, the loop turns, another application answers, what is missing is counted."""

    async def life() -> None:
        calm = await here.spawner(here.app("calm")).spawn()
        wild = [await here.spawner(here.app("wild", {"passenger_wsgi.py": FLOOD})).spawn() for _ in range(4)]
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for process in wild:
            await asyncio.to_thread(ask, process, "/flood")
        for _ in range(20):
            assert (await asyncio.to_thread(ask, calm)).endswith(b"hello")
        dropped = asyncio.Event()

        def look() -> None:
            end = os.fstat(here.log_fd).st_size
            if b"[dropped " in os.pread(here.log_fd, 65536, max(0, end - 65536)):
                dropped.set()
            else:
                asyncio.get_running_loop().call_later(0.05, look)

        look()
        async with asyncio.timeout(30):
            await dropped.wait()
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 24 * 1024  # KiB
        for process in [*wild, calm]:
            process.kill()
            await exited(process)
            process.dispose()

    run(life())


def test_one_endless_line_is_cut(here: Place) -> None:
    """Fifty megabytes without a line end: one line with a mark, and the process is not held up for long."""

    async def life() -> None:
        process = await here.spawner(here.app("wild", {"passenger_wsgi.py": FLOOD})).spawn()
        assert (await asyncio.to_thread(ask, process, "/line")).endswith(b"ok")
        await stopped(process)

    run(life())
    longest = max(here.log_text().splitlines(), key=len)
    assert longest.endswith("[cut: the line is longer than 65536 bytes]")
    assert len(longest) < 70_000
