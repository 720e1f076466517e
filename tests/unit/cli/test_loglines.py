"""Choosing among the lines of a log."""

from __future__ import annotations

import pytest

from passenger.cli.loglines import Choice, Line, since_when, understood

OUTPUT = "2031-05-01T12:00:00.123Z info  app: App my blog[12] stdout: level=error app=other"
EVENT = '2031-05-01T12:00:01.000Z warn  pool: process ended app="my blog" pid=12'
JSON = '{"time": "2031-05-01T12:00:02.000Z", "level": "error", "component": "app", "message": "x", "app": "shop"}'
ACCESS = '127.0.0.1 - - [01/May/2031:12:00:00 +0000] "GET / HTTP/1.1" 200 3'


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (OUTPUT, Line("2031-05-01T12:00:00.123Z", "info", "my blog")),
        (EVENT, Line("2031-05-01T12:00:01.000Z", "warn", "my blog")),
        (JSON, Line("2031-05-01T12:00:02.000Z", "error", "shop")),
        ("2031-05-01T12:00:00.123Z error watchdog: nginx ended", Line("2031-05-01T12:00:00.123Z", "error", None)),
        (ACCESS, Line()),
        ("", Line()),
        ('{"level": 3, "time": 4, "app": []}', Line()),
        (
            '{"time":"2031-05-01T14:00:02.500+02:00","level":"info","app":"shop"}',
            Line("2031-05-01T12:00:02.500Z", "info", "shop"),
        ),
        ('{"time":"2031-05-01T14:00:02.500","level":"info"}', Line(None, "info", None)),
        ('{"time":"yesterday","level":"info"}', Line(None, "info", None)),
        ("{broken", Line()),
        ("[1]", Line()),
        ("{}" * 2, Line()),
    ],
)
def test_lines_are_understood(text: str, line: Line) -> None:
    """Ours in both forms; of others nothing is believed."""
    assert understood(text) == line


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        (Choice(), [OUTPUT, EVENT, JSON, ACCESS]),
        (Choice(app="my blog"), [OUTPUT, EVENT]),
        (Choice(app="other"), []),
        (Choice(level="warn"), [EVENT, JSON]),
        (Choice(level="debug"), [OUTPUT, EVENT, JSON]),
        (Choice(since="2031-05-01T12:00:01"), [EVENT, JSON]),
        (Choice(app="shop", level="error", since="2031"), [JSON]),
    ],
)
def test_choices_add_up(choice: Choice, wanted: list[str]) -> None:
    """Every condition must hold; without one, foreign lines are shown, too."""
    assert [line for line in (OUTPUT, EVENT, JSON, ACCESS) if choice.wants(line)] == wanted


def test_since_is_a_duration_or_a_time() -> None:
    """Both end as what stands in lines."""
    assert since_when("10m", now=600.0) == "1970-01-01T00:00:00"
    assert since_when("2031-05-01T12:00:00Z", now=0) == "2031-05-01T12:00:00"
    assert since_when("2031-05-01", now=0) == "2031-05-01"
    for wrong in ("abc", "10", "", "2031-05-01 12:00"):
        with pytest.raises(ValueError):
            since_when(wrong, now=0)
