"""Roles and playbooks are what the strictest profile of ansible-lint and yamllint want."""

from __future__ import annotations

from tests.support.playbooks import run


def test_roles_and_playbooks_pass_the_production_profile_with_the_five_opt_in_rules() -> None:
    """`.ansible-lint` names profile and rules; offline, so that nothing is fetched."""
    linted = run("ansible-lint", "--offline", "--strict", "roles", "playbooks", "molecule", deadline=300)
    assert linted.status == 0, linted.output[-6000:]


def test_yaml_is_written_well() -> None:
    """Everything in the folder."""
    linted = run("yamllint", "--strict", ".", deadline=120)
    assert linted.status == 0, linted.output[-6000:]
