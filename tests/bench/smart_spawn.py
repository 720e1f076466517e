"""What a preloader saves: a further process of a Django and a Sinatra project, forked against started from scratch.

    python -m tests.bench.smart_spawn [--processes 5] [--requests 20]

Both ways take turns. Seconds are from the wish for a process to the checked socket; private memory is what the process
alone holds (USS), PSS its share of everything, after the same number of requests. Exit 1 when a goal of the issue is
missed: 10 x faster, 40 % less private memory. Part of `./dev bench`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import psutil

from passenger.clock import SystemClock
from passenger.config.model import App
from passenger.log import Log
from passenger.spawn.direct import DirectSpawner
from passenger.spawn.running import StartedProcess
from passenger.spawn.smart import SmartSpawner
from passenger.spawn.spawner import Spawner
from tests.bench.report import Budget, Chapter
from tests.support.spawning import Place, ask, place, run, stopped

APPS = Path(__file__).resolve().parents[1] / "e2e" / "apps"
MIB = 1024 * 1024
TIME, MEMORY = 0.1, 0.6
"""Goals, as parts of what a start from scratch takes."""


@dataclass
class Figures:
    """Of one way to start a process."""

    seconds: list[float] = field(default_factory=list)
    private: list[int] = field(default_factory=list)
    pss: list[int] = field(default_factory=list)


Ways = dict[str, Figures]
"""`direct` and `smart`."""


def main() -> int:
    """Measure, print, judge."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--processes", type=int, default=5)
    options.add_argument("--requests", type=int, default=20)
    chosen = options.parse_args()
    found = chapter(chosen.processes, chosen.requests)
    print("\n".join(found.text))
    for line in (*map(str, found.budgets), *found.missing):
        print(line)
    return 1 if any(budget.is_missed for budget in found.budgets) else 0


def chapter(processes: int, requests: int) -> Chapter:
    """Everything about further processes."""
    projects: dict[str, Callable[[Place], App]] = {"Django": django_project, "Sinatra": sinatra_project}
    missing = []
    if shutil.which("ruby") is None or subprocess.run(["ruby", "-e", "require 'sinatra/base'"], check=False).returncode:
        del projects["Sinatra"]
        missing.append("A further Sinatra process: the Debian packages ruby and ruby-sinatra are not installed")
    found: dict[str, Ways] = {}
    for name, project in projects.items():
        with place() as here:
            found[name] = run(measured(here, project(here), processes, requests))
    return Chapter(budgets=budgets(found), text=table(found), missing=missing)


def budgets(found: dict[str, Ways]) -> list[Budget]:
    """The goals; times turn by turn, memory process by process."""
    lines = []
    for name, ways in found.items():
        direct, smart = ways["direct"], ways["smart"]
        times = [one / other for one, other in zip(smart.seconds, direct.seconds, strict=True)]
        memory = [one / other for one, other in zip(smart.private, direct.private, strict=True)]
        lines.append(
            Budget(f"start of a further {name} process : without preloader", statistics.median(times), TIME, times)
        )
        lines.append(
            Budget(f"its private memory ({name}) : without preloader", statistics.median(memory), MEMORY, memory)
        )
    return lines


def table(found: dict[str, Ways]) -> list[str]:
    """Absolute figures: memory does not depend on how busy the machine is."""
    lines = [
        "## A further process: `smart` (forked by a preloader) against `direct`",
        "",
        "| application | spawn_method | start (ms) | private (MiB) | PSS (MiB) |",
        "|---|---|---|---|---|",
    ]
    for name, ways in found.items():
        for way, figures in ways.items():
            seconds, private = statistics.median(figures.seconds), statistics.median(figures.private)
            pss = statistics.median(figures.pss)
            lines.append(f"| {name} | {way} | {1000 * seconds:.1f} | {private / MIB:.1f} | {pss / MIB:.1f} |")
    return lines


def django_project(here: Place) -> App:
    """The project of the end-to-end tests, with the packages it needs where the application's user can read them."""
    packages = here.root / "packages"
    for name in ("django", "asgiref", "sqlparse"):
        spec = find_spec(name)
        assert spec is not None, f"{name} is not installed: pip install -e .[dev]"
        assert spec.origin is not None
        shutil.copytree(Path(spec.origin).parent, packages / name, ignore=shutil.ignore_patterns("__pycache__"))
    project = here.root / "site"
    shutil.copytree(APPS / "django_site", project, ignore=shutil.ignore_patterns("*.sqlite3", "__pycache__"))
    variables = {"PYTHONPATH": str(packages), "SECRET_KEY": "bench", "DJANGO_SETTINGS_MODULE": "site_config.settings"}
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
        cwd=project,
        env=os.environ | variables,
        check=True,
    )
    # Whoever runs it may not write there; compiling at each start would flatter the preloader.
    subprocess.run([here.python, "-m", "compileall", "-q", str(packages), str(project)], check=True)
    return here.app("site", {}, entry_point="site_config.wsgi:application", env=variables, start_timeout=60.0)


def sinatra_project(here: Place) -> App:
    """The notebook of the end-to-end tests."""
    shutil.copytree(APPS / "sinatra_app", here.root / "notebook")
    return here.app("notebook", {}, start_timeout=60.0)


async def measured(here: Place, app: App, processes: int, requests: int) -> Ways:
    """One process each way, in turns; the first pair warms up the disk and starts the preloader."""
    loop, clock, log = asyncio.get_running_loop(), SystemClock(), Log(component="core", fd=here.log_fd)
    context = here.context()
    spawners: dict[str, Spawner] = {
        "direct": DirectSpawner(name="site", app=app, context=context, loop=loop, clock=clock, log=log),
        "smart": SmartSpawner(name="site", app=app, context=context, loop=loop, clock=clock, log=log),
    }
    found = {name: Figures() for name in spawners}
    running: list[StartedProcess] = []
    for turn in range(processes + 1):
        for name, spawner in spawners.items():
            process = await spawner.spawn()
            assert isinstance(process, StartedProcess)
            running.append(process)
            for _ in range(requests):
                answer = ask(process, "/")
                assert answer.startswith(b"HTTP/1.1 200"), answer[:2000]
            if turn:
                found[name].seconds.append(process.spawn_seconds)
    for number, process in enumerate(running[2:]):
        used = psutil.Process(process.pid).memory_full_info()
        figures = found[list(spawners)[number % 2]]
        figures.private.append(used.uss)
        figures.pss.append(used.pss)
    for process in running:
        await stopped(process)
    await spawners["smart"].close()
    return found


if __name__ == "__main__":
    sys.exit(main())
