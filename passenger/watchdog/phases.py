"""The phases of an instance, and what can happen to it. The watchdog's decisions about them are in `machine`."""

from __future__ import annotations

import enum
from typing import Final


class Phase(enum.Enum):
    """Where the instance is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    LEAVING = "leaving"
    DRAINING = "draining"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


class Happening(enum.Enum):
    """What happens to the instance."""

    BEGIN = "begin"
    STOP = "stop"
    STOP_FAST = "stop fast"
    DELAY_OVER = "drain delay over"
    NGINX_DEADLINE = "nginx deadline"
    DRAIN_DEADLINE = "drain deadline"
    KILL_DEADLINE = "kill deadline"
    READY = "component ready"
    CRASHED = "component crashed"
    STOPPED = "component stopped"
    HEALTHY = "component healthy"


QUIET: Final = {
    Phase.STARTING: (
        Happening.DELAY_OVER,
        Happening.NGINX_DEADLINE,
        Happening.DRAIN_DEADLINE,
        Happening.KILL_DEADLINE,
        Happening.STOPPED,
    ),
    Phase.RUNNING: (
        Happening.BEGIN,
        Happening.DELAY_OVER,
        Happening.NGINX_DEADLINE,
        Happening.DRAIN_DEADLINE,
        Happening.KILL_DEADLINE,
        Happening.STOPPED,
    ),
    Phase.LEAVING: (
        Happening.BEGIN,
        Happening.NGINX_DEADLINE,
        Happening.DRAIN_DEADLINE,
        Happening.KILL_DEADLINE,
        Happening.STOPPED,
    ),
    Phase.DRAINING: (Happening.BEGIN, Happening.DELAY_OVER, Happening.KILL_DEADLINE),
    Phase.STOPPING: (
        Happening.BEGIN,
        Happening.DELAY_OVER,
        Happening.NGINX_DEADLINE,
        Happening.DRAIN_DEADLINE,
        Happening.READY,
        Happening.HEALTHY,
    ),
    Phase.STOPPED: tuple(Happening),
    Phase.FAILED: tuple(Happening),
}
"""What cannot happen, or means nothing any more, in a phase."""
