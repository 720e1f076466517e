"""`./dev bench`: every stack in one run, in turns, medians, ratios; writes docs/performance.md and docs/performance.svg."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path

from tests.bench import measure, node, promises, report, smart_spawn, stacks, telemetry_cost
from tests.support.running import free_port

DOCS = Path(__file__).resolve().parents[2] / "docs"


def main() -> int:
    """Measure, write, print the budget; exit 1 when a budget line is missed."""
    options = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    options.add_argument("--seconds", type=int, default=2, help="length of one run")
    options.add_argument("--rounds", type=int, default=7, help="runs per stack and load")
    options.add_argument("--quick", action="store_true", help="the loads of the budget only, three rounds, printed")
    options.add_argument("--only", action="append", default=[], help="stacks to run (function names)")
    options.add_argument("--print", action="store_true", help="print the page instead of writing it")
    options.add_argument(
        "--further", action="store_true", help="only Node.js, WebSockets and what preloading saves, printed"
    )
    options.add_argument(
        "--promises", action="store_true", help="only what deploys, limits and reloads cost requests, printed"
    )
    options.add_argument("--telemetry", action="store_true", help="only what telemetry costs the core, printed")
    chosen = options.parse_args()
    if chosen.promises:
        return promises.main([])
    if chosen.telemetry:
        return telemetry_cost.main([])
    loads = dict(measure.LOADS)
    if chosen.quick:
        chosen.rounds, chosen.print = 3, True
        loads = {name: loads[name] for name in report.BUDGETED}
    if shutil.which("wrk") is None:
        print("dev bench: needs wrk (Debian: apt-get install wrk)", file=sys.stderr)
        return 1
    if chosen.further:
        return print_further(chosen)
    busy = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="pb", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        results = measure_all(Path(folder), loads, chosen)
    text = report.page(
        results, f"{os.cpu_count()} CPUs, Python {platform.python_version()}, load average {busy:.1f} before the run."
    )
    if chosen.print:
        print(text)
    else:
        (DOCS / "performance.md").write_text(text)
        (DOCS / "performance.svg").write_text(report.plot(results))
    for line in report.budgets(results):
        print(line)
    return 1 if any(line.is_missed for line in report.budgets(results)) else 0


def measure_all(scratch: Path, loads: dict[str, measure.Load], chosen: argparse.Namespace) -> report.Results:
    """All stacks up at the same time, loaded one after the other, round after round.

    Within a round a load goes over all stacks before the next load begins, so that what is compared was measured within
    seconds; each round begins with another stack.
    """
    makers, missing = stacks.available()
    app = stacks.application_folder(scratch)
    started: list[stacks.Stack] = []
    startup: dict[str, float] = {}
    try:
        for maker in makers:
            if chosen.only and maker.__name__ not in chosen.only:
                continue
            folder = scratch / maker.__name__
            folder.mkdir(mode=0o755)
            stack = maker(folder, free_port(), app)
            started.append(stack)
            stack.start()
            startup[stack.name] = measure.wait_for_answer(stack)
        for stack in started:
            measure.run(stack, loads["small"], 1, scratch)
        runs: report.Runs = {stack.name: {name: [] for name in loads} for stack in started}
        for number in range(chosen.rounds):
            first = number % len(started)
            for name, load in loads.items():
                for stack in started[first:] + started[:first]:
                    runs[stack.name][name].append(measure.run(stack, load, chosen.seconds, scratch))
        memory = {stack.name: measure.memory(stack) for stack in started}
    finally:
        for stack in started:
            stack.stop()
    return report.Results(runs=runs, memory=memory, startup=startup, missing=missing, chapters=further(scratch, chosen))


def print_further(chosen: argparse.Namespace) -> int:
    """The chapters alone."""
    with tempfile.TemporaryDirectory(prefix="pb", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        chapters = further(Path(folder), chosen)
    for chapter in chapters:
        print("\n".join([*chapter.text, "", *map(str, chapter.budgets), *chapter.missing, ""]))
    return 1 if any(budget.is_missed for chapter in chapters for budget in chapter.budgets) else 0


def further(scratch: Path, chosen: argparse.Namespace) -> list[report.Chapter]:
    """What is measured when the stacks are down again; all or nothing of it."""
    if chosen.only:
        return []
    messages, processes = (500, 3) if chosen.quick else (3000, 7)
    return [
        node.chapter(scratch, rounds=chosen.rounds, seconds=chosen.seconds, messages=messages),
        smart_spawn.chapter(processes, requests=20),
    ]


if __name__ == "__main__":
    sys.exit(main())
