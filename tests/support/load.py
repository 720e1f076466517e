"""An open-loop load generator: requests leave on a fixed schedule, whatever the answers do (reliability notes, H).

Every request is counted: sent = good + failed. A request is good when its whole, correctly framed answer arrived.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Outcome:
    """One request: when it was due and done (seconds, monotonic), its status (0 = no complete answer) and why."""

    due: float
    done: float
    status: int
    body: bytes = b""
    problem: str = ""


@dataclass(slots=True)
class Load:
    """What a run of the generator saw."""

    outcomes: list[Outcome] = field(default_factory=list)
    sent: int = 0

    @property
    def failed(self) -> list[Outcome]:
        return [one for one in self.outcomes if one.status == 0 or one.status >= 500]

    @property
    def worst_latency(self) -> float:
        return max(one.done - one.due for one in self.outcomes)


class _Request(asyncio.Protocol):
    """One HTTP/1.1 request on a connection of its own, its answer read to the end and checked."""

    def __init__(self, head: bytes, finished: Callable[[int, bytes, str], None]) -> None:
        self._head = head
        self._finished = finished
        self._data = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._head)

    def data_received(self, data: bytes) -> None:
        self._data += data

    def connection_lost(self, exc: Exception | None) -> None:
        self._finished(*judge(bytes(self._data), exc))


def judge(data: bytes, problem: Exception | None) -> tuple[int, bytes, str]:
    """(status, body, problem) of everything a closed connection gave; status 0 unless the answer is whole."""
    head, separator, body = data.partition(b"\r\n\r\n")
    if not separator:
        return 0, b"", f"no complete head ({problem or 'closed'}): {head[:80]!r}"
    lines = head.split(b"\r\n")
    fields = {n.strip().lower(): v.strip() for n, _, v in (line.partition(b":") for line in lines[1:])}
    status = int(lines[0].split()[1])
    if b"content-length" in fields:
        if len(body) != int(fields[b"content-length"]):
            return 0, body, f"body of {len(body)} bytes instead of {fields[b'content-length']!r}"
    elif fields.get(b"transfer-encoding") == b"chunked" and not body.endswith(b"0\r\n\r\n"):
        return 0, body, "no final chunk"
    return status, body, ""


async def _drive(port: int, head: bytes, rate: float, stop: threading.Event, load: Load, limit: float) -> None:
    loop = asyncio.get_running_loop()
    pending: set[asyncio.Task[None]] = set()
    start = loop.time()
    number = 0

    async def one(due: float) -> None:
        answered: asyncio.Future[tuple[int, bytes, str]] = loop.create_future()

        def finished(status: int, body: bytes, problem: str) -> None:
            if not answered.done():
                answered.set_result((status, body, problem))

        try:
            async with asyncio.timeout(20):
                transport, _ = await loop.create_connection(lambda: _Request(head, finished), "127.0.0.1", port)
                try:
                    status, body, problem = await answered
                finally:
                    transport.close()
        except (OSError, TimeoutError) as error:
            status, body, problem = 0, b"", repr(error)
        load.outcomes.append(Outcome(due, loop.time(), status, body, problem))

    while not stop.is_set() and loop.time() - start < limit:
        due = start + number / rate
        number += 1
        load.sent = number
        tick = asyncio.Event()
        loop.call_at(due, tick.set)
        await tick.wait()
        task = loop.create_task(one(due))
        pending.add(task)
        task.add_done_callback(pending.discard)
    if pending:
        await asyncio.wait(pending)


@contextlib.contextmanager
def load(
    port: int,
    path: str = "/",
    *,
    host: str = "localhost",
    method: str = "GET",
    rate: float = 200.0,
    limit: float = 60.0,
) -> Iterator[Load]:
    """Send requests at `rate` per second during the `with` block (at most `limit` seconds); results are whole after it."""
    length = "Content-Length: 0\r\n" if method == "POST" else ""
    head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{length}\r\n".encode()
    result, stop = Load(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_drive(port, head, rate, stop, result, limit)))
    thread.start()
    try:
        yield result
    finally:
        stop.set()
        thread.join(timeout=limit + 30)


def wait_until_count(result: Load, count: int, *, timeout: float = 90.0) -> None:
    """Return once the generator has `count` results: the pace of the load is the clock of fault tests."""
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while len(result.outcomes) < count:
        assert time.monotonic() < deadline, f"only {len(result.outcomes)} of {count} answers"
        pause.wait(0.01)
