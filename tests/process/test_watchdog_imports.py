"""What the watchdog carries with it for life."""

from __future__ import annotations

import subprocess
import sys

from tests.support.commands import clean_environment


def test_the_watchdog_does_not_import_what_costs_megabytes() -> None:
    """Under every Python that we run on, `dataclasses` finds a stand-in for `inspect` and is content with it."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "passenger.watchdog"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env=clean_environment(),
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}
    assert "PASSENGER_PLAN_FD is not set" in done.stderr
    assert {"dataclasses", "passenger.watchdog.main"} <= imported
    assert not imported & {"inspect", "ast", "pathlib", "asyncio", "uvloop", "logging", "click", "jsonschema"}
