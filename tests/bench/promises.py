"""What deploys, limits and reloads cost the requests that come meanwhile: sent = answered + refused, none failed.

    python -m tests.bench.promises [--passenger PATH]

An open-loop client sends 200 requests a second through nginx, first while nothing happens, then while something does. Prints a
page in Markdown; exit 1 when a request is unaccounted for, when one failed that must not, or when a rolling restart slows the
others down more than promised. Takes about two minutes. Part of `./dev bench` as `--promises`.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.town import Town
from tests.support.http import fetch
from tests.support.installation import install
from tests.support.load import Load, load, wait_until_count
from tests.support.probe import wait_until
from tests.support.running import free_port, running

RATE = 200.0
QUIET = 600
"""Requests before something happens."""
SLOWER = 2.0
"""The 99th percentile during a rolling restart over the quiet one, at most."""

Happening = Callable[[Town, Load], "list[tuple[int, int]]"]
"""Lets something happen; (status, status it must have) of every request that was sent to make it happen."""


@dataclass(frozen=True, slots=True)
class Case:
    """What happens to which application, and which statuses but 200 the requests of the client may get."""

    name: str
    app: str
    happen: Happening
    path: str = "/"
    quiet_rate: float = RATE
    refusals: frozenset[int] = frozenset()
    slower: float | None = None


@dataclass(slots=True)
class Tally:
    """The requests of one case."""

    case: Case
    quiet: Load
    during: Load
    provoked: list[tuple[int, int]]
    problem: str = ""
    slower: float = field(init=False)

    def __post_init__(self) -> None:
        self.slower = percentile(self.during, 99) / percentile(self.quiet, 99)

    @property
    def sent(self) -> int:
        return self.quiet.sent + self.during.sent + len(self.provoked)

    @property
    def statuses(self) -> Counter[int]:
        """Status -> answers; 0 = none or a broken one."""
        ours = Counter(one.status for one in self.quiet.outcomes + self.during.outcomes)
        return ours + Counter(status for status, _ in self.provoked)

    @property
    def refused(self) -> int:
        return sum(one.status in self.case.refusals for one in self.during.outcomes)

    @property
    def ended(self) -> int:
        """Requests that had to fail: they are what a limit is for."""
        return sum(status == wanted != 200 for status, wanted in self.provoked)

    @property
    def failed(self) -> int:
        wrong = sum(one.status != 200 for one in self.quiet.outcomes)
        wrong += sum(one.status != 200 and one.status not in self.case.refusals for one in self.during.outcomes)
        return wrong + sum(status != wanted for status, wanted in self.provoked)

    @property
    def missed(self) -> list[str]:
        """Promises that were not kept."""
        told = [self.problem] if self.problem else []
        answered = sum(self.statuses.values())
        if self.sent != answered:
            told.append(f"{self.sent} sent, {answered} accounted for")
        if self.failed:
            told.append(f"{self.failed} failed")
        if self.case.slower is not None and not self.slower < self.case.slower:
            told.append(f"p99 is {self.slower:.1f} x the quiet one, promised less than {self.case.slower:.1f} x")
        return told


def percentile(result: Load, percent: int) -> float:
    """Milliseconds from when a request was due to the end of its answer, of those answered 200."""
    times = sorted(one.done - one.due for one in result.outcomes if one.status == 200)
    return 1000 * times[len(times) * percent // 100] if times else float("nan")


def more(result: Load, count: int) -> None:
    """Until so many further requests are answered."""
    wait_until_count(result, len(result.outcomes) + count)


def touches(town: Town, result: Load) -> list[tuple[int, int]]:
    before = town.generation("shop")
    town.deploy("shop", "v2")
    for _ in range(100):
        town.touch("shop")
        more(result, 8)
    more(result, 300)  # a look, every second
    town.wait_restart("shop", "done", before)
    return []


def broken_release(town: Town, result: Load) -> list[tuple[int, int]]:
    serving, before = town.pids("shop"), town.generation("shop")
    town.deploy("shop", "broken")
    town.touch("shop")
    town.wait_restart("shop", "failed", before)
    assert town.pids("shop") == serving, "the old processes serve"
    more(result, 400)
    town.deploy("shop", "v3")
    before = town.generation("shop")
    town.touch("shop")
    town.wait_restart("shop", "done", before)
    return []


def leaks(town: Town, result: Load) -> list[tuple[int, int]]:
    """Past the soft limit bit by bit, past the hard one at once: only what did that is lost."""
    provoked = [(fetch(town.port, "/take/10", host="leaky.test").status, 200) for _ in range(24)]
    wait_until(lambda: town.retirements("leaky", "memory_limit"), "a process over the soft limit is replaced")
    more(result, 200)
    provoked.append((fetch(town.port, "/hang/600", host="leaky.test").status, 502))
    wait_until(lambda: town.retirements("leaky", "hard_memory_limit"), "a process over the hard limit is killed")
    more(result, 200)
    return provoked


def hanging_requests(town: Town, result: Load) -> list[tuple[int, int]]:
    provoked = [(fetch(town.port, "/hang/0", host="hangs.test").status, 504) for _ in range(3)]
    more(result, 200)
    return provoked


def reloads(town: Town, result: Load) -> list[tuple[int, int]]:
    """Live keys each time, nginx's every fifth time, environment (processes are replaced) every tenth."""
    bystanders, before = town.pids("fleet"), town.generation("shop")
    for number in range(1, 51):
        town.reload(queue=1000 + number, body=number // 5, colour=number // 10)
    town.wait_restart("shop", "done", before + 4)
    assert town.pids("fleet") == bystanders, "an application that does not change keeps its processes"
    more(result, 100)
    return []


def overflow(town: Town, result: Load) -> list[tuple[int, int]]:
    """One process of 20 ms a request, ten places in the queue."""
    more(result, 1000)
    return []


def rolling_restart(town: Town, result: Load) -> list[tuple[int, int]]:
    before = town.pids("fleet")
    done = town.instance.run("restart-app", "fleet")
    assert done.returncode == 0, done.stdout + done.stderr
    more(result, 200)
    assert len(town.pids("fleet")) == 20
    assert not town.pids("fleet") & before
    return []


CASES = (
    Case("restart.txt is touched 100 times", "shop", touches),
    Case("a broken version is deployed, then fixed", "shop", broken_release),
    Case("workers leak past memory_limit and hard_memory_limit", "leaky", leaks),
    Case("requests hang (max_request_time)", "hangs", hanging_requests),
    Case("the configuration is reloaded 50 times", "shop", reloads),
    Case("the queue overflows", "narrow", overflow, "/work", quiet_rate=25.0, refusals=frozenset({503})),
    Case("rolling restart of 20 processes", "fleet", rolling_restart, "/work", slower=SLOWER),
)


def measure(town: Town, case: Case) -> Tally:
    """One case: a quiet time, then what happens."""
    host = f"{case.app}.test"
    with load(town.port, case.path, host=host, rate=case.quiet_rate) as quiet:
        wait_until_count(quiet, int(QUIET * case.quiet_rate / RATE))
    provoked: list[tuple[int, int]] = []
    problem = ""
    with load(town.port, case.path, host=host, rate=RATE) as during:
        wait_until_count(during, 50)
        try:
            provoked = case.happen(town, during)
        except AssertionError as error:
            problem = f"did not happen: {str(error).splitlines()[0]}"
    return Tally(case, quiet, during, provoked, problem)


COLUMNS = (
    *("case", "sent", "answered, per status", "refused", "ended by their limit", "failed"),
    *("p50 / p99 quiet, ms", "p50 / p99 during, ms", "result"),
)


def page(tallies: Sequence[Tally]) -> str:
    """The table, and what each promise was worth."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---|--:|---|--:|--:|--:|--:|--:|---|"]
    for one in tallies:
        statuses = ", ".join(f"{status or 'none'}: {count}" for status, count in sorted(one.statuses.items()))
        times = [f"{percentile(part, 50):.1f} / {percentile(part, 99):.1f}" for part in (one.quiet, one.during)]
        counts = [str(count) for count in (one.refused, one.ended, one.failed)]
        cells = [one.case.name, str(one.sent), statuses, *counts, *times, "; ".join(one.missed) or "kept"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


INTRODUCTION = """# What happens to requests meanwhile

Written by `python -m tests.bench.promises`: {rate:.0f} requests a second, each due at its own moment whatever the answers do, through
nginx to a WSGI application, first quietly, then while something happens. {machine}

- *Refused*: answered 503 by the queue's limit, as configured. *Ended by their limit*: requests that were sent to hang (504) or
  to take too much memory (502). *Failed*: every other answer but 200, and no answer. Sent = answered + refused, always.
- Times are from the moment at which a request was due to the end of its answer, of requests that were answered 200.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, judge."""
    options = argparse.ArgumentParser(prog="python -m tests.bench.promises", description=__doc__)
    options.add_argument("--passenger", help="the command to use, instead of a wheel built from this checkout")
    chosen = options.parse_args(arguments)
    machine = f"{os.cpu_count()} CPUs, Python {platform.python_version()}, load average {os.getloadavg()[0]:.1f} before the run."
    with tempfile.TemporaryDirectory(prefix="pb", dir="/var/tmp") as name:
        place = Path(name)
        place.chmod(0o755)
        command = chosen.passenger or install(place).passenger
        town = Town(place, free_port())
        with running(command, town.file) as instance:
            town.started(instance)
            tallies = [measure(town, case) for case in CASES]
    print(INTRODUCTION.format(rate=RATE, machine=machine))
    print(page(tallies))
    return 1 if any(one.missed for one in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
