"""Deploys under load, through real nginx: no request fails, whatever is deployed and however it is said (B4, B5, B9-B13)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import projects
from tests.support.http import fetch
from tests.support.installation import Installation
from tests.support.load import Load, load, wait_until_count
from tests.support.probe import wait_until
from tests.support.running import RunningInstance, free_port, running

RATE = 200.0


class Shop:
    """One application of releases, on an instance of its own."""

    def __init__(self, instance: RunningInstance, port: int, root: Path) -> None:
        self.instance = instance
        self.port = port
        self.root = root
        (root / "tmp").mkdir()

    def deploy(self, release: str) -> None:
        (self.root / "release").write_text(release)

    def touch(self, moment: int) -> None:
        """A time that restart.txt has never had."""
        path = self.root / "tmp" / "restart.txt"
        path.touch()
        os.utime(path, (moment, moment))

    def group(self) -> Any:
        return self.instance.status()["pool"]["groups"][0]

    def pids(self) -> set[int]:
        return {process["pid"] for process in self.group()["processes"] if process["state"] == "enabled"}

    def wait_restart(self, state: str, generation: int) -> Any:
        """Until a restart of at least this generation is in this state."""

        def is_so() -> bool:
            restart = self.group()["restart"]
            return bool(restart and restart["state"] == state and restart["generation"] >= generation)

        wait_until(is_so, f"a restart that is {state}")
        return self.group()["restart"]


@pytest.fixture
def shop(installation: Installation, place: Path, request: pytest.FixtureRequest) -> Iterator[Shop]:
    """Release v1; the marker's arguments are further lines of the application's table."""
    root, port = projects.copy("releases", place), free_port()
    (root / "release").write_text("v1")
    config = place / "passenger.toml"
    keys = getattr(request, "param", "min_instances = 4")
    config.write_text(
        f"""
config_version = 1
[instances.main]
core.max_pool_size = 20
core.max_parallel_spawns = 4
core.stat_throttle_rate = "1s"
nginx.listen = ["127.0.0.1:{port}"]
[apps.shop]
app_root = "{root}"
max_request_queue_size = 2000  # holds what comes while new processes start beside whatever else this machine does
{keys}
"""
    )
    with running(installation.passenger, config) as instance:
        instance.wait_started()
        yield Shop(instance, port, root)


def all_answered(result: Load) -> None:
    """Sent = answered: not one failed."""
    assert not result.failed, [(one.status, one.problem) for one in result.failed][:5]


def releases(result: Load) -> list[str]:
    """Who answered, in the order in which the requests were sent."""
    return [one.body.split()[0].decode() for one in sorted(result.outcomes, key=lambda one: one.due)]


def p99(result: Load) -> float:
    times = sorted(one.done - one.due for one in result.outcomes)
    return times[len(times) * 99 // 100]


def test_a_hundred_touches_in_a_second_are_two_restarts_at_most(shop: Shop) -> None:
    """B5: nothing fails, the new release answers, and a clock that goes back is a change like any other."""
    shop.deploy("v2")
    with load(shop.port, rate=RATE) as result:
        wait_until_count(result, 100)
        for moment in range(100):
            shop.touch(2_000_000_000 - moment * 1000)
            wait_until_count(result, 100 + 2 * moment)
        shop.wait_restart("done", 2)
        answered = len(result.outcomes)
        wait_until_count(result, answered + 400)
    all_answered(result)
    assert 1 <= shop.group()["counters"]["restarts"] <= 2
    assert set(releases(result)[-200:]) == {"v2"}
    assert not any(process["outdated"] for process in shop.group()["processes"])


@pytest.mark.parametrize(
    "shop", ['min_instances = 4\nmax_instances = 4\nhealth_path = "/healthz"\nhealth_timeout = "1s"'], indirect=True
)
def test_a_broken_release_costs_nothing_and_the_next_touch_heals(shop: Shop) -> None:
    """B4: the old processes serve, status says why, nothing is tried again by itself; likewise one that is not healthy."""
    before = shop.pids()
    with load(shop.port, rate=RATE) as result:
        for moment, (release, why) in enumerate((("broken", "cannot start"), ("sick", "not healthy")), 1):
            shop.deploy(release)
            shop.touch(moment)
            failed = shop.wait_restart("failed", moment + 1)
            assert why in failed["error"]["summary"]
            assert (failed["why"], failed["done"], failed["total"]) == ("restart.txt", 0, 4)
            assert why in shop.instance.run("status").stdout
            assert shop.pids() == before
        spawns = shop.group()["counters"]["spawns"]
        answered = len(result.outcomes)
        wait_until_count(result, answered + 300)
        assert shop.group()["counters"]["spawns"] == spawns
        shop.deploy("v2")
        shop.touch(1_000_000)
        shop.wait_restart("done", 4)
        answered = len(result.outcomes)
        wait_until_count(result, answered + 200)
    all_answered(result)
    assert set(releases(result)) == {"v1", "v2"}
    assert set(releases(result)[-100:]) == {"v2"}


@pytest.mark.parametrize("shop", ["min_instances = 20\nmax_surge = 2"], indirect=True)
def test_twenty_processes_are_replaced_under_load(shop: Shop) -> None:
    """Nothing fails; processes never exceed the limit by more than max_surge and those that finish their requests."""
    with load(shop.port, "/work", rate=RATE) as quiet:
        wait_until_count(quiet, 600)
    old = shop.pids()
    shop.deploy("v2")
    with load(shop.port, "/work", rate=RATE) as result:
        wait_until_count(result, 100)
        done = shop.instance.run("restart-app", "shop")
        assert done.returncode == 0, done.stderr
        assert "shop: restarted in" in done.stdout
        wait_until_count(result, len(result.outcomes) + 200)
    all_answered(result)
    assert not shop.pids() & old
    assert len(shop.pids()) == 20
    assert set(releases(result)[-100:]) == {"v2"}
    print(f"p99 quiet {1000 * p99(quiet):.1f} ms, during the restart {1000 * p99(result):.1f} ms")


def test_a_blocking_restart_lets_requests_wait(shop: Shop) -> None:
    """Old and new code never take requests at the same time; none is lost, some are late."""
    shop.deploy("v2")
    with load(shop.port, rate=RATE) as result:
        wait_until_count(result, 100)
        done = shop.instance.run("restart-app", str(shop.root), "--method", "blocking", "--format", "json")
        assert done.returncode == 0, done.stderr
        wait_until_count(result, len(result.outcomes) + 200)
    all_answered(result)
    (restart,) = json.loads(done.stdout)["apps"].values()
    assert (restart["method"], restart["state"]) == ("blocking", "done")
    assert set(releases(result)[-100:]) == {"v2"}


@pytest.mark.parametrize("shop", ["min_instances = 1"], indirect=True)
def test_the_only_process_is_let_go_without_a_gap(shop: Shop) -> None:
    (old,) = shop.pids()
    with load(shop.port, rate=RATE) as result:
        wait_until_count(result, 50)
        done = shop.instance.run("detach-process", str(old), "--wait")
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"process {old} has ended" in done.stdout
        wait_until_count(result, len(result.outcomes) + 50)
    all_answered(result)
    assert old not in shop.pids()
    unknown = shop.instance.run("detach-process", str(old))
    assert unknown.returncode == 1
    assert f"process {old} is no application process of this instance" in unknown.stderr


def test_a_reload_that_replaces_processes_can_be_waited_for(shop: Shop) -> None:
    """Status 0 when all are replaced, 1 with the reason when the new ones do not start; then the next one heals."""
    config = shop.instance.config
    text = config.read_text()
    config.write_text(text + 'env.COLOUR = "green"\n')
    done = shop.instance.run("reload", "--wait")
    assert done.returncode == 0, done.stderr
    assert "shop: restarted in" in done.stdout
    before = shop.pids()
    shop.deploy("broken")
    config.write_text(text + 'env.COLOUR = "red"\n')
    failed = shop.instance.run("reload", "--wait")
    assert failed.returncode == 1, failed.stdout
    assert "restart FAILED, 0 of 4" in failed.stdout
    assert shop.pids() == before
    shop.deploy("v3")
    healed = shop.instance.run("reload", "--wait", "--format", "json")
    assert json.loads(healed.stdout)["apps"]["shop"]["state"] == "done"
    assert fetch(shop.port).text.startswith("v3 ")


def test_while_always_restart_txt_is_there_new_code_needs_no_telling(shop: Shop) -> None:
    """Nothing is kept while idle, and what has served is not kept for longer than a look."""
    (shop.root / "tmp" / "always_restart.txt").touch()
    assert fetch(shop.port).text.startswith("v1 ")
    wait_until(lambda: not shop.pids(), "no process is left")
    shop.deploy("v2")
    assert fetch(shop.port).text.startswith("v2 ")
    shop.deploy("v3")
    wait_until(lambda: fetch(shop.port).text.startswith("v3 "), "the third release")
    (shop.root / "tmp" / "always_restart.txt").unlink()
    wait_until(lambda: len(shop.pids()) == 4, "min_instances again")
