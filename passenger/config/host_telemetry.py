"""What the sinks of UstRouter need of this machine: a package, and folders that its user may write to."""

from __future__ import annotations

from posixpath import dirname
from typing import Final

from passenger.config.access import Access
from passenger.config.diagnostics import Path
from passenger.config.findings import Findings
from passenger.config.host import Host, Person
from passenger.config.instance import Instance
from passenger.log import printable

PACKAGES: Final = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
NGINX_USERS: Final = ("www-data", "nginx", "nobody")
"""Whose workers run when `nginx.user` is left out: the first that exists."""


def check_telemetry(name: str, instance: Instance, findings: Findings, *, host: Host, access: Access) -> None:
    """Report sinks that could not be served."""
    section = instance.telemetry
    here: Path = ("instances", name, "telemetry")
    if section.otlp.endpoint and not all(host.has_package(package) for package in PACKAGES):
        findings.add(
            "E460",
            (*here, "otlp", "endpoint"),
            "OTLP needs packages that are not installed beside Passenger",
            label="no OpenTelemetry SDK",
            help="install the extra: `pip install 'passenger-in-python[telemetry]'`",
        )
    user = _router_user(instance, host)
    if user is None:  # that is said elsewhere
        return
    if section.has_sinks() and section.spool is not None:
        _folder(section.spool, (*here, "spool"), "spool", user, findings, access)
    if section.json_lines.file is not None:
        _folder(dirname(section.json_lines.file), (*here, "json_lines", "file"), "file", user, findings, access)


def _router_user(instance: Instance, host: Host) -> Person | None:
    """As `cli.planning` has it: the user of the nginx workers, or who starts the instance."""
    if host.myself.uid != 0:
        return host.myself
    names = (instance.nginx.user,) if instance.nginx.user is not None else NGINX_USERS
    return next((person for name in names if (person := host.person(name)) is not None), None)


def _folder(folder: str, path: Path, what: str, user: Person, findings: Findings, access: Access) -> None:
    try:
        facts = access.facts(folder)
        if facts is None:
            problem = "does not exist"
        elif not facts.is_folder:
            problem = "is not a folder"
        elif access.closed(user, folder, "write"):
            problem = f"cannot be written by {user.name}"
        else:
            return
    except PermissionError:
        problem = "cannot be reached"
    findings.add(
        "E461",
        path,
        f"the folder {printable(folder)} {problem}, where UstRouter keeps its {what}",
        label=problem,
        help=f"make a folder of its own that belongs to {user.name}",
    )
