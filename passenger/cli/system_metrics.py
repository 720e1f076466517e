"""`passenger-config system-metrics`: how busy this machine is, once or again and again."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from passenger.cli.options import examples, format_option
from passenger.cli.poolview import MIB, duration, stamp
from passenger.errors import EXIT_OK

INTERVAL: Final = 0.5
"""Seconds over which rates are measured when it is shown once."""
PRESSURES: Final = ("cpu", "io", "memory")


@click.command(epilog=examples("passenger-config system-metrics", "passenger-config system-metrics --watch 5"))
@format_option("text", "json")
@click.option("--watch", type=click.FloatRange(min=0.1), metavar="SECONDS", help="Show it again every SECONDS.")
@click.option("--no-cpu", is_flag=True, help="Leave out CPUs.")
@click.option("--no-memory", is_flag=True, help="Leave out memory and swap.")
@click.option("--no-general", is_flag=True, help="Leave out kernel, uptime, load, pressure.")
def system_metrics(*, form: str, watch: float | None, no_cpu: bool, no_memory: bool, no_general: bool) -> int:
    """Show kernel, uptime, load, fork rate, CPUs, pressure, memory and swap of this machine.

    Rates are those of the time between two pictures, half a second when there is only one.
    """
    left_out = [name for name, out in (("general", no_general), ("cpu", no_cpu), ("memory", no_memory)) if out]
    before = _forks()
    began = time.monotonic()
    _cpu()  # percentages count from the question before
    while True:
        time.sleep(watch or INTERVAL)
        now, forks = time.monotonic(), _forks()
        found = measured((forks - before) / (now - began))
        before, began = forks, now
        shown = {name: value for name, value in found.items() if name not in left_out}
        if form == "json":
            print(json.dumps(shown, indent=2 if watch is None else None), flush=True)
        else:
            print("\n".join(lines(shown)), flush=True)
        if watch is None:
            return EXIT_OK


def measured(fork_rate: float) -> dict[str, Any]:
    """The figures of now. Memory is bytes, CPU is percent."""
    import psutil

    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    return {
        "time": time.time(),
        "general": {
            "kernel": platform.release(),
            "uptime": time.time() - psutil.boot_time(),
            "load": list(psutil.getloadavg()),
            "fork_rate": round(fork_rate, 1),
            "pressure": {name: share for name in PRESSURES if (share := _pressure(name)) is not None},
        },
        "cpu": _cpu(),
        "memory": {
            "total": memory.total,
            "used": memory.total - memory.available,
            "available": memory.available,
            "swap_total": swap.total,
            "swap_used": swap.used,
        },
    }


def lines(found: dict[str, Any]) -> Iterator[str]:
    """The same as text."""
    yield stamp(found["time"])
    if general := found.get("general"):
        load = "  ".join(f"{value:.2f}" for value in general["load"])
        yield f"Kernel {general['kernel']}, up {duration(general['uptime'])}"
        yield f"Load averages: {load}   Forks: {general['fork_rate']}/s"
        if general["pressure"]:
            stalls = "  ".join(f"{name} {value:.1f}%" for name, value in general["pressure"].items())
            yield f"Time that something waited (10 s): {stalls}"
    for number, cpu in enumerate(found.get("cpu") or ()):
        shares = "  ".join(f"{name} {value:5.1f}%" for name, value in cpu.items())
        yield f"CPU {number + 1}: {shares}"
    if memory := found.get("memory"):
        yield f"Memory: {_mib(memory['used'])} of {_mib(memory['total'])} used, {_mib(memory['available'])} available"
        yield f"Swap: {_mib(memory['swap_used'])} of {_mib(memory['swap_total'])} used"
    yield ""


def _cpu() -> list[dict[str, float]]:
    import psutil

    return [
        {
            "user": cpu.user,
            "nice": cpu.nice,
            "system": cpu.system,
            "iowait": cpu.iowait,
            "steal": cpu.steal,
            "idle": cpu.idle,
        }
        for cpu in psutil.cpu_times_percent(percpu=True)
    ]


def _forks() -> int:
    for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
        if line.startswith("processes "):
            return int(line.split()[1])
    return 0


def _pressure(what: str) -> float | None:
    """Percent of the last 10 s in which something had to wait; None where the kernel does not say."""
    try:
        first = Path(f"/proc/pressure/{what}").read_text(encoding="ascii").split()
    except OSError:
        return None
    return next((float(word.partition("=")[2]) for word in first if word.startswith("avg10=")), None)


def _mib(size: int) -> str:
    return f"{size / MIB:.0f} MB"
