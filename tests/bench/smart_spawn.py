"""What a preloader saves: a further process of a Django project, forked against started from scratch, in turns.

    python -m tests.bench.smart_spawn [--processes 5] [--requests 20]

Seconds are from the wish for a process to the checked socket; private memory is what the process alone holds (USS)
after the same number of requests. Exit 1 when a goal of the issue is missed: 10 x faster, 40 % less private memory.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import subprocess
import sys
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
from tests.support.spawning import Place, ask, place, run, stopped

PROJECT = Path(__file__).resolve().parents[1] / "e2e" / "apps" / "django_site"
MIB = 1024 * 1024
FASTER, LESS = 10.0, 0.4


@dataclass
class Figures:
    """Of one way to start a process."""

    seconds: list[float] = field(default_factory=list)
    private: list[int] = field(default_factory=list)
    pss: list[int] = field(default_factory=list)


def main() -> int:
    """Measure, print, judge."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--processes", type=int, default=5)
    options.add_argument("--requests", type=int, default=20)
    chosen = options.parse_args()
    with place() as here:
        found = run(measured(here, django_project(here), chosen.processes, chosen.requests))
    direct, smart = found["direct"], found["smart"]
    for name, figures in found.items():
        seconds, private = statistics.median(figures.seconds), statistics.median(figures.private)
        pss = statistics.median(figures.pss)
        print(f"{name:<7} {1000 * seconds:8.1f} ms {private / MIB:8.1f} MiB private {pss / MIB:8.1f} MiB PSS")
    faster = statistics.median(direct.seconds) / statistics.median(smart.seconds)
    less = 1 - statistics.median(smart.private) / statistics.median(direct.private)
    print(
        f"a further process: {faster:.1f} x faster (goal {FASTER:g}), {less:.0%} less private memory (goal {LESS:.0%})"
    )
    return 0 if faster >= FASTER and less >= LESS else 1


def django_project(here: Place) -> App:
    """The project of the end-to-end tests, with the packages it needs where the application's user can read them."""
    packages = here.root / "packages"
    for name in ("django", "asgiref", "sqlparse"):
        spec = find_spec(name)
        assert spec is not None, f"{name} is not installed: pip install -e .[dev]"
        assert spec.origin is not None
        shutil.copytree(Path(spec.origin).parent, packages / name, ignore=shutil.ignore_patterns("__pycache__"))
    project = here.root / "site"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("*.sqlite3", "__pycache__"))
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


async def measured(here: Place, app: App, processes: int, requests: int) -> dict[str, Figures]:
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
