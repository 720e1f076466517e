"""The same Node application under ours and under Apache + Passenger (CPU of the core per request), and WebSockets.

    python -m tests.bench.node [--seconds 2] [--rounds 5] [--messages 3000]

The WebSocket is echoed by the application directly, through nginx alone, and through nginx and our core; ratios round by
round, since only what was measured within seconds can be compared. Part of `./dev bench`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.bench import measure, stacks
from tests.bench.report import Budget, Chapter
from tests.support.running import free_port
from tests.support.websocket_client import WebSocket

NODE = "/usr/bin/node"
TUNNEL = (
    "proxy_pass http://127.0.0.1:{port}; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
    "proxy_set_header Connection upgrade;"
)


def ours(folder: Path, port: int, app: Path) -> stacks.Stack:
    """This product; Node needs no second process for parallel requests, and gets the same number as its peer."""
    stack = stacks.ours(folder, port, app)
    config = folder / "passenger.toml"
    config.write_text("".join(x for x in config.read_text().splitlines(keepends=True) if not x.startswith("python ")))
    stack.group_of = group_of
    return stack


def apache_passenger(folder: Path, port: int, app: Path) -> stacks.Stack:
    """Debian's Apache + Passenger, its Node loader."""
    stack = stacks.apache_passenger(folder, port, app)
    config = folder / "apache.conf"
    text = config.read_text().replace("PassengerAppType wsgi", f"PassengerAppType node\nPassengerNodejs {NODE}")
    config.write_text(text.replace("PassengerStartupFile passenger_wsgi.py", "PassengerStartupFile app.js"))
    stack.group_of = group_of
    return stack


def nginx_alone(folder: Path, port: int, app: Path) -> stacks.Stack:
    """nginx in front of the application, nothing between them."""
    direct = free_port()
    serve = ["/usr/bin/env", f"PORT={direct}", NODE, str(app / "app.js")]
    nginx = stacks._nginx(folder, port, TUNNEL.format(port=direct))
    return stacks.Stack("nginx alone", [serve, nginx], port, folder, group_of)


def group_of(process: psutil.Process, line: str) -> stacks.Group:
    if "node" in Path(line.split(" ", 1)[0]).name or "Passenger NodeApp" in line or "node-loader" in line:
        return "application"
    if "nginx" in line or "apache2" in line:
        return "web server"
    return "core" if "passenger.core" in line or "Passenger core" in line or "PassengerAgent core" in line else "other"


def round_trips(port: int, count: int) -> float:
    """Microseconds of the median round trip of a small message."""
    times = []
    with socket.create_connection(("127.0.0.1", port), timeout=20) as stream:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        chat = WebSocket(stream)
        for number in range(count + 100):
            began = time.perf_counter()
            chat.send("a small message")
            chat.receive()
            if number >= 100:
                times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e6


def requests(started: dict[str, stacks.Stack], load: measure.Load, seconds: int, scratch: Path) -> list[measure.Run]:
    """One run of each that serves requests: ours, then the peer if it is there."""
    names = [name for name in ("ours", "apache_passenger") if name in started]
    return [measure.run(started[name], load, seconds, scratch) for name in names]


@dataclass
class Figures:
    """Round by round."""

    runs: list[list[measure.Run]] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)
    through: list[float] = field(default_factory=list)


def chapter(scratch: Path, *, rounds: int, seconds: int, messages: int) -> Chapter:
    """Everything about Node.js."""
    if shutil.which(NODE) is None:
        return Chapter(budgets=[], text=[], missing=["Node.js: the Debian package nodejs is not installed"])
    makers, missing = [ours, nginx_alone], []
    if stacks.PASSENGER_MODULE.exists() and stacks.PASSENGER_ROOT.exists():
        makers.append(apache_passenger)
    else:
        missing.append("Node.js under Passenger: the Debian package libapache2-mod-passenger is not installed")
    found = measured(makers, scratch, rounds=rounds, seconds=seconds, messages=messages)
    return Chapter(budgets=budgets(found), text=text(found), missing=missing)


def measured(
    makers: Sequence[Callable[[Path, int, Path], stacks.Stack]],
    scratch: Path,
    *,
    rounds: int,
    seconds: int,
    messages: int,
) -> Figures:
    """All of them up at the same time; in each round one after the other."""
    app = Path(shutil.copytree(Path(__file__).with_name("nodeapp"), scratch / "nodeapp"))
    for path in (app, *app.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    started: dict[str, stacks.Stack] = {}
    found = Figures()
    try:
        for maker in makers:
            folder = scratch / f"node-{maker.__name__}"
            folder.mkdir(mode=0o755)
            started[maker.__name__] = stack = maker(folder, free_port(), app)
            stack.start()
            measure.wait_for_answer(stack)
        for _ in range(rounds):
            found.runs.append(requests(started, measure.LOADS["small"], seconds, scratch))
            found.alone.append(round_trips(started["nginx_alone"].port, messages))
            found.through.append(round_trips(started["ours"].port, messages))
    finally:
        for stack in started.values():
            stack.stop()
    return found


def budgets(found: Figures) -> list[Budget]:
    """What the issue asks for."""
    cores = [pair[0].cpu["core"] / pair[1].cpu["core"] for pair in found.runs if len(pair) == 2]
    echoes = [through / alone for through, alone in zip(found.through, found.alone, strict=True)]
    return [
        Budget(
            "our core : Passenger's core, Node.js (http_session)",
            statistics.median(cores) if cores else None,
            0.8,
            cores,
        ),
        Budget("WebSocket echo, p50, through nginx and core : nginx alone", statistics.median(echoes), 2.0, echoes),
    ]


def text(found: Figures) -> list[str]:
    """CPU per request of each group over that of our core."""
    lines = [
        "## Node.js: a small request (CPU, share of our core's)",
        "",
        "| stack | group | share |",
        "|---|---|---|",
    ]
    for number, name in enumerate(("nginx + ours", "Apache + Passenger 6.0.17")):
        pairs = [(runs[number], runs[0]) for runs in found.runs if number < len(runs)]
        for group in sorted(pairs[0][0].cpu if pairs else ()):
            share = statistics.median(run.cpu[group] / base.cpu["core"] for run, base in pairs)
            lines.append(f"| {name} | {group} | {share:.2f} |")
    return lines


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.bench.node", description=__doc__)
    options.add_argument("--seconds", type=int, default=2)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--messages", type=int, default=3000)
    chosen = options.parse_args()
    print(f"load average {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="pb", dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        found = chapter(Path(name), rounds=chosen.rounds, seconds=chosen.seconds, messages=chosen.messages)
    print("\n".join(found.text))
    for line in (*map(str, found.budgets), *found.missing):
        print(line)
    return 1 if any(budget.is_missed for budget in found.budgets) else 0


if __name__ == "__main__":
    sys.exit(main())
