"""`kill -9` of every part while clients keep coming (fault matrix A1, A2, C1, C10)."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import projects
from tests.support.http import fetch
from tests.support.installation import Installation
from tests.support.load import load, wait_until_count
from tests.support.running import RunningInstance, free_port, running


@pytest.fixture
def shop(installation: Installation, place: Path) -> Iterator[tuple[RunningInstance, int]]:
    """The Flask application on four processes."""
    root, port = projects.copy("flask_app", place), free_port()
    config = place / "passenger.toml"
    config.write_text(
        f"""
config_version = 1
[instances.main]
core.max_pool_size = 4
nginx.listen = ["127.0.0.1:{port}"]
[apps.shop]
app_root = "{root}"
python = "{installation.python}"
min_instances = 4
max_request_queue_size = 2000  # holds what comes while four Flasks start anew beside whatever else this machine does
env.FLASK_SECRET = "x"
"""
    )
    with running(installation.passenger, config) as instance:
        instance.wait_started()
        yield instance, port


def component(instance: RunningInstance, name: str) -> int:
    """The pid of `core` or `nginx`."""
    pids = [part["pid"] for part in instance.status()["components"] if part["name"] == name]
    assert len(pids) == 1
    return int(pids[0])


def workers(instance: RunningInstance) -> list[int]:
    """Pids of the application's processes."""
    return [process["pid"] for group in instance.status()["pool"]["groups"] for process in group["processes"]]


def test_core_killed_under_load_fails_no_get(shop: tuple[RunningInstance, int]) -> None:
    """C1, N10: the listening socket and nginx's second try bridge the gap."""
    instance, port = shop
    core = component(instance, "core")
    with load(port, "/", rate=200) as result:
        wait_until_count(result, 200)
        os.kill(core, signal.SIGKILL)
        wait_until_count(result, 1200)
    assert not result.failed, [(one.status, one.problem) for one in result.failed][:5]
    assert component(instance, "core") != core


def test_worker_killed_loses_only_its_own_request(shop: tuple[RunningInstance, int]) -> None:
    """A1: at most the request that the dead process was running is answered 502."""
    instance, port = shop
    with load(port, "/", rate=200) as result:
        for round_ in range(1, 6):
            wait_until_count(result, round_ * 200)
            os.kill(workers(instance)[0], signal.SIGKILL)
        wait_until_count(result, 1200)
    assert len(result.failed) <= 5, [(one.status, one.problem) for one in result.failed]
    assert all(one.status == 502 for one in result.failed)


def test_request_that_kills_its_process_is_502_once(shop: tuple[RunningInstance, int]) -> None:
    """A2: answered, not repeated; the next request is served."""
    instance, port = shop
    before = set(workers(instance))
    assert fetch(port, "/die").status == 502
    assert len(before - set(workers(instance))) == 1
    assert fetch(port, "/").status == 200


def test_nginx_killed_is_back_within_two_seconds(shop: tuple[RunningInstance, int]) -> None:
    """C10: the watchdog keeps the listeners, so that nobody is even refused."""
    instance, port = shop
    master = component(instance, "nginx")
    with load(port, "/", rate=100) as result:
        wait_until_count(result, 100)
        os.kill(master, signal.SIGKILL)
        wait_until_count(result, 500)
    assert component(instance, "nginx") != master
    assert result.worst_latency < 2.0
    assert len(result.failed) <= 5, [(one.status, one.problem) for one in result.failed][:5]


def test_stop_under_load_finishes_what_was_accepted(shop: tuple[RunningInstance, int]) -> None:
    """C14: TERM drains; nobody gets a 5xx or a cut answer, the instance directory is gone, exit status 0."""
    instance, port = shop
    with load(port, "/slow/50", rate=50) as result:
        wait_until_count(result, 100)
        assert instance.stop() == 0
    bad = [one for one in result.failed if one.status >= 500 or "head" in one.problem or "body" in one.problem]
    refused = [one for one in result.failed if one not in bad]
    assert not bad, [(one.status, one.problem) for one in bad]
    assert all("Connect" in one.problem for one in refused), {one.problem for one in refused}
    assert not (instance.registry / "main").exists()


def test_deleted_instance_directory_is_made_again(shop: tuple[RunningInstance, int]) -> None:
    """D4: nobody fails once the core is back; nginx has its folder for large uploads; commands find the instance."""
    instance, port = shop
    core = component(instance, "core")
    with load(port, "/", rate=100) as result:
        wait_until_count(result, 100)
        shutil.rmtree(instance.registry / "main")
        instance.lines.wait_for("core is back")
        back = time.monotonic()
        wait_until_count(result, len(result.outcomes) + 300)
    late = [one for one in result.failed if one.due > back]
    assert not late, [(one.status, one.problem) for one in late][:5]
    assert component(instance, "core") != core
    assert fetch(port, "/", method="POST", body=b"x" * 300_000).status in {200, 405}
    assert instance.stop() == 0
    assert not (instance.registry / "main").exists()
