"""The components of an instance, as the verb `status` of the watchdog shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from passenger.watchdog.child import Child
from passenger.watchdog.machine import Part


def roster(parts: Iterable[Part], children: Mapping[str, Child | None], now: float) -> list[dict[str, Any]]:
    """One entry per component; `now` is monotonic."""
    return [
        {
            "name": part.name,
            "pid": child.pid if (child := children[part.name]) is not None else None,
            "state": part.state.value,
            "restarts": part.restarts,
            "uptime": now - child.started_at if child is not None else 0.0,
        }
        for part in parts
    ]
