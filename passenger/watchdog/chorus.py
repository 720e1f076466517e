"""Several instances, one service: what their parent tells the service manager of what its watchdogs tell it. Pure.

Rules.
1. READY=1 when every instance that has not ended is, RELOADING=1 as soon as one reloads, READY=1 again when none does.
2. WATCHDOG=1 when every instance that still runs has pinged since the last one.
3. An instance that stops, or has ended, is not the service's stop; what it may take longer for is passed on.
"""

from __future__ import annotations

from collections.abc import Iterable


class Chorus:
    """Hears the members' messages, returns those of the whole."""

    def __init__(self, names: Iterable[str]) -> None:
        self._status = dict.fromkeys(names, "starting")
        self._members = set(self._status)
        self._ready: set[str] = set()
        self._reloading: set[str] = set()
        self._pinged: set[str] = set()
        self._was_ready = False

    def hears(self, name: str, message: str) -> list[str]:
        """One datagram of one member."""
        said = dict(line.partition("=")[::2] for line in message.splitlines())
        whole: list[str] = []
        if "STATUS" in said:
            self._status[name] = said["STATUS"]
            whole.append(self._status_line())
        if said.get("RELOADING") == "1":
            if not self._reloading and self._was_ready:
                whole += ["RELOADING=1", f"MONOTONIC_USEC={said.get('MONOTONIC_USEC', '0')}"]
            self._reloading.add(name)
        if said.get("READY") == "1":
            self._ready.add(name)
            was_reloading = bool(self._reloading)
            self._reloading.discard(name)
            whole += self._ready_line(was_reloading=was_reloading)
        if said.get("WATCHDOG") == "1":
            self._pinged.add(name)
            whole += self._ping_line()
        if "EXTEND_TIMEOUT_USEC" in said:
            whole.append(f"EXTEND_TIMEOUT_USEC={said['EXTEND_TIMEOUT_USEC']}")
        return ["\n".join(whole)] if whole else []

    def gone(self, name: str) -> list[str]:
        """A member has ended; the others go on."""
        was_reloading = bool(self._reloading)
        for names in (self._members, self._ready, self._reloading, self._pinged):
            names.discard(name)
        self._status[name] = "has ended"
        if not self._members:
            return []
        return ["\n".join([self._status_line(), *self._ready_line(was_reloading=was_reloading), *self._ping_line()])]

    def _status_line(self) -> str:
        return "STATUS=" + "; ".join(f"{name}: {text}" for name, text in self._status.items())

    def _ready_line(self, *, was_reloading: bool) -> list[str]:
        if self._reloading or not self._ready >= self._members:
            return []
        if self._was_ready and not was_reloading:
            return []
        self._was_ready = True
        return ["READY=1"]

    def _ping_line(self) -> list[str]:
        if not self._pinged or not self._pinged >= self._members:
            return []
        self._pinged.clear()
        return ["WATCHDOG=1"]
