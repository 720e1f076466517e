"""The figures as a page: ratios against ours in one run, a table per question and a plot."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench.measure import LOADS, Run
from tests.bench.stacks import Group

Runs = dict[str, dict[str, list[Run]]]
"""Stack -> load -> one run per round."""

BUDGETED = ("small", "calm", "single")


@dataclass(frozen=True, slots=True)
class Budget:
    """A promise of the design: a figure of ours over one of a peer's, at most `limit`."""

    what: str
    ratio: float | None
    limit: float
    rounds: Sequence[float] = ()

    @property
    def is_missed(self) -> bool:
        return self.ratio is not None and self.ratio > self.limit

    def __str__(self) -> str:
        shown = "not measured" if self.ratio is None else f"{self.ratio:.2f}"
        return f"{self.what}: {shown} (budget {self.limit:.2f})"


@dataclass(frozen=True, slots=True)
class Chapter:
    """What is measured by other means than a load on every stack: its promises, its section, what could not be done."""

    budgets: Sequence[Budget]
    text: Sequence[str]
    missing: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Results:
    """Everything that was measured: the runs; stack -> memory; stack -> seconds to the first answer."""

    runs: Runs
    memory: Mapping[str, Mapping[Group, tuple[float, float]]]
    startup: Mapping[str, float]
    missing: Sequence[str]
    chapters: Sequence[Chapter] = ()


OURS, APACHE, GUNICORN, UWSGI = "nginx + ours", "Apache + Passenger 6.0.17", "nginx + Gunicorn (sync)", "nginx + uWSGI"


def cpu(group: Group | None = None) -> Callable[[Run], float]:
    """Microseconds per request of a group or of the whole stack."""
    return lambda run: run.cpu_total if group is None else run.cpu.get(group, 0.0)


def ratios(ours: Sequence[Run], theirs: Sequence[Run], figure: Callable[[Run], float]) -> list[float]:
    """Ours over theirs, round by round: what a busy machine does to a round, it does to both."""
    return [figure(one) / figure(other) for one, other in zip(ours, theirs, strict=True) if figure(other)]


def budgets(results: Results) -> list[Budget]:
    """The budget lines of design section 8, and those of the chapters: medians of the rounds' ratios."""

    def line(what: str, limit: float, peer: str, load: str = "small", group: Group | None = None) -> Budget:
        if peer not in results.runs:
            return Budget(what, None, limit)
        found = ratios(results.runs[OURS][load], results.runs[peer][load], cpu(group))
        return Budget(what, median(found) if found else None, limit, found)

    return [
        line("our core : Passenger's core", 0.65, APACHE, group="core"),
        line("our WSGI loader : Passenger's Python loader", 0.4, APACHE, group="application"),
        line("whole stack : Apache + Passenger", 0.45, APACHE),
        line("whole stack : nginx + Gunicorn (sync), one request at a time", 0.4, GUNICORN, "single"),
        line("whole stack : nginx + Gunicorn (sync), some workers idle", 0.4, GUNICORN, "calm"),
        line("whole stack : nginx + Gunicorn (sync), all workers busy", 0.4, GUNICORN),
        line("whole stack : nginx + uWSGI", 2.0, UWSGI),
        *(budget for chapter in results.chapters for budget in chapter.budgets),
    ]


GUNICORN_NOTE = """\
Gunicorn's sync workers all wait on the listening socket: the kernel wakes every idle one for each connection, and all but
one find nothing. Its cost per request therefore depends on how many are idle, and is measured at three loads. Where all
are busy none is woken for nothing, and it saves the hop through a core that the other stacks with a process manager have."""


def page(results: Results, machine: str) -> str:
    """docs/performance.md."""
    lines = [
        "# Performance",
        "",
        "Written by `./dev bench`. Every figure is a ratio inside one run on one machine: the stack's value divided by that of",
        f"`{OURS}`, the median of the ratios of all rounds; absolute times of a shared machine mean nothing. {machine}",
        "All stacks serve the same application with the same Python and the same number of single-threaded workers, and are",
        "up at the same time; a round loads one after the other.",
        "",
        "![CPU per request](performance.svg)",
        "",
        "## Budget",
        "",
        "CPU time per small request, but for the lines that name something else.",
        "",
        "| | measured | lowest - highest round | budget | |",
        "|---|---|---|---|---|",
    ]
    lines += [*_budget_rows(results), "", GUNICORN_NOTE, *_runs(results), *_groups(results), *_rest(results)]
    return "\n".join(lines) + "\n"


def _budget_rows(results: Results) -> Iterator[str]:
    for budget in budgets(results):
        if budget.ratio is None:
            yield f"| {budget.what} | not measured | - | {budget.limit:.2f} | - |"
        else:
            verdict = "**missed**" if budget.is_missed else "kept"
            spread = f"{min(budget.rounds):.2f} - {max(budget.rounds):.2f}"
            yield f"| {budget.what} | {budget.ratio:.2f} | {spread} | {budget.limit:.2f} | {verdict} |"


FIGURES: dict[str, Callable[[Run], float]] = {
    "requests/s": lambda run: run.rate,
    "p50": lambda run: run.p50,
    "p99": lambda run: run.p99,
    "CPU per request": cpu(),
}


def _runs(results: Results) -> Iterator[str]:
    """A table per load."""
    for load, base in results.runs[OURS].items():
        yield from ("", f"## {LOADS[load].title}", "")
        yield from (f"| stack | {' | '.join(FIGURES)} | errors |", "|---" * (len(FIGURES) + 2) + "|")
        for stack, by_load in results.runs.items():
            runs = by_load[load]
            figures = [f"{median(ratios(runs, base, figure)):.2f}" for figure in FIGURES.values()]
            yield f"| {stack} | {' | '.join(figures)} | {sum(run.errors for run in runs)} |"


def _share(results: Results, stack: str, group: Group | None = None) -> float:
    """CPU of a small request, ours as a whole = 1."""
    ours, theirs = results.runs[OURS]["small"], results.runs[stack]["small"]
    return median(cpu(group)(run) / cpu()(base) for run, base in zip(theirs, ours, strict=True))


def _groups(results: Results) -> Iterator[str]:
    """Whose CPU time it is."""
    yield from ("", "## Where the CPU goes (small request, share of our whole stack)", "")
    yield from ("| stack | group | share |", "|---|---|---|")
    for stack, by_load in results.runs.items():
        for group in sorted(by_load["small"][0].cpu):
            yield f"| {stack} | {group} | {_share(results, stack, group):.2f} |"


def _rest(results: Results) -> Iterator[str]:
    """Memory, start-up, and what could not be measured."""
    yield from ("", "## Memory at rest after the runs (MiB)", "")
    yield from ("| stack | group | PSS | private |", "|---|---|---|---|")
    for stack, groups in results.memory.items():
        for group, (pss, private) in sorted(groups.items()):
            yield f"| {stack} | {group} | {pss:.1f} | {private:.1f} |"
    yield from ("", "## Start-up to the first 200", "", "| stack | ratio |", "|---|---|")
    for stack, seconds in results.startup.items():
        yield f"| {stack} | {seconds / results.startup[OURS]:.2f} |"
    for chapter in results.chapters:
        yield from ("", *chapter.text)
    if missing := [*results.missing, *(line for chapter in results.chapters for line in chapter.missing)]:
        yield from ("", "Not measured here:", "", *(f"- {line}" for line in missing))


def plot(results: Results) -> str:
    """A bar per stack: CPU per small request, by group, ours = 1."""
    colours = {"web server": "#4c78a8", "core": "#f58518", "application": "#54a24b", "other": "#b0b0b0"}
    widest = max(_share(results, stack) for stack in results.runs)
    scale, y, bars = 460 / widest, 40, []
    for stack in results.runs:
        bars.append(f'<text x="190" y="{y + 17}" text-anchor="end">{html.escape(stack)}</text>')
        x = 200.0
        for group, colour in colours.items():
            width = _share(results, stack, group) * scale
            bars.append(
                f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="24" fill="{colour}"><title>{group}</title></rect>'
            )
            x += width
        bars.append(f'<text x="{x + 6:.1f}" y="{y + 17}">{_share(results, stack):.2f}</text>')
        y += 36
    for number, (group, colour) in enumerate(colours.items()):
        bars.append(f'<rect x="{200 + number * 120}" y="{y + 6}" width="12" height="12" fill="{colour}"/>')
        bars.append(f'<text x="{218 + number * 120}" y="{y + 16}">{group}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="720" height="{y + 36}" font-family="sans-serif" font-size="13">'
        '<rect width="100%" height="100%" fill="white"/><text x="10" y="22" font-size="15">CPU per small request (ours = 1)</text>'
        + "".join(bars)
        + "</svg>\n"
    )
