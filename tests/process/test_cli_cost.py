"""What commands cost, as ratios against starting Python and doing nothing, in the same run."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import clean_environment
from tests.support.fake_instance import Answer, fake_instances
from tests.support.statuses import core, group, process, watchdog

ROUNDS = 5
APPS = 1000


def cpu_seconds(command: list[str], cwd: Path) -> float:
    """User and system time of one child, waited for by its own pid."""
    with Path(os.devnull).open("wb") as null:
        child = subprocess.Popen(
            command, cwd=cwd, env=clean_environment(), stdin=subprocess.DEVNULL, stdout=null, stderr=null
        )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0
    spent: resource.struct_rusage = usage
    return spent.ru_utime + spent.ru_stime


def ratio(command: list[str], cwd: Path) -> float:
    """Median cost of a command over that of `python -c pass`, measured alternately."""
    pairs = [
        (cpu_seconds([sys.executable, "-c", "pass"], cwd), cpu_seconds([sys.executable, *command], cwd))
        for _ in range(ROUNDS)
    ]
    return statistics.median(cost for _, cost in pairs) / statistics.median(base for base, _ in pairs)


@pytest.mark.parametrize("page", [["--help"], ["config", "--help"]])
def test_help_costs_less_than_five_bare_pythons(page: list[str], tmp_path: Path) -> None:
    """Nothing is imported for a page of text."""
    assert ratio(["-m", "passenger", *page], tmp_path) < 5


def test_status_of_five_hundred_processes_costs_less_than_five_times_version(tmp_path: Path) -> None:
    """In fifty groups, as the command line has to read and print it; what the core does for it is test_memory's."""
    groups = [group(f"app{n}", processes=[process(n * 10 + i) for i in range(10)]) for n in range(50)]
    answers: dict[tuple[str, str], Answer] = {
        ("core_api", "status"): {"ok": True, "status": core(*groups)},
        ("watchdog_api", "status"): watchdog(),
    }
    with fake_instances("main", answers=answers) as (instance,):
        status = [sys.executable, "-m", "passenger", "status", "--registry", str(instance.registry)]
        version = [sys.executable, "-m", "passenger", "version"]
        pairs = [(cpu_seconds(version, tmp_path), cpu_seconds(status, tmp_path)) for _ in range(ROUNDS)]
    assert statistics.median(cost for _, cost in pairs) < 5 * statistics.median(base for base, _ in pairs)


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that applications' users can reach when we are root."""
    with tempfile.TemporaryDirectory(prefix="pp", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_validating_a_thousand_apps_costs_less_than_forty_bare_pythons(reachable: Path) -> None:
    """A fleet's file is checked, all stages, in the blink of a deploy."""
    app = (
        '[apps.app{n}]\napp_root = "{root}"\nserver_names = ["app{n}.example.com"]\nentry_point = "app{n}:application"\n'
        'app_env = "staging"\nstart_timeout = "60s"\nmax_request_queue_size = 50\nenv = {{ NAME = "app{n}" }}\n'
    )
    head = "config_version = 1\n[instances.main.core]\nmax_pool_size = 2000\n"
    (reachable / "passenger.toml").write_text(head + "".join(app.format(n=n, root=reachable) for n in range(APPS)))
    assert ratio(["-m", "passenger", "validate"], reachable) < 40
