"""How a spawn fails inside this package, and the SpawnError that the outside gets for it."""

from __future__ import annotations

import secrets
from typing import Final

from passenger.log import Log
from passenger.spawn.journey import Journey
from passenger.spawn.spawner import SpawnError

MOST_LINES: Final = 100
"""Of an explanation in the log: the last ones, where the reason is."""
LONGEST_LINE: Final = 2000


class SpawnFailure(Exception):  # noqa: N818 - becomes a SpawnError at the border of the package
    """What went wrong in the step that is under way.

    `category` is stable and tells the cases apart, `summary` is one line, `explanation` is the text that the loader
    gave itself ("" if none).
    """

    def __init__(self, category: str, summary: str, *, hint: str = "", explanation: str = "") -> None:
        super().__init__(summary)
        self.category = category
        self.summary = summary
        self.hint = hint
        self.explanation = explanation


def shortage(error: OSError) -> SpawnFailure:
    """The machine, or a limit of Passenger's own, has nothing left for another process (fault matrix B8)."""
    return SpawnFailure(
        "resources",
        f"no process can be made: {error.strerror or error}",
        hint="the processes that run go on serving; raise the limits of Passenger itself (systemd: `LimitNOFILE=`, "
        "`TasksMax=`, `MemoryMax=`), or lower `max_pool_size`",
    )


def spawn_error(name: str, failure: SpawnFailure, journey: Journey, output: str) -> SpawnError:
    """The public error for a failure; the journey has failed in its current step."""
    text = output
    if failure.explanation:
        text = f"{failure.explanation}\n\n{output}" if output else failure.explanation
    return SpawnError(
        f"cannot start application {name}: step `{journey.current.value}` failed: {failure.summary}",
        category=failure.category,
        error_id=secrets.token_hex(4),
        steps=journey.steps(),
        output=text,
        explanation=failure.explanation,
        hint=failure.hint,
    )


def log_failure(log: Log, name: str, error: SpawnError) -> None:
    """A line that names the step, then what the loader explained (such as a traceback), line for line.

    What the process wrote to stdout and stderr is in the log already. In production the log is the one place that tells
    it: the error page does not.
    """
    about = {"app": name, "error_id": error.error_id}
    log.error(error.summary, **about, category=error.category, hint=error.hint)
    lines = error.explanation.splitlines()
    left_out = [f"[{len(lines) - MOST_LINES} lines left out]"] if len(lines) > MOST_LINES else []
    for line in (*left_out, *(f"| {line[:LONGEST_LINE]}" for line in lines[-MOST_LINES:])):
        log.error(line, **about)
