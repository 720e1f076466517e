"""The environment variables by which the programs of an instance hand each other descriptors.

They stand apart from the documents on those descriptors (`plan`, `early_launch`): whoever needs a name loads no more.
"""

from __future__ import annotations

from typing import Final

PLAN_FD_VARIABLE: Final = "PASSENGER_PLAN_FD"
"""Number of the descriptor that holds a Plan (for the watchdog)."""

LAUNCH_FD_VARIABLE: Final = "PASSENGER_LAUNCH_FD"
"""The same for a CoreLaunch (for the core)."""

EARLY_FD_VARIABLE: Final = "PASSENGER_EARLY_FD"
"""Number of the core's end of the channel (for a core that was started early)."""

EARLY_CORE_VARIABLE: Final = "PASSENGER_EARLY_CORE"
"""`PID FD`: the process of that core, and the other end (for the watchdog)."""
