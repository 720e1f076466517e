"""Places: least busy first, whatever the order of sessions and departures; Backoff and the comparison of options."""

from __future__ import annotations

from collections import OrderedDict
from random import Random

import pytest

from passenger.config.model import App, AppNginx, EnvValue
from passenger.pool.backoff import Backoff
from passenger.pool.model import Process
from passenger.pool.places import Places
from passenger.pool.reload import compare, needs_restart, with_live_keys
from passenger.pool.session import Session
from tests.support.pool import StillProcess, app
from tests.support.poolworld import World


@pytest.mark.parametrize("seed", range(20))
def test_always_takes_a_least_busy_process(seed: int) -> None:
    """Against the plain definition: the smallest number of sessions among processes with a free place."""
    random = Random(seed)
    group = World(a=app()).group("a")
    idle: OrderedDict[Process, None] = OrderedDict()
    places = Places(idle)
    processes: list[Process] = []
    sessions: list[Session] = []
    for step in range(3_000):
        kind = random.choices(("take", "give back", "add", "remove"), (50, 46, 2, 2))[0]
        free = [p for p in processes if not p.concurrency or p.sessions < p.concurrency]
        assert places.free == len(free)
        if kind == "take" and free:
            least = min(process.sessions for process in free)
            session = places.take()
            assert session.process.sessions == least + 1
            sessions.append(session)
        elif kind == "give back" and sessions:
            session = sessions.pop(random.randrange(len(sessions)))
            session.socket.sessions -= 1
            places.give_back(session.process, float(step))
        elif kind == "add" and len(processes) < 12:
            process = Process(group, group.generation, StillProcess(random.choice((0, 1, 2, 5))), now=float(step))
            processes.append(process)
            places.add(process)
        elif kind == "remove" and processes:
            process = processes.pop(random.randrange(len(processes)))
            places.remove(process)
            sessions = [session for session in sessions if session.process is not process]
        assert list(idle) == sorted(idle, key=lambda process: process.last_used)
        assert set(idle) == {process for process in processes if not process.sessions}


def test_the_process_used_last_serves_next_so_that_others_may_grow_idle() -> None:
    world = World(a=app()).with_ready("a", 3)
    for number in range(5):
        assert world.arrive("a", f"w{number}") == [f"grant w{number} p3"]
        world.release(f"w{number}")


def test_a_wait_is_spread_by_a_fifth() -> None:
    early, late = Backoff(), Backoff()
    early.failed(began_at=0.0, now=10.0, jitter=0.0)
    late.failed(began_at=0.0, now=10.0, jitter=0.999)
    assert early.remaining(10.0) == pytest.approx(0.8)
    assert late.remaining(10.0) == pytest.approx(1.2, rel=0.01)


def test_health_of_five_seconds_ends_the_count() -> None:
    backoff = Backoff()
    for moment in (0.0, 10.0, 20.0):
        backoff.failed(began_at=moment - 1, now=moment, jitter=0.5)
    assert backoff.remaining(20.0) == 4.0
    backoff.succeeded(30.0)
    assert not backoff.is_over(34.9)
    assert backoff.is_over(35.0)
    backoff.failed(began_at=36.0, now=37.0, jitter=0.5)
    assert backoff.remaining(37.0) == 1.0


def test_applications_are_sorted_by_what_has_to_happen() -> None:
    old = {"same": app(), "live": app(), "rolled": app(), "gone": app()}
    new = {"new": app(), "same": app(), "live": app(min_instances=3), "rolled": app(thread_count=2)}
    changes = compare(old, new)
    assert changes.added == ("new",)
    assert changes.removed == ("gone",)
    assert changes.rolled == ("rolled",)
    assert changes.changed == ("live",)
    assert changes.unchanged == ("same",)


@pytest.mark.parametrize(
    ("changed", "needs"),
    [
        (app(env={"A": EnvValue("2")}), "a restart"),
        (app("/elsewhere", env={"A": EnvValue("1")}), "a restart"),
        (app(env={"A": EnvValue("1")}, python="/usr/bin/python3"), "a restart"),
        (app(env={"A": EnvValue("1")}, nginx=AppNginx(static_max_age=60.0)), "nothing"),
        (app(env={"A": EnvValue("1")}, server_names=("x.example",)), "nothing"),
        (app(env={"A": EnvValue("1")}, start_timeout=5.0), "nothing"),
        (app(env={"A": EnvValue("1")}), "nothing"),
    ],
)
def test_what_a_changed_key_needs(changed: App, needs: str) -> None:
    assert needs_restart(app(env={"A": EnvValue("1")}), changed) is (needs == "a restart")


def test_live_keys_are_taken_over_alone() -> None:
    mixed = with_live_keys(app(thread_count=1, min_instances=0), app(thread_count=4, min_instances=2))
    assert mixed == app(thread_count=1, min_instances=2)
