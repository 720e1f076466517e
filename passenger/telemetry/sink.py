"""One sink of UstRouter: a bounded queue, and a thread that takes batches from it and delivers them.

Rules.
1. `put` never blocks and never fails: a full queue drops its oldest record and counts it (`dropped`).
2. A batch goes out when BATCH records wait, or `interval` after the first one.
3. What fails and may go well later is tried again (`retry`): from the spool if there is one, and the queue is emptied
   into it meanwhile; else it waits in memory, and the queue takes what it can hold.
4. `stop` tries everything once more until its deadline; what is left then is spooled or counted as dropped.
5. A sink of one application, or of all but some, is given all records and leaves out those that are not its own
   (`unwanted`): so an application whose key is refused, or has used up its share, holds up nobody else.
6. Every record ends in exactly one of: sent, rejected, dropped, spooled, unwanted (the sink tells no such thing). What
   was spooled ends in one of: spool_sent, spool_dropped, on_disk.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from passenger.telemetry.post import Outcome
from passenger.telemetry.records import Record
from passenger.telemetry.retry import Retry
from passenger.telemetry.spool import Delivery, Spool
from passenger.telemetry.tally import COUNTERS

BATCH: Final = 512
MOST: Final = 10_000
"""Records that wait in memory."""


class Target(Protocol):
    """Where deliveries go."""

    def encode(self, records: Sequence[Record]) -> list[Delivery]:
        """The batch as it is delivered; records that concern it in no way are in no delivery."""
        ...

    def deliver(self, delivery: Delivery, seconds: float | None) -> Outcome:
        """Blocks, for at most `seconds`."""
        ...


class Sink:
    """`on_trouble(name, problem)` is called from its thread when deliveries begin to fail; "" = they go again."""

    def __init__(
        self,
        name: str,
        target: Target,
        *,
        interval: float,
        random: Callable[[], float],
        spool: Spool | None = None,
        concerns: Callable[[Record], bool] | None = None,
        on_trouble: Callable[[str, str], None] = lambda _name, _problem: None,
    ) -> None:
        self.name = name
        self._target = target
        self._interval = interval
        self._spool = spool
        self._concerns = concerns
        self._retry = Retry(random)
        self._on_trouble = on_trouble
        self._lock = threading.Condition()
        self._queue: deque[Record] = deque()
        self._first_at = 0.0
        self._pending: deque[Delivery] = deque()
        """Encoded, in hand; more than one batch never."""
        self._blocked_until = 0.0
        self._hurry = False
        self._stop_at: float | None = None
        self._counts = dict.fromkeys(COUNTERS, 0)
        self._error = ""
        self._in_hand = 0
        """Records that are being encoded."""
        self._thread = threading.Thread(target=self._run, name=f"sink-{name}", daemon=True)
        self._thread.start()

    def put(self, records: Sequence[Record]) -> None:
        mine = records if self._concerns is None else list(filter(self._concerns, records))
        with self._lock:
            self._counts["unwanted"] += len(records) - len(mine)
            if not mine:
                return
            if not self._queue:
                self._first_at = time.monotonic()
            self._queue.extend(mine)
            while len(self._queue) > MOST:
                self._queue.popleft()
                self._counts["dropped"] += 1
            if len(self._queue) >= BATCH or len(self._queue) == len(mine):
                self._lock.notify_all()

    def hurry(self) -> None:
        """Deliver what there is now, also what waits for its next try. Does not wait."""
        with self._lock:
            self._hurry = True
            self._blocked_until = 0.0
            self._lock.notify_all()

    def hurried(self, deadline: float) -> bool:
        """Wait until that was tried. False = not all of it was delivered by `deadline`."""
        with self._lock:
            while self._hurry and time.monotonic() < deadline:
                self._lock.wait(deadline - time.monotonic())
            is_done, self._hurry = not self._hurry, False
            return is_done and not self._queue and not self._pending and not (self._spool and len(self._spool))

    def stop(self, deadline: float) -> None:
        """Rule 4. Call `join` afterwards."""
        with self._lock:
            self._stop_at = deadline
            self._blocked_until = 0.0
            self._lock.notify_all()

    def join(self, deadline: float) -> None:
        """Wait for its end; what a delivery still has in hand at `deadline` counts as dropped."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        with self._lock:
            self._give_up()

    def status(self) -> dict[str, Any]:
        with self._lock:
            waiting = len(self._queue) + self._in_hand + sum(delivery.count for delivery in self._pending)
            retry_in = max(0.0, self._blocked_until - time.monotonic()) if self._error else 0.0
            on_disk = self._spool.records if self._spool is not None else 0
            return {
                **self._counts,
                "waiting": waiting,
                "on_disk": on_disk,
                "error": self._error,
                "retry_in": round(retry_in, 1),
            }

    # The thread

    def _run(self) -> None:
        while self._wait():
            self._turn()
        with self._lock:
            self._give_up()

    def _wait(self) -> bool:
        """Until there is something to do; False = the end."""
        with self._lock:
            while True:
                now = time.monotonic()
                if self._stop_at is not None and (now >= self._stop_at or self._is_empty()):
                    return False
                if self._hurry and self._is_empty():
                    self._hurry = False
                    self._lock.notify_all()
                due = self._due_in(now)
                if due is not None and due <= 0:
                    return True
                self._lock.wait(due)

    def _due_in(self, now: float) -> float | None:
        """Seconds until there is something to do; None = only when something comes."""
        waits: list[float] = []
        if self._pending or (self._spool is not None and len(self._spool)):
            waits.append(self._blocked_until - now)
        if self._queue and (self._spool is not None or not self._pending):
            full = len(self._queue) >= BATCH or self._hurry or self._stop_at is not None
            ready = 0.0 if full else self._first_at + self._interval - now
            waits.append(ready if self._spool is not None else max(ready, self._blocked_until - now))
        return min(waits) if waits else None

    def _is_empty(self) -> bool:
        return not self._queue and not self._pending and not (self._spool is not None and len(self._spool))

    def _turn(self) -> None:
        """Deliver what waits for its next try, else the next batch."""
        blocked = time.monotonic() < self._blocked_until
        if not blocked and self._spool is not None and (kept := self._spool.oldest()) is not None:
            self._again(self._spool, *kept)
            return
        if not self._pending:
            self._next_batch()
        while self._pending:
            if blocked or not self._deliver(self._pending[0]):
                self._put_off()
                return
        self._settled_hurry()

    def _next_batch(self) -> None:
        with self._lock:
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            self._first_at = time.monotonic()
            self._in_hand = len(batch)
        try:
            deliveries = self._target.encode(batch)
        except Exception as error:  # a record that cannot be told must not end the sink
            self._trouble(f"records could not be encoded: {type(error).__name__}: {error}")
            deliveries = []
            with self._lock:
                self._counts["rejected"] += len(batch)
                batch = []
        with self._lock:
            self._in_hand = 0
            self._counts["unwanted"] += len(batch) - sum(delivery.count for delivery in deliveries)
            self._pending.extend(deliveries)

    def _deliver(self, delivery: Delivery) -> bool:
        """False = put it off."""
        outcome = self._target.deliver(delivery, self._seconds_left())
        with self._lock:
            if outcome.problem and outcome.retry:
                self._failed(outcome)
                return False
            if delivery not in self._pending:
                return True  # given up meanwhile
            self._pending.remove(delivery)
            self._counts["rejected" if outcome.problem else "sent"] += delivery.count
        self._went(outcome)
        return True

    def _again(self, spool: Spool, name: str, delivery: Delivery) -> None:
        outcome = self._target.deliver(delivery, self._seconds_left())
        with self._lock:
            if outcome.problem and outcome.retry:
                self._failed(outcome)
                if self._stop_at is not None:
                    self._stop_at = 0.0  # it is safe where it is
                return
            spool.done(name)
            self._counts["spool_dropped" if outcome.problem else "spool_sent"] += delivery.count
        self._went(outcome)

    def _failed(self, outcome: Outcome) -> None:
        self._counts["failures"] += 1
        self._blocked_until = time.monotonic() + self._retry.failed(outcome.after)
        self._hurry = False
        self._lock.notify_all()
        if not self._error:
            self._on_trouble(self.name, outcome.problem)
        self._error = outcome.problem

    def _went(self, outcome: Outcome) -> None:
        if outcome.problem:
            self._trouble(outcome.problem)
        elif self._error or self._retry.failures:
            self._retry.succeeded()
            with self._lock:
                self._error = ""
            self._on_trouble(self.name, "")

    def _trouble(self, problem: str) -> None:
        with self._lock:
            self._counts["failures"] += 1
            is_new, self._error = self._error != problem, problem
        if is_new:
            self._on_trouble(self.name, problem)

    def _put_off(self) -> None:
        """Rule 3."""
        if self._spool is not None:
            with self._lock:
                self._to_disk(self._spool)
        if self._stop_at is not None:
            self._stop_at = 0.0

    def _to_disk(self, spool: Spool) -> None:
        while self._pending:
            delivery = self._pending.popleft()
            is_kept, dropped = spool.put(delivery)
            self._counts["spool_dropped"] += dropped
            self._counts["spooled" if is_kept else "dropped"] += delivery.count

    def _give_up(self) -> None:
        """What is still in hand at the end: to the disk, or lost."""
        if self._spool is not None:
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
                self._pending.extend(self._target.encode(batch))
            self._to_disk(self._spool)
        self._counts["dropped"] += len(self._queue) + sum(delivery.count for delivery in self._pending)
        self._queue.clear()
        self._pending.clear()

    def _settled_hurry(self) -> None:
        with self._lock:
            if self._hurry and self._is_empty():
                self._hurry = False
                self._lock.notify_all()

    def _seconds_left(self) -> float | None:
        return None if self._stop_at is None else self._stop_at - time.monotonic()
