"""One measurement: a bounded closed-loop run of wrk against a stack, with the CPU time of each process group around it."""

from __future__ import annotations

import http.client
import re
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.bench.stacks import Group, Stack


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked for, by how many connections at a time."""

    path: str
    connections: int
    title: str


LOADS = {
    "small": Load("/", 16, "A small response, 16 connections: every worker is busy"),
    "calm": Load("/", 4, "A small response, 4 connections: some workers are idle"),
    "single": Load("/", 1, "A small response, one request at a time: all workers but one are idle"),
    "headers": Load("/headers", 16, "A small response with 20 headers, 16 connections"),
    "64k": Load("/64k", 16, "64 KiB, 16 connections"),
    "1m": Load("/1m", 16, "1 MiB, 16 connections"),
}
LATENCY_LUA = """
done = function(summary, latency, requests)
  io.write(string.format("RESULT %d %d %d %.1f %.1f\\n", summary.requests, summary.duration,
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True, slots=True)
class Run:
    """Figures of one run. CPU in microseconds per request, latencies in milliseconds."""

    rate: float
    p50: float
    p99: float
    errors: int
    cpu: dict[Group, float]

    @property
    def cpu_total(self) -> float:
        return sum(self.cpu.values())


def wait_for_answer(stack: Stack, timeout: float = 60.0) -> float:
    """Seconds from now to the first 200."""
    begin = time.monotonic()
    pause = threading.Event()
    while time.monotonic() - begin < timeout:
        connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=10)
        try:
            connection.request("GET", "/")
            response = connection.getresponse()
            response.read()
            if response.status == 200:
                return time.monotonic() - begin
        except OSError:
            pass
        finally:
            connection.close()
        pause.wait(0.005)
    raise RuntimeError(f"{stack.name} does not answer:\n" + (stack.folder / "log").read_text()[-3000:])


def _cpu(stack: Stack) -> dict[Group, float]:
    used: dict[Group, float] = {}
    for group, processes in stack.groups().items():
        for process in processes:
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            used[group] = used.get(group, 0.0) + times.user + times.system
    return used


def run(stack: Stack, load: Load, seconds: int, scratch: Path) -> Run:
    """wrk for some seconds."""
    script = scratch / "latency.lua"
    script.write_text(LATENCY_LUA)
    before = _cpu(stack)
    done = subprocess.run(
        [
            "wrk",
            "-t1",
            f"-c{load.connections}",
            f"-d{seconds}s",
            "--timeout",
            "10s",
            "-s",
            str(script),
            f"http://127.0.0.1:{stack.port}{load.path}",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + 60,
    )
    after = _cpu(stack)
    found = re.search(r"RESULT (\d+) (\d+) (\d+) ([\d.]+) ([\d.]+)", done.stdout)
    assert found, done.stdout
    requests, duration, errors = int(found[1]), int(found[2]) / 1e6, int(found[3])
    cpu = {group: (after[group] - before.get(group, 0.0)) / max(requests, 1) * 1e6 for group in after}
    return Run(requests / duration, float(found[4]) / 1000, float(found[5]) / 1000, errors, cpu)


def memory(stack: Stack) -> dict[Group, tuple[float, float]]:
    """MiB per group: sum of PSS, sum of private memory."""
    used: dict[Group, tuple[float, float]] = {}
    for group, processes in stack.groups().items():
        for process in processes:
            try:
                full = process.memory_full_info()
            except psutil.Error:
                continue
            pss, private = used.get(group, (0.0, 0.0))
            used[group] = (pss + full.pss / 2**20, private + full.uss / 2**20)
    return used
