"""The same Node application under ours and under Apache + Passenger (CPU of the core per request), and WebSockets.

    python -m tests.bench.node [--seconds 2] [--rounds 5] [--messages 3000]

The WebSocket is echoed by the application directly, through nginx alone, and through nginx and our core; ratios round by
round, since only what was measured within seconds can be compared.
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
from pathlib import Path

import psutil

from tests.bench import measure, stacks
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


def requests(started: dict[str, stacks.Stack], load: measure.Load, seconds: int, scratch: Path) -> float | None:
    """One run of each that serves requests; returns the ratio of the cores, ours to the peer's."""
    cores = {}
    for name in ("ours", "apache_passenger"):
        if name in started:
            run = measure.run(started[name], load, seconds, scratch)
            cores[name] = run.cpu.get("core", 0.0)
            parts = ", ".join(f"{group} {used:.0f}" for group, used in sorted(run.cpu.items()))
            print(f"  {started[name].name}: {run.rate:.0f}/s, {run.errors} errors, us CPU per request: {parts}")
    return cores["ours"] / cores["apache_passenger"] if len(cores) == 2 else None


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.bench.node", description=__doc__)
    options.add_argument("--seconds", type=int, default=2)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--messages", type=int, default=3000)
    chosen = options.parse_args()
    makers = [ours, nginx_alone]
    if stacks.PASSENGER_MODULE.exists() and stacks.PASSENGER_ROOT.exists():
        makers.append(apache_passenger)
    else:
        print("Apache + Passenger: the Debian package libapache2-mod-passenger is not installed", file=sys.stderr)
    started: dict[str, stacks.Stack] = {}
    cores: list[float] = []
    echoes: list[float] = []
    with tempfile.TemporaryDirectory(prefix="pb", dir="/var/tmp") as name:
        scratch = Path(name)
        scratch.chmod(0o755)
        app = Path(shutil.copytree(Path(__file__).with_name("nodeapp"), scratch / "app"))
        for path in (app, *app.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        try:
            for maker in makers:
                folder = scratch / maker.__name__
                folder.mkdir(mode=0o755)
                started[maker.__name__] = stack = maker(folder, free_port(), app)
                stack.start()
                measure.wait_for_answer(stack)
            print(f"load average {os.getloadavg()[0]:.1f}")
            for number in range(chosen.rounds):
                print(f"round {number + 1}")
                ratio = requests(started, measure.LOADS["small"], chosen.seconds, scratch)
                cores += [] if ratio is None else [ratio]
                alone = round_trips(started["nginx_alone"].port, chosen.messages)
                through = round_trips(started["ours"].port, chosen.messages)
                echoes.append(through / alone)
                print(f"  WebSocket echo, p50: nginx alone {alone:.0f} us, nginx and core {through:.0f} us")
        finally:
            for stack in started.values():
                stack.stop()
    if cores:
        print(f"core, ours / Passenger 6.0.17, median of rounds: {statistics.median(cores):.2f} (budget 0.80)")
    print(f"WebSocket echo, with core / nginx alone, median of rounds: {statistics.median(echoes):.2f} (budget 2.00)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
