"""What is counted for an application."""

from __future__ import annotations


class Counters:
    """What `status` counts for a group since the core started."""

    __slots__ = (
        "crashes",
        "departed_in_queue",
        "exits",
        "processes_over_time",
        "refused_queue_full",
        "refused_queue_time",
        "refused_spawn_failed",
        "requests",
        "requests_interrupted",
        "requests_over_time",
        "restarts",
        "restarts_failed",
        "spawn_failures",
        "spawns",
    )

    def __init__(self) -> None:
        self.requests = 0
        self.requests_over_time = 0
        """Those that ran longer than `max_request_time`; of these "interrupted" were ended alone, and for the others
        "processes" were ended."""
        self.requests_interrupted = 0
        self.processes_over_time = 0
        self.refused_queue_full = 0
        self.refused_queue_time = 0
        self.refused_spawn_failed = 0
        self.departed_in_queue = 0
        self.spawns = 0
        self.spawn_failures = 0
        self.exits = 0
        self.crashes = 0
        """Of the exits: those that nobody had asked for."""
        self.restarts = 0
        self.restarts_failed = 0
