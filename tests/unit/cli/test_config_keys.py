"""`passenger config keys`."""

from __future__ import annotations

import json

import click
import pytest

from passenger.cli.config_keys import every_key, keys


def test_prefix_chooses(capsys: pytest.CaptureFixture[str]) -> None:
    """Every key that begins so, and no other."""
    keys.main(["apps.NAME.nginx", "--format", "json"], standalone_mode=False)
    names = [facts["key"] for facts in json.loads(capsys.readouterr().out)]
    assert "apps.NAME.nginx.client_max_body_size" in names
    assert all(name.startswith("apps.NAME.nginx.") for name in names)


def test_prefix_of_nothing_is_a_mistake() -> None:
    """No empty answer to a misspelled question."""
    with pytest.raises(click.UsageError, match=r"no key begins with 'app\.'"):
        keys.main(["app."], standalone_mode=False)


def test_each_key_once() -> None:
    """The list is the model's."""
    names = [facts["key"] for facts in every_key()]
    assert len(names) == len(set(names)) > 40
