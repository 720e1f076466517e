"""The core's side: a bounded ring of entries, and the socket over which they go to UstRouter. Never blocks.

Rules.
1. What is told costs an append; entries go out when there is a packet full of them, or TICK after the first. Who packs
   many records into an entry is asked for it before (`gather`), after it has called `wake`.
2. MOST_RECORDS or MOST_BYTES wait at most: then the oldest entry is dropped and its records counted (`overflow`).
3. Nobody is on the other side, or it stands still = the socket is full: the packet in hand is tried again each TICK.
4. The socket outlives both programs (the watchdog holds both ends), and a packet is one message: it is taken whole, by
   this router or by the next one.
5. What a dead router had in memory is lost and counted: what its last report said was waiting, and what it had taken
   since. That may count a few that it has delivered; it never counts less than was lost.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from passenger.clock import Clock
from passenger.telemetry.records import pack, pack_event
from passenger.telemetry.tally import Tally

MOST_RECORDS: Final = 10_000
MOST_BYTES: Final = 16 * 1024 * 1024
PACKET: Final = 48 * 1024
"""Bytes; far below what a socket takes in one message."""
LONGEST: Final = 96 * 1024
"""Bytes of one entry; a longer one is dropped."""
TICK: Final = 0.25
_REPORT: Final = 256 * 1024


class Courier:
    """Call everything from the loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._loop = loop
        self._clock = clock
        self._sock = sock
        self._pid = os.getpid()
        self._ring: deque[tuple[bytes, int]] = deque()
        """Entries, and how many records each has."""
        self._waiting = 0
        """Records in the ring."""
        self._bytes = 0
        self._fresh = 0
        """Bytes that came since the last time that packets were made."""
        self._stuck: tuple[bytes, int] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._flushes: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._asked = 0
        self.told = 0
        self.handed = 0
        self.overflow = 0
        self.too_long = 0
        self.tally = Tally()
        self.gather: Callable[[], None] = lambda: None
        self.on_report: Callable[[], None] = lambda: None
        loop.add_reader(sock.fileno(), self._on_report)

    def tell(self, entry: bytes, count: int = 1) -> None:
        """An entry of `records`, which holds that many of them."""
        if len(entry) > LONGEST:
            self.too_long += count
            return
        self.told += count
        ring = self._ring
        ring.append((entry, count))
        self._waiting += count
        self._bytes += len(entry)
        self._fresh += len(entry)
        while self._waiting > MOST_RECORDS or self._bytes > MOST_BYTES:
            self.overflow += self._take_oldest()[1]
        self.wake()
        if self._fresh > PACKET and self._stuck is None:
            self._hand_over()

    def _take_oldest(self) -> tuple[bytes, int]:
        entry, count = self._ring.popleft()
        self._waiting -= count
        self._bytes -= len(entry)
        return entry, count

    def wake(self) -> None:
        """There is something to send, or to gather."""
        if self._timer is None:
            self._timer = self._loop.call_later(TICK, self._on_tick)

    def send(self) -> None:
        """Hand over what there is, as far as the other side takes it."""
        self.gather()
        self._hand_over()

    def _hand_over(self) -> None:
        self._fresh = 0
        while self._stuck is not None or self._ring:
            packet, count = self._stuck or self._next_packet()
            try:
                self._sock.send(packet, socket.MSG_DONTWAIT)
            except OSError:  # full; or out of buffers, which passes as well
                self._stuck = packet, count
                return
            self._stuck = None
            self.handed += count

    def status(self) -> dict[str, Any]:
        """Counters only go up."""
        self.gather()
        return {
            "told": self.told,
            "waiting": self._waiting + (self._stuck[1] if self._stuck is not None else 0),
            "overflow": self.overflow,
            "too_long": self.too_long,
            **self.tally.status(),
        }

    async def flush(self, seconds: float) -> dict[str, Any]:
        """Have everything delivered now. Raises TimeoutError when nobody says that it was tried."""
        self._asked += 1
        number = self._asked
        done = self._flushes[number] = self._loop.create_future()
        entry = _flush_entry(number, seconds)
        self._ring.append((entry, 1))
        self._waiting += 1
        self._bytes += len(entry)
        try:
            self.send()
            return await asyncio.wait_for(done, seconds + 1.0)
        finally:
            del self._flushes[number]

    def close(self) -> None:
        """The core ends; what fits still goes out."""
        self.send()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()

    def _next_packet(self) -> tuple[bytes, int]:
        entries: list[bytes] = []
        size = records = 0
        while self._ring and size < PACKET:
            entry, count = self._take_oldest()
            size += len(entry)
            records += count
            entries.append(entry)
        wall, monotonic = self._clock.wall(), self._clock.monotonic()
        return pack(self._pid, self.handed, wall, monotonic, entries), records

    def _on_tick(self) -> None:
        self._timer = None
        self.send()
        if self._ring or self._stuck is not None:
            self._timer = self._loop.call_later(TICK, self._on_tick)

    def _on_report(self) -> None:
        try:
            data = self._sock.recv(_REPORT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._sock.fileno())
            return
        report = json.loads(data)
        if report["core"] != self._pid:  # meant for the core before
            return
        self.tally.take(report)
        if (waiting := self._flushes.get(report.get("flushed", 0))) is not None and not waiting.done():
            waiting.set_result(report)
        self.on_report()


def _flush_entry(number: int, seconds: float) -> bytes:
    return pack_event("flush", "", 0.0, {"number": number, "seconds": seconds})
