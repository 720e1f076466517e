"""When output is coloured: one rule for all commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO


def wants_colour(out: TextIO, environ: Mapping[str, str]) -> bool:
    """Only for a terminal that can show it, and never when NO_COLOR is set to anything but nothing."""
    return out.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
