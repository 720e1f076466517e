"""The pool report, letter by letter: scripts of operators read it."""

from __future__ import annotations

from typing import Any

import pytest

from passenger.cli.instanceview import status_lines
from passenger.cli.poolview import duration, emphasised, pool_lines
from passenger.cli.snapshot import Snapshot
from tests.support.statuses import core, group, process, restart, watchdog

NOW = 1_003_661.0


def test_layout_is_passengers_own() -> None:
    """Labels, order and indentation of `passenger-status`."""
    assert "\n".join(pool_lines(core(group()), now=NOW)) == (
        "----------- General information -----------\n"
        "Max pool size : 6\n"
        "App groups    : 1\n"
        "Processes     : 1\n"
        "Requests in top-level queue : 0\n"
        "\n"
        "----------- Application groups -----------\n"
        "blog (production):\n"
        "  App root: /srv/blog\n"
        "  Requests in queue: 0\n"
        "  * PID: 4711    Sessions: 0       Processed: 3       Uptime: 5m 2s\n"
        "    CPU: 10%    Memory  : 25M     Last used: 3s ago\n"
    )


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"spawning": 1}, "  (spawning 1 new process...)"),
        ({"spawning": 2}, "  (spawning 2 new processes...)"),
        ({"backing_off_for": 4.2}, "  (keeps failing; next try in 4s)"),
        ({"queue": 7}, "  Requests in queue: 7"),
        (
            {"last_error": {"id": "abc", "summary": "no module named x", "at": NOW - 65}},
            "  Last error: no module named x (id abc, 1m 5s ago)",
        ),
        (
            {"preloader": {"pid": 4700, "rss": 40 << 20, "pss": 12 << 20, "private": 1 << 20}},
            "  Preloader: PID 4700   Memory: 12M",
        ),
        (
            {"processes": [process(state="draining", retired_because="replaced", cut_in=61.2)]},
            "    Draining... (replaced), requests are cut in 1m 1s",
        ),
        ({"processes": [process(state="draining")]}, "    Draining..."),
        ({"processes": [process(state="stopping", retired_because="idle")]}, "    Shutting down... (idle)"),
        ({"processes": [process(state="aside")]}, "    Ready, waits for the others"),
        ({"processes": [process(outdated=True)]}, "    Old code, until it is replaced"),
        ({"restart": restart("running")}, "  Restart (restart.txt): 2 of 5 replaced, began 1m 1s ago"),
        ({"restart": restart("done")}, "  Restart (restart.txt): done 20s ago"),
        (
            {"restart": restart("failed")},
            "  Restart (restart.txt): FAILED 20s ago, 2 of 5 replaced: it broke (id abc)",
        ),
        (
            {"processes": [process(rss=None, pss=None, cpu_seconds=None)]},
            "    CPU: ?      Memory  : ?       Last used: 3s ago",
        ),
        (
            {"processes": [process(pss=None)]},
            "    CPU: 10%    Memory  : 40M     Last used: 3s ago",
        ),
    ],
)
def test_special_states_have_their_line(changes: dict[str, Any], line: str) -> None:
    """What differs from the healthy picture."""
    assert line in list(pool_lines(core(group(**changes)), now=NOW))


def test_application_cannot_write_to_the_terminal() -> None:
    """An error summary with escape sequences is shown, not obeyed."""
    error = {"id": "abc", "summary": "\x1b[2Jgone\nPID: 1", "at": NOW}
    text = "\n".join(pool_lines(core(group(last_error=error)), now=NOW))
    assert "\x1b" not in text
    assert "\\x1b[2Jgone\\nPID: 1" in text


def test_headings_are_painted_on_request() -> None:
    """Only the headings: the figures stay easy to cut out."""
    painted = [line for line in pool_lines(core(group()), now=NOW, heading=emphasised) if "\x1b" in line]
    assert len(painted) == 2


def test_verbose_adds_counters_and_identity() -> None:
    """For those who look closer."""
    text = "\n".join(pool_lines(core(group()), now=NOW, verbose=True))
    assert "requests 3" in text
    assert "GUPID: 1a-4711   Concurrency: 1" in text


def test_no_applications() -> None:
    """An instance without applications has an empty second part."""
    assert list(pool_lines(core(), now=NOW))[-1] == "----------- Application groups -----------"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (-3, "0s"), (59.9, "59s"), (60, "1m 0s"), (3600, "1h 0m 0s"), (90061, "1d 1h 1m 1s")],
)
def test_duration(seconds: float, text: str) -> None:
    """Days, hours, minutes, seconds; no leading zeros."""
    assert duration(seconds) == text


def test_status_names_instance_components_and_urls() -> None:
    """The head of `passenger status`."""
    lines = list(status_lines(Snapshot("main", watchdog(), core(group())), now=NOW))
    assert lines[:5] == [
        "Instance main: running, version 0.1.0, up 1h 1m 1s",
        "  watchdog   PID 101",
        "  core       PID 102     running, restarts 0, up 1h 1m 1s",
        "  nginx      PID -       waiting, restarts 4",
        "  blog: http://127.0.0.1:8080/",
    ]
    assert "Requests: 1 active, 42 handled, 2 aborted, 0 malformed" in lines


def test_status_without_a_core_says_so() -> None:
    """The watchdog's part is still shown."""
    lines = list(status_lines(Snapshot("main", watchdog(), None, "did not answer"), now=NOW))
    assert lines[0] == "Instance main: running"
    assert lines[-1] == "The core does not answer: did not answer"


def test_draining_is_shown_as_the_state() -> None:
    """The core's word counts while it finishes."""
    lines = list(status_lines(Snapshot("main", watchdog(), core(state="draining")), now=NOW))
    assert lines[0].startswith("Instance main: draining")


def test_json_is_one_flat_document() -> None:
    """Core and watchdog side by side; `state` is the watchdog's."""
    document = Snapshot("main", watchdog(), core(group(), state="starting")).as_json()
    assert document["pool"]["groups"][0]["name"] == "blog"
    assert document["components"][0]["pid"] == 102
    assert (document["state"], document["core_state"]) == ("running", "starting")
    assert "ok" not in document


def test_json_without_a_core() -> None:
    """`pool` is null, `trouble` says why."""
    document = Snapshot("main", watchdog(), None, "gone").as_json()
    assert (document["name"], document["pool"], document["trouble"]) == ("main", None, "gone")
