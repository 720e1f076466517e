"""What faults of collectors, of UstRouter and of its disk cost the requests that come meanwhile: nothing, and no record unaccounted.

    python -m tests.bench.telemetry [--passenger PATH] [--print]

As `tests.bench.promises`: 200 requests a second through nginx, first with a collector that is well, then while it is not. Each case
has an instance of its own. Writes the table into docs/telemetry.md; exit 1 when a request or a record is unaccounted for, or when
the others' 99th percentile is further from the quiet one than promised. Takes four minutes; needs root for the full disk.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.promises import RATE, more, percentile
from tests.e2e.test_telemetry_faults import ENDS, Site, router_pid, telemetry
from tests.support.collector import Collector, black_hole, collecting
from tests.support.installation import install
from tests.support.load import Load, load, wait_until_count
from tests.support.probe import wait_until
from tests.support.running import RunningInstance, running

QUIET = 1500
"""Requests before something happens."""
DURING = 3000
SLOWER = 1.10
"""The 99th percentile during a fault over the quiet one, at most."""
PAGE = Path(__file__).resolve().parents[2] / "docs" / "telemetry.md"
BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"
FULL = "64k"
"""A disk that is full within a second."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What a case can reach."""

    site: Site
    instance: RunningInstance
    collector: Collector
    hole: int
    router: int
    """Its process at first; asking for it while requests come would cost them more than the fault."""


def answers(answer: int | bytes) -> Callable[[Scene], None]:
    """The collector answers so from now on; b"" = it holds its answer back."""

    def happen(scene: Scene) -> None:
        scene.collector.answer = answer

    return happen


def nothing(_: Scene) -> None:
    """To see what the machine does by itself."""


def down(scene: Scene) -> None:
    scene.collector.close()


def swallowed(scene: Scene) -> None:
    scene.site.write(f"http://127.0.0.1:{scene.hole}/json")
    seen = len(scene.instance.lines.seen)
    os.kill(scene.instance.process.pid, signal.SIGHUP)
    scene.instance.lines.wait_for("UstRouter is at work", after=seen)


def killed(scene: Scene) -> None:
    seen = len(scene.instance.lines.seen)
    os.kill(scene.router, signal.SIGKILL)
    scene.instance.lines.wait_for("UstRouter is at work", after=seen)


def stopped(scene: Scene) -> None:
    os.kill(scene.router, signal.SIGSTOP)


def goes_on(scene: Scene) -> None:
    os.kill(scene.router, signal.SIGCONT)


@dataclass(frozen=True, slots=True)
class Case:
    """A fault, and how it passes."""

    name: str
    happen: Callable[[Scene], None]
    after: Callable[[Scene], None] = nothing
    has_full_disk: bool = False


CASES = (
    Case("nothing, to compare", nothing),
    Case("collector down: connections refused", down),
    Case("collector behind a black hole", swallowed),
    Case("collector answers 503", answers(503)),
    Case("collector answers 400", answers(400)),
    Case("collector holds its answers back", answers(b"")),
    Case("UstRouter killed (SIGKILL)", killed),
    Case("UstRouter stands still (SIGSTOP)", stopped, goes_on),
    Case("disk full under the spool, collector answers 503", answers(503), has_full_disk=True),
)


@dataclass(frozen=True, slots=True)
class Result:
    """The requests and the records of one case."""

    case: Case
    quiet: Load
    during: Load
    told: dict[str, Any]

    @property
    def sent(self) -> int:
        return self.quiet.sent + self.during.sent

    @property
    def answered(self) -> int:
        return sum(one.status == 200 for one in self.quiet.outcomes + self.during.outcomes)

    def missed(self, quiet: Load) -> list[str]:
        """Promises that were not kept. `quiet`: that of all cases, as 1 % of one of them is a handful of requests."""
        told = [f"{self.sent - self.answered} requests failed"] if self.answered != self.sent else []
        if not is_accounted(self.told):
            told.append("records unaccounted for")
        slower = percentile(self.during, 99) / percentile(quiet, 99)
        if not slower <= SLOWER:
            told.append(f"p99 is {slower:.2f} x the quiet one, promised at most {SLOWER:.2f} x")
        return told


def is_accounted(told: dict[str, Any]) -> bool:
    """Every record of the core has come to an end, or waits where it is counted."""
    sink = told["sinks"].get("http")
    if sink is None or told["waiting"]:
        return False
    ended = sum(sink[end] for end in (*ENDS, "spool_sent", "spool_dropped", "on_disk"))
    return bool(ended >= told["told"] - told["overflow"])


@contextlib.contextmanager
def spool_of(case: Case, place: Path) -> Iterator[str]:
    """A line of the configuration; a disk that is almost full, where the case needs one."""
    if not case.has_full_disk:
        yield ""
        return
    spool = place / "spool"
    spool.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={FULL},mode=777", "tmpfs", str(spool)], check=True)
    try:
        yield f'spool = "{spool}"\n'
    finally:
        subprocess.run(["umount", str(spool)], check=True)


def measure(case: Case, place: Path, passenger: str) -> Result:
    """One case: a quiet time, then the fault."""
    place.mkdir(mode=0o755)
    site = Site(place, passenger)
    with spool_of(case, place) as spool, collecting() as collector, black_hole() as hole:
        config = site.write(f"http://127.0.0.1:{collector.port}/json", spool)
        with running(passenger, config) as instance:
            instance.wait_started()
            scene = Scene(site, instance, collector, hole, router_pid(instance))
            with load(site.port, rate=RATE, limit=60) as warm:
                wait_until_count(warm, 100)
            with load(site.port, rate=RATE, limit=60) as quiet:
                wait_until_count(quiet, QUIET)
            with load(site.port, rate=RATE, limit=60) as during:
                case.happen(scene)
                more(during, DURING)
            case.after(scene)
            wait_until(lambda: is_accounted(telemetry(instance)), "every record to be accounted for")
            return Result(case, quiet, during, telemetry(instance))


COLUMNS = (
    *("fault", "requests sent", "answered", "failed", "p50 / p99 quiet, ms", "during, ms"),
    *("records told", "delivered", "wait or on disk", "dropped or lost, counted", "result"),
)


def quiet_of(results: Sequence[Result]) -> Load:
    """The quiet times of all cases, which differ in nothing."""
    return Load([outcome for one in results for outcome in one.quiet.outcomes])


def table(results: Sequence[Result]) -> str:
    """In Markdown."""
    quiet = quiet_of(results)
    lines = [f"| {' | '.join(COLUMNS)} |", f"|---|{'--:|' * (len(COLUMNS) - 2)}---|"]
    for one in results:
        sink = one.told["sinks"]["http"]
        times = [f"{percentile(part, 50):.1f} / {percentile(part, 99):.1f}" for part in (one.quiet, one.during)]
        lost = sum(sink[end] for end in ("rejected", "dropped", "unwanted", "lost", "spool_dropped"))
        kept = sink["waiting"] + sink["on_disk"]
        counts = (one.told["told"], sink["sent"] + sink["spool_sent"], kept, lost + one.told["overflow"])
        cells = [one.case.name, *map(str, (one.sent, one.answered, one.sent - one.answered)), *times, *map(str, counts)]
        lines.append(f"| {' | '.join(cells)} | {'; '.join(one.missed(quiet)) or 'kept'} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write, judge."""
    options = argparse.ArgumentParser(prog="python -m tests.bench.telemetry", description=__doc__)
    options.add_argument("--passenger", help="the command to use, instead of a wheel built from this checkout")
    options.add_argument("--print", action="store_true", help="print the table instead of writing it")
    options.add_argument("--only", help="cases whose name holds this, printed")
    chosen = options.parse_args(arguments)
    machine = (
        f"{os.cpu_count()} CPUs, Python {platform.python_version()}, load average {os.getloadavg()[0]:.1f} before."
    )
    with tempfile.TemporaryDirectory(prefix="pb", dir="/var/tmp") as name:
        place = Path(name)
        place.chmod(0o755)
        command = chosen.passenger or install(place).passenger
        cases = [case for case in CASES if (chosen.only or "") in case.name]
        results = [measure(case, place / str(number), command) for number, case in enumerate(cases)]
    quiet = percentile(quiet_of(results), 99)
    text = (
        f"{RATE:.0f} requests a second; {machine} p99 of all quiet times together: {quiet:.1f} ms.\n\n{table(results)}"
    )
    print(text)
    if not (chosen.print or chosen.only):
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")
    return 1 if any(one.missed(quiet_of(results)) for one in results) else 0


if __name__ == "__main__":
    sys.exit(main())
