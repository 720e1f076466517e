"""The life of a fleet: three booted hosts from nothing to applications, releases under load, an upgrade, and nothing left.

The scenarios of Molecule in ansible/molecule, one after the other on the same hosts; the tests add the requests and count them.
"""

from __future__ import annotations

import collections
import re
from collections.abc import Iterator

import pytest

from tests.support import hosts
from tests.support.balancer import Balancer, balancer
from tests.support.engine import Engine, an_engine
from tests.support.load import Load, load, wait_until_count
from tests.support.playbooks import Played, molecule

pytestmark = pytest.mark.timeout(1800)  # a loaded machine takes six times as long as a quiet one
DEADLINE = 1500.0
RATE = 50.0


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with an_engine() as found:
        yield found


@pytest.fixture(scope="module")
def fleet(engine: Engine) -> Iterator[Engine]:
    """Three fresh hosts, with systemd running and nothing of Passenger."""
    hosts.down(engine)
    hosts.up(engine)
    yield engine
    hosts.down(engine)


@pytest.fixture(scope="module")
def balanced(fleet: Engine) -> Iterator[Balancer]:
    """The balancer of docs/scaling.md before the hosts."""
    with balancer(fleet, {host: hosts.address_of(fleet, host) for host in hosts.HOSTS}) as made:
        yield made


@pytest.fixture
def front(balanced: Balancer) -> Balancer:
    """It finds all hosts ready."""
    balanced.wait_all_up()
    return balanced


def step(engine: Engine, name: str, scenario: str, **environment: str) -> Played:
    """One step of a scenario; fails with all it printed."""
    settings = {"DOCKER_HOST": engine.host, **environment}
    played = molecule(name, "-s", scenario, deadline=DEADLINE, environment=settings)
    assert played.status == 0, f"molecule {name} -s {scenario}:\n{played.output[-20000:]}\n{states(engine)}"
    return played


def states(engine: Engine) -> str:
    """What the hosts themselves say, for whoever reads a failure."""
    questions = (
        ("systemctl", "status", "--no-pager", "passenger"),
        ("journalctl", "-n", "40", "--no-pager", "-u", "passenger"),
    )
    return "\n".join(hosts.command(engine, host, *question).stdout for host in hosts.HOSTS for question in questions)


def counted(result: Load) -> str:
    """Requests by release and host, as the bodies name them."""
    found = collections.Counter(b" ".join(one.body.split()[1:3]).decode() for one in result.outcomes)
    by = ", ".join(f"{who} {count}" for who, count in sorted(found.items()))
    return f"{len(result.outcomes)} requests, {len(result.failed)} failed, slowest {result.worst_latency:.2f} s: {by}"


def test_site_from_nothing_to_applications_on_three_hosts(fleet: Engine) -> None:
    """From nothing, then again with changed=0; reload, crashes and a reboot; what the hosts became.

    Check mode is for the fast scenario: here it would only take its two minutes once more.
    """
    for name in ("create", "syntax", "converge"):
        step(fleet, name, "booted")
    again = step(fleet, "idempotence", "booted")
    assert set(again.recaps[-1]) >= set(hosts.HOSTS)
    assert {counts.changed for counts in again.recaps[-1].values()} == {0}
    step(fleet, "side-effect", "booted")
    step(fleet, "verify", "booted")


@pytest.mark.parametrize(
    ("steps", "releases"),
    [("second", {"first", "second"}), ("sick", {"second"}), ("broken", {"second"}), ("back", {"first", "second"})],
)
def test_releases_roll_under_load(front: Balancer, fleet: Engine, steps: str, releases: set[str]) -> None:
    """A new one through all hosts, a sick and a broken one that no client meets, and the way back: no request fails."""
    with load(front.port, rate=RATE, limit=DEADLINE) as result:
        wait_until_count(result, 100)
        step(fleet, "side-effect", "rolling", FLEET_STEPS=steps)
        wait_until_count(result, len(result.outcomes) + 100)
    print(f"{steps}: {counted(result)}")
    assert [(one.status, one.problem, one.body) for one in result.failed] == []
    assert {one.body.split()[1].decode() for one in result.outcomes} == releases
    last = "second" if steps != "back" else "first"
    assert {one.body.split()[1].decode() for one in result.outcomes[-50:]} == {last}
    assert {one.body.split()[2].decode() for one in result.outcomes} == set(hosts.HOSTS)
    step(fleet, "verify", "rolling")


def test_upgrade_of_passenger_under_load(front: Balancer, fleet: Engine) -> None:
    """Host after host, with the sockets held by systemd: no request fails."""
    with load(front.port, rate=RATE, limit=DEADLINE) as result:
        wait_until_count(result, 100)
        step(fleet, "side-effect", "upgrade")
        wait_until_count(result, len(result.outcomes) + 100)
    print(f"upgrade: {counted(result)}")
    assert [(one.status, one.problem, one.body) for one in result.failed] == []
    step(fleet, "verify", "upgrade")


def test_uninstall_leaves_data_only(fleet: Engine) -> None:
    step(fleet, "side-effect", "uninstall")
    step(fleet, "verify", "uninstall")
    again = step(fleet, "side-effect", "uninstall")
    assert not [line for line in again.output.splitlines() if re.match(r"changed: ", line)], (
        "a second run changes nothing"
    )
