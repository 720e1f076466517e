"""`./dev bench`: every stack in one run, in turns, medians, ratios; writes docs/performance.md and docs/performance.svg."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path

from tests.bench import measure, report, stacks
from tests.support.running import free_port

DOCS = Path(__file__).resolve().parents[2] / "docs"


def main() -> int:
    """Measure, write, print the budget; exit 1 when a budget line is missed."""
    options = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    options.add_argument("--seconds", type=int, default=4, help="length of one run")
    options.add_argument("--rounds", type=int, default=3, help="runs per stack and path")
    options.add_argument("--only", action="append", default=[], help="stacks to run (function names)")
    options.add_argument("--print", action="store_true", help="print the page instead of writing it")
    chosen = options.parse_args()
    if shutil.which("wrk") is None:
        print("dev bench: needs wrk (Debian: apt-get install wrk)", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="pb", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        results = measure_all(Path(folder), chosen.seconds, chosen.rounds, chosen.only)
    text = report.page(results, f"{os.cpu_count()} CPUs, Python {platform.python_version()}.")
    if chosen.print:
        print(text)
    else:
        (DOCS / "performance.md").write_text(text)
        (DOCS / "performance.svg").write_text(report.plot(results))
    missed = [line for line in report.budgets(results) if line.ratio is not None and line.ratio > line.limit]
    for line in report.budgets(results):
        shown = "not measured" if line.ratio is None else f"{line.ratio:.2f}"
        print(f"{line.what}: {shown} (budget {line.limit:.2f})")
    return 1 if missed else 0


def measure_all(scratch: Path, seconds: int, rounds: int, only: list[str]) -> report.Results:
    """All stacks up at the same time, loaded one after the other, round after round."""
    makers, missing = stacks.available()
    app = stacks.application_folder(scratch)
    started: list[stacks.Stack] = []
    startup: dict[str, float] = {}
    runs: dict[str, dict[str, list[measure.Run]]] = {}
    try:
        for maker in makers:
            if only and maker.__name__ not in only:
                continue
            folder = scratch / maker.__name__
            folder.mkdir(mode=0o755)
            stack = maker(folder, free_port(), app)
            started.append(stack)
            stack.start()
            startup[stack.name] = measure.wait_for_answer(stack)
            runs[stack.name] = {path: [] for path in report.PATHS}
        for stack in started:
            measure.run(stack, "/", 1, scratch)
        for _ in range(rounds):
            for path in report.PATHS:
                for stack in started:
                    runs[stack.name][path].append(measure.run(stack, path, seconds, scratch))
        memory = {stack.name: measure.memory(stack) for stack in started}
    finally:
        for stack in started:
            stack.stop()
    return report.Results(runs=runs, memory=memory, startup=startup, missing=missing)


if __name__ == "__main__":
    sys.exit(main())
