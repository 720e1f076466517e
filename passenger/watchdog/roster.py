"""The components of an instance, as the verb `status` of the watchdog shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from passenger.watchdog.child import Child
from passenger.watchdog.machine import Part


def roster(parts: Iterable[Part], children: Mapping[str, Child | None], now: float) -> list[dict[str, Any]]:
    """One entry per component; `now` is monotonic."""
    return [shown(part.name, children[part.name], part.state.value, part.restarts, now) for part in parts]


def shown(name: str, child: Child | None, state: str, restarts: int, now: float) -> dict[str, Any]:
    """One entry."""
    return {
        "name": name,
        "pid": child.pid if child is not None else None,
        "state": state,
        "restarts": restarts,
        "uptime": now - child.started_at if child is not None else 0.0,
    }
