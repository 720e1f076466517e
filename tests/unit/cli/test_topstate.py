"""Keys of `passenger top`, and the figures per second."""

from __future__ import annotations

import pytest
from rich.console import Console

from passenger.cli.snapshot import Snapshot
from passenger.cli.terminal_keys import split_keys
from passenger.cli.topstate import Act, Rates, Row, State, rates, rows_of
from passenger.cli.topview import screen
from tests.support.statuses import core, group, process, watchdog

BLOG, SHOP = Row("blog"), Row("shop")
ONE, TWO = Row("blog", 1), Row("blog", 2)
ROWS = [BLOG, ONE, TWO, SHOP]
PICTURE = core(group(processes=[process(1), process(2)]), group("shop", processes=[]))


def test_rows_are_applications_with_their_processes() -> None:
    """From top to bottom."""
    assert rows_of(PICTURE) == ROWS


@pytest.mark.parametrize(
    ("selected", "key", "then"),
    [
        (BLOG, "j", ONE),
        (BLOG, "\x1b[B", ONE),
        (BLOG, "k", BLOG),
        (SHOP, "j", SHOP),
        (SHOP, "\x1b[A", TWO),
        (None, "j", ONE),
    ],
)
def test_cursor_keys_move_within_the_list(selected: Row | None, key: str, then: Row) -> None:
    """And stop at its ends."""
    assert State(selected).key(key, ROWS) == (State(then), None)


@pytest.mark.parametrize(
    ("selected", "key", "act"),
    [(ONE, "r", Act("restart", BLOG)), (BLOG, "r", Act("restart", BLOG)), (TWO, "d", Act("detach", TWO))],
)
def test_what_changes_something_is_asked_about(selected: Row, key: str, act: Act) -> None:
    """Only `y` means yes; every other key means no."""
    asked, nothing = State(selected).key(key, ROWS)
    assert (asked.question, nothing) == (act, None)
    assert asked.key("y", ROWS) == (State(selected), act)
    for other in ("n", "q", "\r", "j"):
        assert asked.key(other, ROWS) == (State(selected, message="nothing was done"), None)


def test_an_application_cannot_be_detached() -> None:
    """It is said what can."""
    assert State(BLOG).key("d", ROWS) == (State(BLOG, message="select a process to detach it"), None)


@pytest.mark.parametrize("key", ["q", "Q", "\x03", "\x04"])
def test_ways_to_leave_it(key: str) -> None:
    """Ctrl-C, Ctrl-D and a terminal that has gone are as good as q."""
    assert State().key(key, []) == (State(), Act("quit"))


def test_keys_without_anything_to_select() -> None:
    """An instance without applications."""
    for key in ("j", "r", "d", "x"):
        assert State().key(key, []) in {(State(), None), (State(message="select a process to detach it"), None)}


def test_the_selection_follows_its_application() -> None:
    """A process that went is replaced by its application, an application that went by the first line."""
    assert State(Row("blog", 99)).following(ROWS).selected == BLOG
    assert State(Row("gone", 1)).following(ROWS).selected == BLOG
    assert State(SHOP).following(ROWS).selected == SHOP
    assert State(SHOP).following([]).selected is None


def test_rates_are_differences_of_counters() -> None:
    """Requests per second and percent of a CPU; nothing is said without a picture before, or after a new core."""
    counters = group()["counters"]
    before = core(group(counters={**counters, "requests": 100}, processes=[process(1, processed=50, cpu_seconds=1.0)]))
    after = core(
        group(
            counters={**counters, "requests": 140},
            processes=[process(1, processed=60, cpu_seconds=1.5), process(2, processed=9)],
        )
    )
    found = rates(before, after, 2.0)
    assert found[ONE] == Rates(requests=5.0, cpu=25.0)
    assert found[TWO] == Rates(requests=None, cpu=None)
    assert found[BLOG] == Rates(requests=20.0, cpu=25.0)
    assert rates(None, after, 2.0)[BLOG] == Rates(None, None)
    assert rates(after, before, 2.0)[ONE] == Rates(None, None)


def shown(snapshot: Snapshot, state: State, *, height: int = 24) -> list[str]:
    console = Console(width=110, height=height, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(screen(snapshot, {BLOG: Rates(20.0, 25.0)}, state, height=height))
    console.file.close()
    return console.export_text().splitlines()


def test_the_screen_shows_what_there_is() -> None:
    """Head, a line per application and process, keys."""
    lines = shown(Snapshot("main", watchdog(), PICTURE), State(BLOG))
    assert lines[0].startswith("Instance main: running   up 1h 1m 1s")
    assert [line.split()[0] for line in lines if line.strip()][2:6] == ["blog", "1", "2", "shop"]
    assert next(line for line in lines if line.startswith("blog")).split()[1:6] == ["25.0", "50M", "0", "0", "20.0"]
    assert "q quit" in lines[-1]


def test_the_screen_asks() -> None:
    """In place of the keys."""
    lines = shown(Snapshot("main", watchdog(), PICTURE), State(ONE, Act("detach", ONE)))
    assert lines[-1].strip() == "detach process 1? y/n"


def test_the_selected_line_is_always_on_the_screen() -> None:
    """Also with five hundred processes on a small terminal."""
    many = core(group(processes=[process(pid) for pid in range(1, 501)]))
    for pid in (1, 250, 500):
        lines = shown(Snapshot("main", watchdog(), many), State(Row("blog", pid)), height=20)
        assert len(lines) <= 20
        assert any(line.split()[:1] == [str(pid)] for line in lines)


def test_the_screen_without_a_core() -> None:
    """It says why."""
    assert any(
        "gone for lunch" in line for line in shown(Snapshot("main", watchdog(), None, "gone for lunch"), State())
    )


def test_an_application_cannot_draw() -> None:
    """Markup and control characters in a name are shown as they are."""
    evil = core(group("[red]\x1b[2Jx", processes=[]))
    text = "\n".join(shown(Snapshot("main", watchdog(), evil), State()))
    assert "\x1b[2J" not in text
    assert "\\x1b[2Jx" in text


def test_keys_are_told_apart() -> None:
    """Several that came at once, cursor keys whole."""
    assert split_keys("jq\x1b[Ay\x1bOB\x1b") == ["j", "q", "\x1b[A", "y", "\x1bOB", "\x1b"]
