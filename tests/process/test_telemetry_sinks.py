"""Sinks with their threads, spools and files, and the core's courier; deliveries are scripted."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from passenger.clock import SystemClock
from passenger.telemetry.courier import MOST_RECORDS, Courier
from passenger.telemetry.json_targets import JsonLines
from passenger.telemetry.post import Outcome
from passenger.telemetry.records import EventRecord, Record, pack_event, unpack
from passenger.telemetry.sink import MOST, Sink
from passenger.telemetry.spool import Delivery, Spool

DEADLINE = 30.0
DOWN, GONE = Outcome("status 503", retry=True), Outcome("status 400")


def events(count: int, first: int = 0) -> list[Record]:
    return [EventRecord(kind="exit", app="blog", time=float(n), facts={}) for n in range(first, first + count)]


class Scripted:
    """A target that answers as the test says, and remembers what it took."""

    def __init__(self, outcome: Outcome | None = None) -> None:
        self.outcome = outcome or Outcome()
        self.taken: list[int] = []
        self.tries = 0
        self._changed = threading.Condition()

    def encode(self, records: Sequence[Record]) -> list[Delivery]:
        body = json.dumps([int(record.time) for record in records if isinstance(record, EventRecord)]).encode()
        return [Delivery("/x", "application/json", body, len(records))]

    def deliver(self, delivery: Delivery, seconds: float | None) -> Outcome:
        with self._changed:
            self.tries += 1
            outcome = self.outcome
            if not outcome.problem:
                self.taken += json.loads(delivery.body)
            self._changed.notify_all()
        return outcome

    def wait(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, DEADLINE), (self.tries, len(self.taken))


def sink_of(target: Scripted, spool: Spool | None = None) -> Sink:
    return Sink("x", target, interval=0.05, random=lambda: 0.5, spool=spool)


def end(sink: Sink) -> dict[str, Any]:
    deadline = time.monotonic() + DEADLINE
    sink.stop(deadline)
    sink.join(deadline)
    return sink.status()


def test_everything_is_delivered_in_order_and_counted() -> None:
    target = Scripted()
    sink = sink_of(target)
    sink.put(events(1000))
    target.wait(lambda: len(target.taken) == 1000)
    sink.put(events(5, 1000))
    status = end(sink)
    assert target.taken == list(range(1005))
    assert (status["sent"], status["waiting"], status["dropped"], status["error"]) == (1005, 0, 0, "")


def test_a_collector_that_is_down_is_asked_again_and_gets_all_at_a_flush() -> None:
    target = Scripted(DOWN)
    sink = sink_of(target)
    sink.put(events(10))
    target.wait(lambda: target.tries >= 1)
    target.outcome = Outcome()
    sink.hurry()
    assert sink.hurried(time.monotonic() + DEADLINE)
    status = end(sink)
    assert (target.taken, status["sent"], status["failures"]) == (list(range(10)), 10, 1)


def test_what_will_never_be_taken_is_not_sent_again() -> None:
    target = Scripted(GONE)
    sink = sink_of(target)
    sink.put(events(10))
    target.wait(lambda: target.tries == 1)
    status = end(sink)
    assert (target.tries, status["rejected"], status["sent"]) == (1, 10, 0)


def test_a_full_queue_drops_its_oldest_and_counts_them() -> None:
    target = Scripted(DOWN)
    sink = sink_of(target)
    sink.put(events(1))
    target.wait(lambda: target.tries == 1)
    sink.put(events(MOST + 50))
    assert sink.status()["dropped"] == 50
    target.outcome = Outcome()
    status = end(sink)
    assert status["sent"] + status["dropped"] == MOST + 51
    assert target.taken[-1] == MOST + 49, "the newest are kept"


def test_the_spool_takes_over_and_its_next_owner_delivers(tmp_path: Path) -> None:
    target = Scripted(DOWN)
    sink = sink_of(target, Spool(str(tmp_path / "s"), 1 << 20))
    sink.put(events(600))
    target.wait(lambda: target.tries >= 1)
    status = end(sink)
    assert (status["spooled"], status["on_disk"], status["waiting"], status["dropped"]) == (600, 600, 0, 0)
    other = Scripted()
    sink = sink_of(other, Spool(str(tmp_path / "s"), 1 << 20))
    other.wait(lambda: len(other.taken) == 600)
    status = end(sink)
    assert (status["spool_sent"], status["on_disk"], other.taken) == (600, 0, list(range(600)))


def test_a_spool_that_is_full_drops_the_oldest_and_one_that_is_torn_goes_on(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path / "s"), 250)
    assert spool.put(Delivery("/a", "t", b"x" * 100, 3)) == (True, 0)
    assert spool.put(Delivery("/b", "t", b"x" * 100, 4)) == (True, 0)
    assert spool.put(Delivery("/c", "t", b"x" * 100, 5)) == (True, 3)
    assert spool.put(Delivery("/d", "t", b"x" * 300, 6)) == (False, 0)
    (tmp_path / "s" / "00-1-1.record.part").write_bytes(b"half")
    again = Spool(str(tmp_path / "s"), 250)
    assert (len(again), again.records) == (2, 9)
    name, oldest = again.oldest() or ("", None)
    assert oldest == Delivery("/b", "t", b"x" * 100, 4)
    (tmp_path / "s" / name).write_bytes(b"no head")
    assert (again.oldest() or ("", None))[1] == Delivery("/c", "t", b"x" * 100, 5)


def test_the_file_is_rotated_between_lines_and_never_followed(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    target = JsonLines(str(file), most=300, keep=2, instance="main")
    for number in range(1, 13):
        (delivery,) = target.encode(events(1, number))
        assert target.deliver(delivery, None) == Outcome()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["r.jsonl", "r.jsonl.1", "r.jsonl.2"]
    lines = [json.loads(line) for name in reversed(names) for line in (tmp_path / name).read_text().splitlines()]
    assert [int(line["time"]) for line in lines] == list(range(13))[-len(lines) :]
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere")
    assert target.deliver(target.encode(events(1))[0], None).retry
    assert not (tmp_path / "elsewhere").exists()


def entry(number: int) -> bytes:
    return pack_event("exit", "blog", 0.0, {"n": number})


def run_with_courier(body: Callable[[Courier, socket.socket], None]) -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        courier = Courier(asyncio.get_running_loop(), SystemClock(), ours)
        with theirs:
            theirs.settimeout(DEADLINE)
            body(courier, theirs)
            courier.close()

    asyncio.run(main())


def test_a_router_that_stands_still_costs_the_oldest_and_blocks_nobody() -> None:
    def body(courier: Courier, router: socket.socket) -> None:
        for number in range(3 * MOST_RECORDS):
            courier.tell(entry(number))
        courier.send()
        status = courier.status()
        assert 0 < status["waiting"] <= MOST_RECORDS + 2000
        assert status["overflow"] > 0
        taken: list[int] = []
        before = 0
        while len(taken) < status["told"] - status["overflow"]:
            packet = unpack(router.recv(1 << 18))
            assert (packet.core, packet.before) == (os.getpid(), before)
            before += len(packet.records)
            taken += [record.facts["n"] for record in packet.records if isinstance(record, EventRecord)]
            courier.send()
        assert taken[-1] == 3 * MOST_RECORDS - 1
        assert taken == sorted(set(taken))
        assert courier.status()["waiting"] == 0

    run_with_courier(body)


@pytest.mark.parametrize("size", [100_000])
def test_an_entry_of_any_size_is_dropped_rather_than_torn(size: int) -> None:
    def body(courier: Courier, _router: socket.socket) -> None:
        courier.tell(pack_event("exit", "blog", 0.0, {"reason": "x" * size}))
        assert (courier.status()["told"], courier.status()["too_long"]) == (0, 1)

    run_with_courier(body)
