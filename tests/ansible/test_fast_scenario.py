"""The fast scenario of Molecule on root file systems, and what its hosts take from a play with a fault in it.

Root file systems are bootstrapped once and kept in /var/tmp/passenger-molecule; hosts are copies that go at the end.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.playbooks import FOLDER, Played, molecule, run

PLACE = Path("/var/tmp/passenger-molecule")
CONVERGE = "molecule/default/converge.yml"
INVENTORY = "molecule/default/inventory/hosts.yml"
HOST = "bookworm"


@pytest.fixture(scope="module")
def scenario() -> Iterator[Played]:
    """The whole sequence, but for its last step: its hosts stay for the tests below."""
    assert molecule("destroy", "--scenario-name=default", deadline=120).status == 0
    yield molecule("test", "--scenario-name=default", "--destroy=never", deadline=900)
    assert molecule("destroy", "--scenario-name=default", deadline=120).status == 0


def converge(*more: str, **variables: Any) -> Played:
    """The play of the scenario on one host, with variables that go before its own."""
    command = ["ansible-playbook", "--inventory", INVENTORY, "--limit", HOST, "--extra-vars", json.dumps(variables)]
    return run(*command, *more, CONVERGE, deadline=300)


def listing(*folders: str) -> dict[str, tuple[int, int, int]]:
    """Every path below folders of the host, with its mode, size and time of change."""
    root = PLACE / "hosts" / HOST
    paths = [path for folder in folders for path in (root / folder).rglob("*")]
    return {str(path): (s.st_mode, s.st_size, s.st_mtime_ns) for path in paths for s in [path.lstat()]}


@pytest.mark.timeout(1000)
def test_the_scenario_comes_to_its_end(scenario: Played) -> None:
    """destroy, syntax, create, check, converge, idempotence, verify; check mode and the first run see much to do."""
    assert scenario.status == 0, scenario.output[-8000:]
    counted = [recap[HOST] for recap in scenario.recaps if HOST in recap]
    assert max(counts.changed for counts in counted) > 15
    assert [counts.changed for counts in counted[-2:]] == [0, 0], "idempotence and verify change nothing"


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("variables", "told"),
    [
        (
            {"passenger_core_config": {"config_version": 1, "instances": {"main": {"log_level": "loud"}}}},
            'passenger_core_config.instances.main.log_level = "loud": must be one of error, warn, info, debug',
        ),
        ({"passenger_core_source": "index"}, "passenger_core_version is empty"),
        ({"passenger_core_keep": "many"}, "passenger_core_keep"),
        ({"passenger_base_users": [{"name": "root"}]}, "applications never run as root"),
        ({"passenger_core_apps": {"blog": {"app_root": "/srv/blog", "user": "blog"}}}, "Add per-app-users"),
    ],
)
def test_a_wrong_variable_stops_the_play_before_any_change(
    scenario: Played, variables: dict[str, Any], told: str
) -> None:
    """Its name, its value and what would be right are in the message."""
    before = listing("etc", "opt", "usr/local", "srv")
    played = converge(**variables)
    assert played.status == 2
    assert told in played.words, played.output[-4000:]
    assert played.recaps[0][HOST].changed == 0
    assert listing("etc", "opt", "usr/local", "srv") == before


@pytest.mark.timeout(400)
def test_a_configuration_that_contradicts_itself_is_refused_by_the_host(scenario: Played) -> None:
    """The schema cannot know it; `passenger validate` does, before a file is replaced."""
    twice = {"app_root": "/srv/blog", "app_type": "wsgi"}
    before = listing("etc")
    played = converge(passenger_core_apps={"blog": twice, "shop": twice})
    assert played.status == 2
    assert "refused, and nothing was changed" in played.words, played.output[-4000:]
    assert listing("etc") == before


@pytest.mark.timeout(400)
def test_an_application_that_is_taken_out_loses_its_file_and_what_others_wrote_stays(scenario: Played) -> None:
    """In check mode with --diff the same is told and nothing happens."""
    folder = PLACE / "hosts" / HOST / "etc/passenger/conf.d"
    by_hand = folder / "by-hand.toml"
    by_hand.write_text('[apps.other]\napp_root = "/srv/blog"\napp_type = "wsgi"\n')
    by_hand.chmod(0o640)
    told = converge("--check", "--diff", passenger_core_apps={})
    assert told.status == 0, told.output[-4000:]
    assert told.recaps[0][HOST].changed == 1
    assert "-[apps.blog]" in told.output
    assert sorted(path.name for path in folder.iterdir()) == ["blog.toml", "by-hand.toml"]
    played = converge(passenger_core_apps={})
    assert played.status == 0, played.output[-4000:]
    assert [path.name for path in folder.iterdir()] == ["by-hand.toml"]
    by_hand.unlink()


@pytest.mark.timeout(400)
def test_a_half_made_installation_is_made_again(scenario: Played) -> None:
    """What an interrupted play leaves has no mark; the service of an nginx that it had just installed is disabled after all."""
    root = PLACE / "hosts" / HOST
    (release,) = (root / "opt/passenger-releases").iterdir()
    (release / ".complete").unlink()
    (release / "bin/passenger").unlink()
    service = root / "etc/systemd/system/multi-user.target.wants/nginx.service"
    service.symlink_to("/lib/systemd/system/nginx.service")
    mark = root / "var/lib/misc/passenger_nginx.installing"
    mark.touch()
    played = converge()
    assert played.status == 0, played.output[-4000:]
    assert (release / ".complete").read_text().strip()
    assert (release / "bin/passenger").exists()
    assert not service.is_symlink()
    assert not mark.exists()


@pytest.mark.timeout(400)
def test_uninstalling_leaves_data_and_users_only(scenario: Played) -> None:
    """Twice: the second time there is nothing left to do."""
    played = converge(passenger_core_state="absent", passenger_nginx_state="absent")
    assert played.status == 0, played.output[-4000:]
    root = PLACE / "hosts" / HOST
    left = [path for path in ("etc/passenger", "opt/passenger", "opt/passenger-releases") if (root / path).exists()]
    assert not left
    assert not list((root / "etc/systemd/system").rglob("passenger*"))
    assert not list((root / "usr/local/bin").iterdir())
    assert (root / "srv/blog/passenger_wsgi.py").exists()
    again = converge(passenger_core_state="absent", passenger_nginx_state="absent")
    assert (again.status, again.recaps[0][HOST].changed) == (0, 0)


def test_the_folder_of_the_scenario_is_the_one_that_these_tests_look_into() -> None:
    """The inventory says where hosts lie."""
    assert str(PLACE) in (FOLDER / INVENTORY).read_text()
