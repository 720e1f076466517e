"""What `passenger reload` prints."""

from __future__ import annotations

from passenger.cli.reload import report_lines


def test_kinds_without_any_are_left_out() -> None:
    """Nothing to say about what did not change."""
    report = {"core": {"added": [], "removed": [], "rolling": ["blog"], "unchanged": ["a", "b"]}, "restart_needed": []}
    assert report_lines(report) == ["  rolling: blog", "  unchanged: a, b"]


def test_plain_values() -> None:
    """A kind that is no list."""
    assert report_lines({"nginx": "reloaded", "pid_changed": False}) == ["  nginx: reloaded"]


def test_names_cannot_write_to_the_terminal() -> None:
    """Control characters are shown."""
    assert report_lines({"added": ["\x1b[2J"]}) == ["  added: \\x1b[2J"]
