"""What is written, replaced and removed in a folder of units."""

from __future__ import annotations

import pytest

from passenger.errors import HostError
from passenger.systemd import placement, units
from passenger.systemd.placement import Change

PLAIN = placement.wanted(units.Settings(), addresses=None, dropins=())


def changes(present: dict[str, str], chosen: dict[str, str]) -> list[Change]:
    return placement.changes(present, chosen, folder="/etc/systemd/system")


def test_an_empty_folder_gets_everything_and_then_nothing() -> None:
    assert [change.what for change in changes({}, PLAIN)] == ["new"] * 3
    assert changes(PLAIN, PLAIN) == []


def test_another_choice_changes_and_removes() -> None:
    before = placement.wanted(units.Settings(), addresses=["0.0.0.0:80"], dropins=["low-ports"])
    found = changes(before, placement.wanted(units.Settings(user="web"), addresses=None, dropins=["per-app-users"]))
    assert {(change.path, change.what) for change in found} == {
        ("passenger.service", "changed"),
        ("passenger@.service", "changed"),
        ("passenger.service.d/10-per-app-users.conf", "new"),
        ("passenger.service.d/10-low-ports.conf", "removed"),
        ("passenger.socket", "removed"),
    }
    assert set(before) <= set(placement.possible())


def test_files_of_others_stay() -> None:
    """Nothing at all is changed then: half of a set of units is worse than none."""
    with pytest.raises(HostError, match="was not written by Passenger"):
        changes({"passenger.service": "[Service]\nExecStart=/bin/true\n"}, PLAIN)
    with pytest.raises(HostError, match=r"passenger\.slice"):
        changes({"passenger.slice": "[Slice]\n"}, {})


def test_uninstalling_removes_what_lies_there() -> None:
    assert {change.path for change in changes(PLAIN, {})} == set(PLAIN)
