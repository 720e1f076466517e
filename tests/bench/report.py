"""The figures as a page: ratios against ours in one run, a table per question and a plot."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench.measure import Run
from tests.bench.stacks import Group

PATHS = {"/": "hello", "/headers": "20 headers", "/64k": "64 KiB", "/1m": "1 MiB"}


@dataclass(frozen=True, slots=True)
class Budget:
    """A promise of the design: a figure of ours over one of a peer's, at most `limit`."""

    what: str
    ratio: float | None
    limit: float


@dataclass(frozen=True, slots=True)
class Results:
    """Everything that was measured: stack -> path -> runs; stack -> memory; stack -> seconds to the first answer."""

    runs: Mapping[str, Mapping[str, Sequence[Run]]]
    memory: Mapping[str, Mapping[Group, tuple[float, float]]]
    startup: Mapping[str, float]
    missing: Sequence[str]


OURS, APACHE, GUNICORN, UWSGI = "nginx + ours", "Apache + Passenger 6.0.17", "nginx + Gunicorn (sync)", "nginx + uWSGI"


def cpu(results: Results, stack: str, path: str, group: Group | None = None) -> float:
    """Median microseconds per request, of a group or of the whole stack."""
    return median(run.cpu_total if group is None else run.cpu.get(group, 0.0) for run in results.runs[stack][path])


def budgets(results: Results) -> list[Budget]:
    """The budget lines of design section 8, for the small request."""

    def ratio(group: Group | None, peer: str) -> float | None:
        if peer not in results.runs:
            return None
        theirs = cpu(results, peer, "/", group)
        return cpu(results, OURS, "/", group) / theirs if theirs else None

    return [
        Budget("our core : Passenger's core", ratio("core", APACHE), 0.65),
        Budget("our WSGI loader : Passenger's Python loader", ratio("application", APACHE), 0.4),
        Budget("whole stack : Apache + Passenger", ratio(None, APACHE), 0.45),
        Budget("whole stack : nginx + Gunicorn (sync)", ratio(None, GUNICORN), 0.4),
        Budget("whole stack : nginx + uWSGI", ratio(None, UWSGI), 2.0),
    ]


def page(results: Results, machine: str) -> str:
    """docs/performance.md."""
    lines = [
        "# Performance",
        "",
        "Written by `./dev bench`. Every figure is a ratio inside one run on one machine: the stack's value divided by that of",
        f"`{OURS}`; absolute times of a shared machine mean nothing. {machine}",
        "",
        "![CPU per request](performance.svg)",
        "",
        "## Budget (CPU per small request)",
        "",
        "| | measured | budget | |",
        "|---|---|---|---|",
    ]
    lines += [*_budget_rows(results), *_runs(results), *_groups(results), *_rest(results)]
    return "\n".join(lines) + "\n"


def _budget_rows(results: Results) -> Iterator[str]:
    for budget in budgets(results):
        shown = "not measured" if budget.ratio is None else f"{budget.ratio:.2f}"
        verdict = "-" if budget.ratio is None else ("kept" if budget.ratio <= budget.limit else "**missed**")
        yield f"| {budget.what} | {shown} | {budget.limit:.2f} | {verdict} |"


def _runs(results: Results) -> Iterator[str]:
    """A table per path."""
    for path, title in PATHS.items():
        yield from ("", f"## {title}", "")
        yield from ("| stack | requests/s | p50 | p99 | CPU per request | errors |", "|---|---|---|---|---|---|")
        base = results.runs[OURS][path]
        for stack, runs in results.runs.items():
            figures = [
                _ratio([run.rate for run in runs[path]], [run.rate for run in base]),
                _ratio([run.p50 for run in runs[path]], [run.p50 for run in base]),
                _ratio([run.p99 for run in runs[path]], [run.p99 for run in base]),
                _ratio([run.cpu_total for run in runs[path]], [run.cpu_total for run in base]),
            ]
            yield f"| {stack} | " + " | ".join(figures) + f" | {sum(run.errors for run in runs[path])} |"


def _groups(results: Results) -> Iterator[str]:
    """Whose CPU time it is."""
    yield from ("", "## Where the CPU goes (small request, share of our whole stack)", "")
    yield from ("| stack | group | share |", "|---|---|---|")
    whole = cpu(results, OURS, "/")
    for stack, by_path in results.runs.items():
        for group in sorted(by_path["/"][0].cpu):
            yield f"| {stack} | {group} | {cpu(results, stack, '/', group) / whole:.2f} |"


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
    if results.missing:
        yield from ("", "Not measured here:", "", *(f"- {line}" for line in results.missing))


def _ratio(theirs: Sequence[float], base: Sequence[float]) -> str:
    return f"{median(theirs) / median(base):.2f}"


def plot(results: Results) -> str:
    """A bar per stack: CPU per small request, by group, ours = 1."""
    colours = {"web server": "#4c78a8", "core": "#f58518", "application": "#54a24b", "other": "#b0b0b0"}
    whole = cpu(results, OURS, "/")
    widest = max(cpu(results, stack, "/") for stack in results.runs) / whole
    scale, y, bars = 460 / widest, 40, []
    for stack, by_path in results.runs.items():
        bars.append(f'<text x="190" y="{y + 17}" text-anchor="end">{html.escape(stack)}</text>')
        x = 200.0
        for group, colour in colours.items():
            width = cpu(results, stack, "/", group) / whole * scale if group in by_path["/"][0].cpu else 0.0
            bars.append(
                f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="24" fill="{colour}"><title>{group}</title></rect>'
            )
            x += width
        bars.append(f'<text x="{x + 6:.1f}" y="{y + 17}">{cpu(results, stack, "/") / whole:.2f}</text>')
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
