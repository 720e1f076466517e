"""Filters and modules of the roles, alone: what is told of wrong variables, what is written, what a refusal leaves."""

from __future__ import annotations

import json
import os
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.playbooks import FOLDER
from tests.support.role_plugins import plugin

filters = plugin("roles/passenger_core/filter_plugins/passenger_toml.py")
tree = plugin("roles/passenger_core/library/passenger_tree.py")
SCHEMA = json.loads((FOLDER.parent / "schema/passenger.schema.json").read_text())
OURS = tree.MARK + "\n"

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | words | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(words, values, max_size=4))
def test_what_is_written_is_what_was_meant(value: dict[str, Any]) -> None:
    """Python's own parser reads back every value, whatever is in keys and strings."""
    assert tomllib.loads(filters.passenger_toml(value)) == value


def test_null_is_refused_with_its_place() -> None:
    """TOML has no null; the message says where it stands."""
    with pytest.raises(Exception, match=r"instances\.main\.log_level: null cannot stand in TOML"):
        filters.passenger_toml({"instances": {"main": {"log_level": None}}})


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({}, "passenger_core_config: `config_version` is missing"),
        (
            {"config_version": 1, "instances": {"main": {"log_levl": "info"}}},
            "passenger_core_config.instances.main: unknown key `log_levl`; did you mean `log_level`?",
        ),
        (
            {"config_version": 1, "instances": {"main": {"log_level": "loud"}}},
            'passenger_core_config.instances.main.log_level = "loud": must be one of error, warn, info, debug',
        ),
        (
            {"config_version": 1, "instances": {"main": {"core": {"max_pool_size": 0}}}},
            "passenger_core_config.instances.main.core.max_pool_size = 0: must be at least 1",
        ),
    ],
)
def test_a_mistake_is_told_with_its_name_its_value_and_what_is_right(config: dict[str, Any], told: str) -> None:
    """One line for each."""
    assert filters.passenger_mistakes(config, SCHEMA, "passenger_core_config") == [told]


def test_every_mistake_is_told_and_no_value_of_an_environment() -> None:
    """Secrets that stand there by mistake are not repeated in the output of the play."""
    apps = {"blog": {"app_roott": "/srv", "app_root": "/srv", "env": {"KEY": 12345}}, "shop": {"min_instances": "2"}}
    told = filters.passenger_mistakes(apps, SCHEMA, "passenger_core_apps", "apps")
    assert len(told) == 4
    assert not [line for line in told if "12345" in line]
    assert "passenger_core_apps.blog: unknown key `app_roott`; did you mean `app_root`?" in told


def test_the_examples_of_the_product_are_right_as_variables() -> None:
    """What `passenger validate` accepts, these filters accept."""
    whole = tomllib.loads((FOLDER.parent / "config/passenger.toml").read_text())
    apps = whole.pop("apps", {})
    assert not filters.passenger_mistakes(whole, SCHEMA, "passenger_core_config")
    assert not filters.passenger_mistakes(apps, SCHEMA, "passenger_core_apps", "apps")


def test_files_of_somebody_else_are_neither_written_over_nor_removed() -> None:
    """An application that is taken out loses its file, what an operator put there stays."""
    old = {"passenger.toml": OURS, "conf.d/gone.toml": OURS, "conf.d/by-hand.toml": "x = 1\n"}
    new, gone = tree.planned(old, {"passenger.toml": "a = 1\n"}, ["conf.d"])
    assert gone == ["conf.d/gone.toml"]
    assert new == {"passenger.toml": OURS + "a = 1\n", "conf.d/by-hand.toml": "x = 1\n"}
    with pytest.raises(tree.ForeignError, match=r"conf\.d/by-hand\.toml"):
        tree.planned(old, {"conf.d/by-hand.toml": "mine"}, ["conf.d"])


def test_a_switch_that_fails_half_way_puts_back_what_was_there(tmp_path: Path) -> None:
    """A folder that cannot be replaced by a file stands in the way of the second one."""
    owner = (os.getuid(), os.getgid())
    (tmp_path / "a.toml").write_text("old\n")
    (tmp_path / "b.toml").mkdir()
    with pytest.raises(OSError, match=r"b\.toml"):
        tree.switch(tmp_path, {"a.toml": "old\n"}, {"a.toml": "new\n", "b.toml": "new\n"}, owner)
    assert (tmp_path / "a.toml").read_text() == "old\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.toml", "b.toml"]


def test_files_are_closed_to_strangers_from_their_first_moment(tmp_path: Path) -> None:
    """Written aside with their mode, then renamed."""
    tree.put(tmp_path / "a.toml", "x = 1\n", (os.getuid(), os.getgid()))
    assert stat.S_IMODE((tmp_path / "a.toml").stat().st_mode) == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["a.toml"]
