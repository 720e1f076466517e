"""Users and groups given as numbers, on the machine itself and by the number alone."""

from __future__ import annotations

import pytest

from passenger.config.host import SystemHost
from passenger.config.ids import numeric_id


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("0", 0),
        ("1000", 1000),
        ("4294967293", 2**32 - 3),
        ("4294967294", None),
        ("9" * 5000, None),
        ("-1", None),
        ("+1", None),
        ("1_0", None),
        ("٣", None),
        ("²", None),
        ("", None),
        ("blog", None),
    ],
)
def test_number_of_a_name(name: str, number: int | None) -> None:
    """Digits that are an id, and nothing else; thousands of digits are no reason to fall."""
    assert numeric_id(name) == number


def test_machine_takes_any_name() -> None:
    """The databases are asked for names, and for numbers that can be."""
    host = SystemHost()
    root = host.person("0")
    assert root is not None
    assert root.uid == 0
    assert host.person("9" * 5000) is None
    assert host.group("9" * 5000) is None
    assert host.group("4711") == 4711
