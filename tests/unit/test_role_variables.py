"""The variables of every role: what argument_specs.yml says, what defaults/main.yml sets, and what READMEs show."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ANSIBLE = Path(__file__).resolve().parents[2] / "ansible"
ROLES = sorted(path.name for path in (ANSIBLE / "roles").iterdir() if path.is_dir())


def loaded(role: str, file: str) -> dict[str, Any]:
    value = yaml.safe_load((ANSIBLE / "roles" / role / file).read_text())
    assert isinstance(value, dict), f"{role}/{file}"
    return value


def options_of(role: str, entry: str = "main") -> dict[str, Any]:
    options: dict[str, Any] = loaded(role, "meta/argument_specs.yml")["argument_specs"][entry]["options"]
    return options


@pytest.mark.parametrize("role", ROLES)
def test_specification_and_defaults_name_the_same_variables_with_the_same_values(role: str) -> None:
    """In both directions. A required variable may stand in the defaults, empty, so that a reader finds it there."""
    options, defaults = options_of(role), loaded(role, "defaults/main.yml")
    documented = {name: option.get("default") for name, option in options.items() if not option.get("required")}
    required = {name for name, option in options.items() if option.get("required")}
    assert documented == {name: value for name, value in defaults.items() if name not in required}
    assert not [name for name in required if defaults.get(name, "") != ""]


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_has_the_role_in_its_name_and_a_meaning(role: str) -> None:
    """Deep down, too, a description and a type."""

    def incomplete(options: dict[str, Any]) -> list[str]:
        found = [name for name, option in options.items() if not option.get("description") or "type" not in option]
        return found + [name for option in options.values() for name in incomplete(option.get("options", {}))]

    assert all(name.startswith(f"{role}_") for name in options_of(role))
    assert not incomplete(options_of(role))


def test_tables_of_readmes_are_those_of_the_specifications() -> None:
    """The same check that `./dev check` makes."""
    done = subprocess.run(
        [sys.executable, str(ANSIBLE / "generate.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_schema_of_the_role_is_the_schema_of_the_configuration() -> None:
    """It is a link, so that it cannot drift."""
    link = ANSIBLE / "roles/passenger_core/files/passenger.schema.json"
    assert link.resolve() == ANSIBLE.parent / "schema" / "passenger.schema.json"
