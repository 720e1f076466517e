"""What an operator sees first: which applications want somebody to look, and what goes on."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from passenger.cli.attention import app_progress, app_words, attention, process_word
from passenger.cli.instanceview import status_lines
from passenger.cli.snapshot import Snapshot
from passenger.cli.topstate import State
from passenger.cli.topview import screen
from tests.support.statuses import core, group, process, restart, watchdog

TRAFFIC: dict[str, Any] = {
    "paused_at": None,
    "held": 0,
    "expired": 0,
    "refused": 0,
    "maintenance_at": None,
    "turned_away": 0,
    "allow": [],
}
ERROR = {"id": "abc", "summary": "it broke", "at": 1_003_641.0}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, []),
        ({"last_error": ERROR}, []),
        ({"last_error": ERROR, "processes": []}, ["CANNOT START"]),
        ({"backing_off_for": 3.0}, ["keeps failing"]),
        ({"backing_off_for": 3.0, "processes": []}, ["CANNOT START"]),
        ({"restart": restart("failed")}, ["restart FAILED"]),
        ({"restart": restart("running")}, []),
        ({"traffic": TRAFFIC | {"paused_at": 1.0}}, ["PAUSED"]),
        ({"traffic": TRAFFIC | {"paused_at": 1.0, "maintenance_at": 1.0}}, ["UNDER MAINTENANCE", "PAUSED"]),
    ],
)
def test_what_is_not_as_it_should_be(changes: dict[str, Any], words: list[str]) -> None:
    assert list(app_words(group(**changes))) == words


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, []),
        ({"spawning": 2}, ["starting 2"]),
        ({"spawning": 2, "restart": restart("running")}, ["restarting, 2 of 5 replaced"]),
        ({"restart": restart("done")}, []),
    ],
)
def test_what_goes_on(changes: dict[str, Any], words: list[str]) -> None:
    assert list(app_progress(group(**changes))) == words


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, ""),
        ({"outdated": True}, "old code"),
        ({"outdated": True, "retired_because": "max_requests"}, "to be replaced"),
        ({"state": "draining", "outdated": True}, "draining"),
    ],
)
def test_a_word_on_a_process(changes: dict[str, Any], word: str) -> None:
    assert process_word(process(**changes)) == word


def test_status_says_it_above_everything_else() -> None:
    """Also when fifty applications that are well come before those that are not."""
    sick = core(
        group("blog", restart=restart("failed")), group("shop"), group("cart", traffic=TRAFFIC | {"paused_at": 1.0})
    )
    assert attention(sick) == "blog (restart FAILED), cart (PAUSED)"
    lines = list(status_lines(Snapshot("main", watchdog(), sick), now=1_003_661.0))
    assert "Look at: blog (restart FAILED), cart (PAUSED)" in lines[:8]
    well = list(status_lines(Snapshot("main", watchdog(), core(group())), now=1_003_661.0))
    assert not [line for line in well if line.startswith("Look at")]


def test_old_code_that_serves_on_after_a_failed_restart_is_told() -> None:
    """No process counts as outdated any more: what was to replace them is given up."""
    told = "    The old code serves on; nothing is tried again before the next restart"
    failed = core(group(restart=restart("failed")))
    assert told in list(status_lines(Snapshot("main", watchdog(), failed), now=1_003_661.0))
    cold = core(group(restart=restart("failed"), processes=[]))
    assert told not in list(status_lines(Snapshot("main", watchdog(), cold), now=1_003_661.0))


def test_top_shows_what_is_closed_and_what_failed() -> None:
    drained = core(
        group("blog", restart=restart("failed"), processes=[process(outdated=True)]),
        group("cart", traffic=TRAFFIC | {"paused_at": 1.0}, spawning=1),
        drained_at=1_003_600.0,
    )
    console = Console(width=150, record=True, force_terminal=False)
    with console.capture() as shown:
        console.print(screen(Snapshot("main", watchdog(), drained), {}, State(), height=30))
    for words in ("DRAINED", "restart FAILED", "old code", "PAUSED, starting 1"):
        assert words in shown.get()
