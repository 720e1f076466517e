"""`passenger doctor`: is this machine fit for this configuration, and if not, what is to be done?"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from passenger.cli.checks import Finding, finding_lines, good, worst
from passenger.cli.colour import wants_colour
from passenger.cli.configuration import LOCAL_FILE, SYSTEM_FILE, judge, validation_host
from passenger.cli.installation import installation, nginx
from passenger.cli.options import examples, format_option, registry_option, set_option
from passenger.errors import EXIT_FAILED, EXIT_INVALID_CONFIGURATION, EXIT_OK

if TYPE_CHECKING:
    from passenger.config.load import Loaded


@click.command(
    epilog=examples(
        "passenger doctor", "passenger doctor /etc/passenger/passenger.toml", "passenger doctor --format json"
    )
)
@click.argument("file", metavar="[CONFIG]", required=False)
@set_option
@registry_option
@format_option("text", "json")
def doctor(*, file: str | None, sets: tuple[str, ...], registry: str | None, form: str) -> int:
    """Check this host: the installation, nginx, the configuration, every application's interpreter, limits and sizes,
    registries, and the instances that run.

    CONFIG is ./passenger.toml, else /etc/passenger/passenger.toml, when left out. Nothing is changed.
    Exit status 0: fit (warnings may be there). 1: something fails. 78: the configuration is invalid.
    """
    findings, valid = examine(file, sets, registry)
    if form == "json":
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        print("\n".join(finding_lines(findings, colour=wants_colour(sys.stdout, os.environ))))
    if not valid:
        return EXIT_INVALID_CONFIGURATION
    return EXIT_FAILED if worst(findings) == "fail" else EXIT_OK


def examine(file: str | None, sets: tuple[str, ...], registry: str | None) -> tuple[list[Finding], bool]:
    """Every finding, and whether the configuration (if there is one) is valid."""
    from passenger.cli.host_findings import open_files, registry_findings, room, running_findings, sizing
    from passenger.cli.running import running_instances
    from passenger.posix.cgroup import cpu_room, memory_room

    findings = list(installation())
    loaded = _loaded(file, sets)
    findings += _configuration(loaded)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    cpu, mem = cpu_room(), memory_room()
    findings += room(cpu, mem)
    cpus, memory = cpu.amount, mem.amount
    if loaded is None or loaded.config is None:
        findings += [sizing(cpus, memory, None), open_files(hard, None)]
    else:
        findings += _of_configuration(loaded, cpus, memory, hard)
    findings += registry_findings(registry)
    findings += running_findings(running_instances(registry))
    return findings, loaded is None or loaded.config is not None


def _loaded(file: str | None, sets: tuple[str, ...]) -> Loaded | None:
    """None when there is no configuration and none was named."""
    cwd = str(Path.cwd())
    if file is None:
        file = next((name for name in (LOCAL_FILE, SYSTEM_FILE) if (Path(cwd) / name).exists()), None)
    if file is None:
        return None
    from passenger.cli.own_ports import ports_of_file

    own_ports = ports_of_file(str(Path(cwd) / file), environ=os.environ, euid=os.geteuid())
    return judge(
        file, cwd=cwd, flags=sets, environ=os.environ, host=validation_host(only_looks=True), own_ports=own_ports
    )


def _configuration(loaded: Loaded | None) -> Iterator[Finding]:
    if loaded is None:
        yield good("configuration", f"none: neither ./{LOCAL_FILE} nor {SYSTEM_FILE}")
        return
    for found in loaded.diagnostics:
        place = "" if found.span is None else f"{found.span.file}:{found.span.line}: "
        todo = "; ".join(filter(None, (found.label, found.help)))
        yield Finding("fail" if found.severity == "error" else "warn", found.code, place + found.message, todo)
    if loaded.config is not None and loaded.document is not None:
        yield good("configuration", ", ".join(loaded.document.files))


def _of_configuration(loaded: Loaded, cpus: float, memory: int | None, hard: int) -> Iterator[Finding]:
    from passenger.cli.host_findings import open_files, sizing
    from passenger.cli.interpreter_versions import app_finding
    from passenger.config.model import of_instance
    from passenger.webserver.binary import needed_modules

    assert loaded.config is not None
    for name in loaded.config.instances:
        config = of_instance(loaded.config, name)
        section = config.instance.nginx
        if section.mode == "managed" and (section.binary is not None or needed_modules(section)):
            yield nginx(section.binary, needed_modules(section))
        yield sizing(cpus, memory, config)
        yield open_files(hard, config)
        for app in config.apps:
            yield app_finding(app, config)
