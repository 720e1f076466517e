"""Which fields of a new plan a reload applies."""

from __future__ import annotations

import dataclasses

from passenger.watchdog.reload import merge
from tests.support.watchdog import make_plan


def test_live_fields_are_taken_and_others_named() -> None:
    """What can change now changes; what cannot stays as it is and is reported; nobody hears of transient fields."""
    running = make_plan("/run/p")
    offered = dataclasses.replace(
        running,
        log_level="error",
        max_crashes=3,
        core_uid=5,
        nginx_mode="off",
        log_format="json",
        readiness_fd=9,
        version="2",
    )
    merged, restart_needed = merge(running, offered)
    assert (merged.log_level, merged.max_crashes) == ("error", 3)
    assert (merged.core_uid, merged.log_format, merged.readiness_fd, merged.version) == (None, "text", None, "0")
    assert restart_needed == ["core_uid", "log_format"]


def test_nothing_new_needs_nothing() -> None:
    """An unchanged plan is taken as it is."""
    running = make_plan("/run/p")
    assert merge(running, running) == (running, [])
