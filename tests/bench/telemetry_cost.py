"""What telemetry of every request costs the core: a core without it and one with it, loaded in turns.

    python -m tests.bench.telemetry_cost [--turns 60] [--requests 1000] [--served 20]

Both stand all the time and get the same requests, a block each, in changing order; of each pair of blocks the ratio of
CPU times counts, of all pairs the median. What else runs on the machine meets both.

First the core alone, as busy as it can be, with a reader in the place of UstRouter. Then `--served` turns of two whole
instances behind nginx, with a WSGI application, UstRouter and a collector of OTLP, one request after the other.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.bench.core_request import Stand, scgi_request
from tests.support.collector import collecting
from tests.support.installation import hand_over, install
from tests.support.running import RunningInstance, free_port, running

BUDGET = 1.10
WITHOUT, WITH = "handler", "told"
APP = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Hello, world!"]
"""
CONFIG = """
config_version = 1
[instances.main.nginx]
listen = ["127.0.0.1:{port}"]
access_log = "off"
{sink}
[apps.hello]
app_root = "{root}"
min_instances = 2
max_instances = 2
"""
SINK = '[instances.main.telemetry.otlp]\nendpoint = "http://127.0.0.1:{port}"'


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


class Served:
    """An instance with one application."""

    def __init__(self, instance: RunningInstance, port: int) -> None:
        instance.wait_started()
        self._url = f"http://127.0.0.1:{port}/"
        parts = instance.status()["components"]
        self._core = next(part["pid"] for part in parts if part["name"] == "core")

    def load(self) -> float:
        """CPU microseconds of its core per request."""
        before = self._used()
        done = subprocess.run(
            ["wrk", "-t1", "-c1", "-d1s", self._url], check=True, capture_output=True, text=True, timeout=60
        )
        found = re.search(r"(\d+) requests in", done.stdout)
        assert found, done.stdout
        assert "Non-2xx" not in done.stdout, done.stdout
        return (self._used() - before) / int(found[1])

    def _used(self) -> float:
        """Microseconds, from a clock of nanoseconds (proc(5), schedstat)."""
        return int(Path(f"/proc/{self._core}/schedstat").read_text().split()[0]) / 1e3


def served_ratios(turns: int) -> list[float]:
    """With / without of each turn, through nginx."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="pb") as name, ExitStack() as stack:
        place = Path(name)
        place.chmod(0o755)
        root = place / "hello"
        root.mkdir()
        (root / "passenger_wsgi.py").write_text(APP)
        hand_over(root)
        passenger = install(place).passenger
        collector = stack.enter_context(collecting())
        instances = []
        for kind, sink in ((WITHOUT, ""), (WITH, SINK.format(port=collector.port))):
            folder, port = place / kind, free_port()
            folder.mkdir()
            config = folder / "passenger.toml"
            config.write_text(CONFIG.format(port=port, sink=sink, root=root))
            instances.append(Served(stack.enter_context(running(passenger, config)), port))
        for instance in instances:
            instance.load()
        found = []
        for turn in range(turns):
            used = {one: one.load() for one in sorted(instances, key=instances.index, reverse=bool(turn % 2))}
            found.append(used[instances[1]] / used[instances[0]])
        return found


def judged(what: str, found: list[float]) -> bool:
    """Say it; whether it is within the budget."""
    low, middle, high = statistics.quantiles(found, n=4)
    word = "within" if middle <= BUDGET else "MISSED:"
    print(f"{what}: ratio {middle:.3f} (half of all turns: {low:.3f} to {high:.3f}); {word} the budget of {BUDGET:.2f}")
    return middle <= BUDGET


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--turns", type=int, default=60)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--headers", type=int, default=6)
    parser.add_argument("--served", type=int, default=20)
    args = parser.parse_args(words)
    found, medians = ratios(args.turns, args.requests, args.headers)
    print(f"CPU of the core per request: {medians[WITHOUT]:.1f} us without telemetry, {medians[WITH]:.1f} us with it")
    kept = [judged("the core alone, as busy as it can be", found)]
    if args.served:
        kept.append(judged("through nginx, one request after the other", served_ratios(args.served)))
    return 0 if all(kept) else 1


if __name__ == "__main__":
    raise SystemExit(main())
