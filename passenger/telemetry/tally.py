"""What became of the records, as the reports of one UstRouter after the other tell. Pure; counters only go up.

Report: {"router": pid, "core": pid, "first": n, "taken": n, "sinks": {name: {each of COUNTERS, "waiting", "on_disk",
"error", "retry_in"}}}; `first` and `taken` count the records of this core: those before the first packet that this
router took, and those up to the last one.
"""

from __future__ import annotations

from typing import Any, Final

COUNTERS: Final = ("sent", "rejected", "dropped", "spooled", "spool_sent", "spool_dropped", "unwanted", "failures")
_NOW: Final = ("waiting", "on_disk", "error", "retry_in")


class Tally:
    """Sums over the lives of the routers."""

    def __init__(self) -> None:
        self.routers = 0
        self._router = 0
        self._taken = 0
        self._last: dict[str, dict[str, Any]] = {}
        self._before: dict[str, dict[str, int]] = {}
        self._lost: dict[str, int] = {}

    def take(self, report: dict[str, Any]) -> None:
        """The next report."""
        if report["router"] != self._router:
            self._successor(report)
        self._router = report["router"]
        self._taken = report["taken"]
        self._last = report["sinks"]

    def _successor(self, report: dict[str, Any]) -> None:
        """A router that died before its first report has taken records all the same: `first` tells how many."""
        self.routers += 1
        since = max(0, report["first"] - self._taken)
        for name, counts in self._last.items():
            before = self._before.setdefault(name, dict.fromkeys(COUNTERS, 0))
            for counter in COUNTERS:
                before[counter] += counts[counter]
            self._lost[name] = self._lost.get(name, 0) + counts["waiting"] + since
        if not self._router:
            self._lost = dict.fromkeys(report["sinks"], since)

    def status(self) -> dict[str, Any]:
        """`lost`: in the memory of routers that died."""
        names = dict.fromkeys((*self._last, *self._before))
        return {"router": self._router or None, "routers": self.routers, "sinks": {n: self._of(n) for n in names}}

    def _of(self, name: str) -> dict[str, Any]:
        now = self._last.get(name, {})
        before = self._before.get(name, {})
        sums: dict[str, Any] = {counter: before.get(counter, 0) + now.get(counter, 0) for counter in COUNTERS}
        return sums | {"lost": self._lost.get(name, 0)} | {key: now.get(key) for key in _NOW}
