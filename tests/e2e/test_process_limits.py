"""Limits of processes under load, through nginx: none of them costs a request of another process (A8, A9)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import projects
from tests.support.http import fetch
from tests.support.installation import Installation
from tests.support.load import load, wait_until_count
from tests.support.probe import wait_until
from tests.support.running import RunningInstance, free_port, running

Start = Callable[[str], tuple[RunningInstance, int]]

SITE = """
config_version = 1
[instances.main]
nginx.listen = ["127.0.0.1:{port}"]
core.max_pool_size = 8
[apps.hungry]
app_root = "{root}"
{keys}
"""


@pytest.fixture(name="site")
def _site(installation: Installation, place: Path) -> Any:
    """Starts one instance with the keys that a test wants."""
    with contextlib.ExitStack() as stack:

        def start(keys: str) -> tuple[RunningInstance, int]:
            root, port = projects.copy("hungry", place), free_port()
            config = place / "passenger.toml"
            config.write_text(SITE.format(port=port, root=root, keys=keys))
            instance = stack.enter_context(running(installation.passenger, config))
            instance.wait_started()
            return instance, port

        yield start


def group(instance: RunningInstance) -> Any:
    return instance.status()["pool"]["groups"][0]


def retired(instance: RunningInstance) -> list[str]:
    return [one["why"] for one in group(instance)["retirements"]]


def test_max_requests_recycles_without_a_failed_request(site: Start) -> None:
    """A9: 200 requests a second, 50 per process: all answered, four processes serve at every moment."""
    instance, port = site("min_instances = 4\nmax_instances = 4\nmax_requests = 50")
    fewest = 4
    with load(port, rate=200, limit=30) as result:
        while len(result.outcomes) < 1500:
            processes = group(instance)["processes"]
            fewest = min(fewest, sum(process["state"] == "enabled" for process in processes))
    assert not result.failed
    assert all(one.status == 200 for one in result.outcomes)
    assert fewest == 4, "a process was taken away before another was ready"
    used = {one.body.split()[0] for one in result.outcomes}
    assert len(used) >= len(result.outcomes) // 100
    assert all(why.startswith("max_requests: served ") for why in retired(instance))
    served = max(int(one.body.split()[1]) for one in result.outcomes)
    assert served < 200, "a successor takes a moment, not four lives"


def test_a_soft_limit_costs_no_request(site: Start) -> None:
    """A8: processes that leak are replaced while they serve; every request is answered."""
    instance, port = site('min_instances = 2\nmax_instances = 2\nmemory_limit = "96MiB"')
    with load(port, rate=100, limit=30) as result:
        wait_until_count(result, 50)
        for _ in range(24):
            assert fetch(port, "/take/10").status == 200
        wait_until(lambda: retired(instance), "a process that leaks is retired")
        wait_until(
            lambda: all((process["private"] or 0) < 96 << 20 for process in group(instance)["processes"]),
            "no process is above the limit",
        )
    assert not result.failed
    assert all(why.startswith("memory_limit 96MiB: takes ") for why in retired(instance))


def test_a_hard_limit_kills_the_process_and_nobody_else(site: Start) -> None:
    """A8: the request that took it all gets its 502 soon; every other one is answered."""
    instance, port = site('min_instances = 2\nmax_instances = 3\nhard_memory_limit = "200MiB"')
    with load(port, rate=50, limit=30) as result:
        wait_until_count(result, 20)
        began = time.monotonic()
        assert fetch(port, "/hang/300").status == 502
        took = time.monotonic() - began
        wait_until_count(result, len(result.outcomes) + 20)
    assert took < 5.0, "1 s between two looks, and a busy machine"
    assert not result.failed
    (why,) = retired(instance)
    assert why.startswith("hard_memory_limit 200MiB: takes ")
    wait_until(lambda: len(group(instance)["processes"]) >= 2, "its successor")
