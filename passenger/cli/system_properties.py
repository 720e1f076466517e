"""`passenger-config system-properties`: what this machine is, as JSON, for bug reports and inventories."""

from __future__ import annotations

import json
import platform
import socket
from pathlib import Path
from typing import Any

import click

from passenger import __version__
from passenger.cli.options import examples
from passenger.errors import EXIT_OK
from passenger.posix.cgroup import visible_cpus, visible_memory

OS_RELEASE = "/etc/os-release"


@click.command(epilog=examples("passenger-config system-properties"))
def system_properties() -> int:
    """Print names, addresses, operating system and size of this machine as JSON."""
    print(json.dumps(properties(), indent=2))
    return EXIT_OK


def properties(*, os_release: str = OS_RELEASE) -> dict[str, Any]:
    """What is known about the machine; nothing is asked over the network."""
    import psutil

    addresses = {
        name: [found.address for found in listed if found.family in {socket.AF_INET, socket.AF_INET6}]
        for name, listed in psutil.net_if_addrs().items()
    }
    return {
        "passenger_version": __version__,
        "hostname": socket.gethostname(),
        "os": _os_name(os_release),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "cpus": psutil.cpu_count(),
        "cpus_of_cgroup": visible_cpus(),
        "memory": psutil.virtual_memory().total,
        "memory_of_cgroup": visible_memory(),
        "interfaces": addresses,
    }


def _os_name(file: str) -> str:
    try:
        lines = Path(file).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.system()
    names = [line.partition("=")[2].strip("\"'") for line in lines if line.startswith("PRETTY_NAME=")]
    return names[0] if names else platform.system()
