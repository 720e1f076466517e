"""Suggestions: likely ones are made, unlikely ones are not."""

from __future__ import annotations

import pytest

from passenger.config.instance import Core, Nginx
from passenger.config.keys import keys_of, tables
from passenger.config.model import App
from passenger.config.suggest import OTHER_NAMES, Suggestion, closest, distance, for_key


@pytest.mark.parametrize(
    ("left", "right", "edits"),
    [("", "", 0), ("", "abc", 3), ("user", "user", 0), ("spwan", "spawn", 1), ("kitten", "sitting", 3)],
)
def test_distance(left: str, right: str, edits: int) -> None:
    """Insertions, deletions, replacements and swaps of neighbours count one each, both ways."""
    assert distance(left, right) == distance(right, left) == edits


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("min_instnaces", "min_instances"),
        ("min-instances", "min_instances"),
        ("MinInstances", "min_instances"),
        ("zebra", ""),
    ],
)
def test_closest(word: str, found: str) -> None:
    """Near names are found whatever their case and dashes; far ones are not."""
    assert closest(word, ["min_instances", "max_instances", "user"]) == found


@pytest.mark.parametrize(
    ("word", "table", "meant"),
    [
        ("spwan_method", App, Suggestion("spawn_method")),
        ("passenger_app_env", App, Suggestion("app_env")),
        ("rails_env", App, Suggestion("app_env")),
        ("max_pool_size", App, Suggestion("max_pool_size", "instances.core")),
        ("min_instances", Core, Suggestion("min_instances", "apps")),
        ("port", Nginx, Suggestion("listen")),
        ("qqqqqq", App, None),
    ],
)
def test_key(word: str, table: type, meant: Suggestion | None) -> None:
    """A key is looked for in its table, under other servers' names, and in the other tables."""
    assert for_key(word, table) == meant


def test_other_names_lead_somewhere() -> None:
    """Every other name stands for a key that exists, and is no key itself where it would be suggested."""
    every = {name for table in tables().values() for name in keys_of(table)}
    assert set(OTHER_NAMES.values()) <= every
