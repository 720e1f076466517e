"""What telemetry of every request costs the core: a core without it and one with it, loaded in turns.

    python -m tests.bench.telemetry_cost [--turns 60] [--requests 1000]

Both stand all the time and get the same requests, a block each, in changing order; of each pair of blocks the ratio of
CPU times counts, of all pairs the median. What else runs on the machine meets both.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.bench.core_request import Stand, scgi_request

BUDGET = 1.10
WITHOUT, WITH = "handler", "told"


def ratios(turns: int, requests: int, headers: int) -> tuple[list[float], dict[str, float]]:
    """(with / without of each turn, median of CPU microseconds per request by kind)."""
    request = scgi_request(headers)
    used: dict[str, list[float]] = {WITHOUT: [], WITH: []}
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="pp") as folder, ExitStack() as stack:
        stands = {kind: stack.enter_context(Stand(kind, Path(folder))) for kind in used}
        for stand in stands.values():
            stand.load(request, 3000, 16)
        for turn in range(turns):
            for kind in sorted(stands, reverse=bool(turn % 2)):
                used[kind].append(stands[kind].load(request, requests, 16))
    pairs = zip(used[WITHOUT], used[WITH], strict=True)
    return [told / plain for plain, told in pairs], {kind: statistics.median(found) for kind, found in used.items()}


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--turns", type=int, default=60)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--headers", type=int, default=6)
    args = parser.parse_args(words)
    found, medians = ratios(args.turns, args.requests, args.headers)
    low, middle, high = statistics.quantiles(found, n=4)
    print(f"CPU of the core per request: {medians[WITHOUT]:.1f} us without telemetry, {medians[WITH]:.1f} us with it")
    word = "within" if middle <= BUDGET else "MISSED:"
    print(f"ratio {middle:.3f} (half of all turns: {low:.3f} to {high:.3f}); {word} the budget of {BUDGET:.2f}")
    return 0 if middle <= BUDGET else 1


if __name__ == "__main__":
    raise SystemExit(main())
