"""What a core has asked the watchdog to tell the next one, should it die: small, and opaque to the watchdog.

Rule: bounded. A core that keeps too much loses that, not the watchdog its memory.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

LARGEST: Final = 128 * 1024
"""Bytes of one value."""

MOST: Final = 1000


class Kept:
    """Values by key."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def take(self, message: Mapping[str, Any]) -> str:
        """{"event": "keep", "key": text, "value": object or null}. Answers with why it was not kept, or ""."""
        key, value = message.get("key"), message.get("value")
        if not isinstance(key, str):
            return "it has no key"
        self._values.pop(key, None)
        if value is None:
            return ""
        if len(json.dumps(value)) > LARGEST or len(self._values) >= MOST:
            return "it is too much"
        self._values[key] = value
        return ""

    def all(self) -> dict[str, Any]:
        return dict(self._values)
