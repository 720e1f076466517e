"""All gates of an instance: closed and opened by name, and forgotten when they are open and nobody is held.

Rule: requests that a pause has held go on in the order in which they came, and before any that comes later.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, Literal, get_args

from passenger.request.gate import Gate, Maintenance, Pause
from passenger.wire.status import TrafficStatus

GateCount = Literal["expired", "refused", "turned_away"]
GATE_COUNTS: Final[tuple[GateCount, ...]] = get_args(GateCount)


class Traffic:
    """`changed` is called when there are other gates than before: routes have to be worked out again."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.gates: dict[str, Gate] = {}
        self._past: dict[str, dict[GateCount, int]] = {}
        """What gates have counted that are open again."""
        self._changed = changed

    def pause(self, name: str, pause: Pause) -> None:
        """Hold the requests of an application from now on; said again, it changes how long those that follow wait."""
        self._gate(name).pause = pause
        self._changed()

    def resume(self, name: str) -> int:
        """Let the requests of an application go on. Answers with how many were held."""
        gate = self.gates.get(name)
        if gate is None or gate.pause is None:
            return 0
        gate.pause = None
        return self._opened(name, gate)

    def maintain(self, name: str, maintenance: Maintenance | None) -> bool:
        """Begin or end the maintenance of an application. Answers with whether it was on before."""
        gate = self.gates.get(name)
        was_on = gate is not None and gate.maintenance is not None
        if maintenance is not None:
            self._gate(name).maintain(maintenance)
            self._changed()
        elif gate is not None:
            gate.maintain(None)
            self._opened(name, gate)
        return was_on

    def only(self, names: Collection[str]) -> list[str]:
        """Applications other than these are gone, with their gates; their held requests are refused like others."""
        gone = [name for name in self.gates if name not in names]
        for name in gone:
            gate = self.gates.pop(name)
            gate.pause = None
            self._pass_on(gate)
        for name in self._past.keys() - set(names):
            del self._past[name]
        return gone

    def open_pauses(self) -> None:
        """The instance stops: what is held is to be served before."""
        for name in list(self.gates):
            self.resume(name)

    def kept(self, name: str) -> dict[str, Any] | None:
        """What is to survive this core."""
        gate = self.gates.get(name)
        return None if gate is None else gate.kept()

    def restore(self, name: str, kept: Mapping[str, Any]) -> None:
        """Go on where a core before has ended. Raises TypeError or ValueError for what no core has said."""
        gate = Gate()
        gate.restore(kept)
        if not gate.is_open():
            self.gates[name] = gate
            self._changed()

    def status(self, name: str) -> TrafficStatus | None:
        gate = self.gates.get(name)
        return None if gate is None else gate.status()

    def counted(self, name: str) -> dict[GateCount, int]:
        """Requests that the gates of an application have answered since the core started."""
        past, gate = self._past.get(name), self.gates.get(name)
        return {
            count: (past[count] if past else 0) + (getattr(gate, count) if gate is not None else 0)
            for count in GATE_COUNTS
        }

    def _gate(self, name: str) -> Gate:
        return self.gates.setdefault(name, Gate())

    def _opened(self, name: str, gate: Gate) -> int:
        if gate.is_open():
            self._past[name] = self.counted(name)
            del self.gates[name]
        self._changed()
        return 0 if gate.pause is not None else self._pass_on(gate)

    @staticmethod
    def _pass_on(gate: Gate) -> int:
        count = len(gate.held)
        while gate.held:
            gate.held.popitem(last=False)[0].pass_on()
        return count
