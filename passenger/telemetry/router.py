"""UstRouter: takes the core's packets, gives them to every sink, tells the core what became of them.

Rules.
1. The main thread only takes and gives: whatever blocks (names, connections, disks) happens in the sinks' threads, so
   the core's socket is emptied as fast as packets come.
2. A report goes to the core each REPORT seconds in which something came or changed; one that does not fit is dropped,
   as the next one says the same.
3. The channel to the watchdog says `ready` once; its end, or SIGTERM, ends the program: sinks get STOP seconds.
4. What is no packet is logged once and dropped; it ends nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from passenger.log import Log
from passenger.telemetry.records import EventRecord, Record, unpack
from passenger.telemetry.sink import Sink

STOP: Final = 2.0
REPORT: Final = 0.5
LONGEST: Final = 256 * 1024
_BURST: Final = 64
"""Packets taken before the others get a turn."""


class Router:
    """`run` returns when it was told to stop, or the watchdog has gone."""

    def __init__(self, records: socket.socket, feedback: socket.socket, sinks: Sequence[Sink], log: Log) -> None:
        records.setblocking(False)
        feedback.setblocking(False)
        self._records = records
        self._feedback = feedback
        self._sinks = sinks
        self._log = log
        self._core = 0
        self._first = 0
        self._taken = 0
        self._is_stopping = False
        self._reported: dict[str, Any] = {}
        self._has_complained = False
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        self._lock = threading.Lock()
        self._flushed: list[int] = []

    def run(self) -> None:
        with contextlib.closing(self._wake), contextlib.closing(self._woken), selectors.DefaultSelector() as selector:
            for sock, take in ((self._records, self._take), (self._feedback, self._hear), (self._woken, self._rouse)):
                selector.register(sock, selectors.EVENT_READ, take)
            signal.signal(signal.SIGTERM, lambda *_: self._end())
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
            self._feedback.send(b'{"event": "ready"}\n')
            reported_at = 0.0
            while not self._is_stopping:
                for key, _ in selector.select(REPORT):
                    key.data()
                if time.monotonic() - reported_at >= REPORT:
                    reported_at = time.monotonic()
                    self._report()
            signal.set_wakeup_fd(-1)
            self._take()
            self._stop()

    def _end(self) -> None:
        self._is_stopping = True

    def _rouse(self) -> None:
        """A signal came, or a flush is over."""
        with contextlib.suppress(BlockingIOError):
            self._woken.recv(4096)
        with self._lock:
            flushed, self._flushed = self._flushed, []
        for number in flushed:
            self._report(flushed=number)

    def _hear(self) -> None:
        try:
            if not self._feedback.recv(4096):
                self._end()
        except BlockingIOError:
            return
        except OSError:
            self._end()

    def _take(self) -> None:
        for _ in range(_BURST):
            try:
                data = self._records.recv(LONGEST)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._end()
                return
            self._packet(data)

    def _packet(self, data: bytes) -> None:
        try:
            packet = unpack(data)
        except ValueError as error:
            if not self._has_complained:
                self._has_complained = True
                self._log.error("what came from the core is no packet", reason=str(error))
            return
        if packet.core != self._core:
            self._core, self._first = packet.core, packet.before
        self._taken = packet.before + len(packet.records)
        flushes = [record for record in packet.records if isinstance(record, EventRecord) and record.kind == "flush"]
        records: Sequence[Record] = (
            [record for record in packet.records if record not in flushes] if flushes else packet.records
        )
        if records:
            for sink in self._sinks:
                sink.put(records)
        for record in flushes:
            threading.Thread(target=self._flush, args=(record,), daemon=True).start()

    def _flush(self, asked: EventRecord) -> None:
        deadline = time.monotonic() + float(asked.facts["seconds"])
        for sink in self._sinks:
            sink.hurry()
        for sink in self._sinks:
            sink.hurried(deadline)
        with self._lock:
            self._flushed.append(int(asked.facts["number"]))
        with contextlib.suppress(OSError):  # the end came first
            self._wake.send(b"\0")

    def _report(self, *, flushed: int = 0) -> None:
        if not self._core:
            return
        report: dict[str, Any] = {
            "router": os.getpid(),
            "core": self._core,
            "first": self._first,
            "taken": self._taken,
            "sinks": {sink.name: sink.status() for sink in self._sinks},
        }
        if report == self._reported and not flushed:
            return
        self._reported = report
        with contextlib.suppress(OSError):  # rule 2
            self._records.send(json.dumps({**report, "flushed": flushed}).encode(), socket.MSG_DONTWAIT)

    def _stop(self) -> None:
        deadline = time.monotonic() + STOP
        for sink in self._sinks:
            sink.stop(deadline)
        for sink in self._sinks:
            sink.join(deadline)
        self._report()
