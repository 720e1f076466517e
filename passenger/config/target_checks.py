"""What a configuration and the place where it is to run do not agree about (E51x, W51x)."""

from __future__ import annotations

import ipaddress
from typing import Any, Final

from passenger.config import amounts
from passenger.config.bounds import CGROUP_CONTROLLERS, wants_cgroup
from passenger.config.build import Built
from passenger.config.cross import addresses, app_key
from passenger.config.diagnostics import Elsewhere, Path
from passenger.config.document import Document
from passenger.config.findings import Findings
from passenger.config.instance import Instance
from passenger.config.model import App
from passenger.config.target import SWITCHING, Fact, Target
from passenger.config.units import duration_text, size_text
from passenger.config.values import LOG_WORDS
from passenger.log import printable

LOWEST_FREE_PORT: Final = 1024
MARGIN: Final = 5.0
"""Seconds that ending takes beyond the drain: applications stop, the instance directory goes (convention E3)."""
_GRACE_KEY: Final = {
    "kubernetes": "`terminationGracePeriodSeconds`",
    "container": "`stop_grace_period`",
    "systemd": "`TimeoutStopSec=`",
}
_MEMORY_KEY: Final = {
    "kubernetes": "`resources.limits.memory`",
    "container": "`deploy.resources.limits.memory`",
    "systemd": "`MemoryMax=`",
}


class TargetChecks:
    """Checks one document against one target."""

    def __init__(self, document: Document, built: Built, findings: Findings, target: Target) -> None:
        self._document = document
        self._built = built
        self._findings = findings
        self._target = target
        self._apps = {name: app for name, app in built.config.apps.items() if built.is_whole("apps", name)}
        self._instances = {
            name: instance for name, instance in built.config.instances.items() if built.is_whole("instances", name)
        }

    def check(self) -> None:
        """Report everything."""
        for name, app in self._apps.items():
            self._user(name, app)
            self._cgroup(name, app)
            if app.cache.folder and (path := app_key(self._document, name, "cache", "folder")):
                self._writable(path, app.cache.folder, "the cache folder")
        listening = list(addresses(self._built))
        for path, (_, port) in listening:
            self._low_port(path, port)
        for name, instance in self._instances.items():
            self._reachable(name, instance)
            self._files(name, instance)
        self._published([port for _, (_, port) in listening])
        self._grace()
        self._memory()
        if self._target.daemonized.value:
            self._of_manifest(
                "E519", "the command goes into the background", self._target.daemonized, label="remove `--daemonize`"
            )

    # Applications

    def _user(self, name: str, app: App) -> None:
        why = self._target.no_switching
        for key, value in (("user", app.user), ("group", app.group)):
            path = app_key(self._document, name, key)
            if why.value and value is not None and path:
                self._findings.add(
                    "E510",
                    path,
                    f'app "{printable(name)}" cannot run as its own {key} there: {why.value}',
                    label=f"remove `{key}`, or run the whole as root with {', '.join(sorted(SWITCHING))}",
                    elsewhere=self._beside(why, "here"),
                )

    def _cgroup(self, name: str, app: App) -> None:
        why = self._target.no_cgroups
        if why.value and wants_cgroup(app):
            keys = [key for key in CGROUP_CONTROLLERS if getattr(app.cgroup, key) is not None]
            self._findings.add(
                "E520",
                app_key(self._document, name, "cgroup", keys[0]) or ("apps", name, "cgroup"),
                f'no cgroup can be made for app "{printable(name)}" there: {why.value}',
                at="key",
                label="use `memory_limit`, or the limits of the whole" if self._target.is_container else "",
                elsewhere=self._beside(why, "here"),
            )

    # Addresses

    def _low_port(self, path: Path, port: int) -> None:
        why = self._target.no_low_ports
        if why.value and port < LOWEST_FREE_PORT:
            self._findings.add(
                "E511",
                path,
                f"port {port} cannot be bound there: {why.value}",
                label=f"use a port from {LOWEST_FREE_PORT}, such as 8080",
                help="whoever is in front (a Service, `-p 80:8080`) can have any port",
                elsewhere=self._beside(why, "here"),
            )

    def _reachable(self, name: str, instance: Instance) -> None:
        if not self._target.is_container or instance.nginx.mode != "managed":
            return
        path: Path = ("instances", name, "nginx", "listen")
        if all(_is_loopback(listener.address) for listener in instance.nginx.listen):
            given = self._document.origin(path).kind != "default"
            self._findings.add(
                "E512",
                path if given else ("instances", name),
                f'instance "{printable(name)}" listens on loopback only: nothing outside the container reaches it',
                at="value" if given else "table",
                label="use 0.0.0.0" if given else 'set `nginx.listen = ["0.0.0.0:8080"]`',
                docs="instances.nginx.listen",
            )
        admin = instance.admin.listen
        asked = next((port for port in self._target.ports if admin and port.value == _port(admin)), None)
        if admin and asked and _is_loopback(admin):
            self._findings.add(
                "E512",
                ("instances", name, "admin", "listen"),
                "the probes' listener is on loopback, and whoever asks it comes from outside the container",
                label=f"use 0.0.0.0:{asked.value}",
                elsewhere=self._beside(asked, "asked here"),
            )

    def _published(self, listening: list[int]) -> None:
        for port in self._target.ports:
            if port.value not in listening and listening:
                self._of_manifest(
                    "E513", f"nothing listens on port {port.value}", port,
                    label="the configuration listens on " + ", ".join(map(str, sorted(set(listening)))),
                )  # fmt: skip

    # Files

    def _files(self, name: str, instance: Instance) -> None:
        base: Path = ("instances", name)
        log = instance.nginx.access_log
        if log not in LOG_WORDS:
            path = (*base, "nginx", "access_log")
            if not self._writable(path, log, "the access log") and self._target.is_container:
                self._findings.add(
                    "W518", path, "the access log is a file in a container: nobody sees, rotates or keeps it",
                    label="use `stdout`",
                )  # fmt: skip
        if instance.registry_dir is not None:
            self._writable((*base, "registry_dir"), instance.registry_dir, "the registry")

    def _writable(self, path: Path, file: str, what: str) -> bool:
        """Whether a complaint was made."""
        target = self._target
        is_open = any(file == folder or file.startswith(f"{folder.rstrip('/')}/") for folder in target.writable)
        if not target.read_only.value or is_open:
            return False
        listed = ", ".join(target.writable) or "nothing"
        self._findings.add(
            "E517",
            path,
            f"{what} {printable(file)} would lie on a file system that is read-only there",
            label="mount a volume there, or choose another place",
            help=f"may be written to: {listed}",
            elsewhere=self._beside(target.read_only, "read-only here"),
        )
        return True

    # Amounts

    def _grace(self) -> None:
        grace = self._target.grace
        if grace is None:
            return
        for name, instance in self._instances.items():
            watchdog = instance.watchdog
            needed = watchdog.drain_delay + watchdog.drain_timeout + MARGIN
            if grace.value < needed:
                path: Path = ("instances", name, "watchdog", "drain_timeout")
                given = self._document.origin(path).kind != "default"
                sums = f"{duration_text(watchdog.drain_delay)} + {duration_text(watchdog.drain_timeout)} + 5s"
                key = _GRACE_KEY[self._target.kind]
                self._findings.add(
                    "W514",
                    path if given else ("instances", name),
                    f"everything is killed {duration_text(grace.value)} after SIGTERM, and a stop may take "
                    f"{duration_text(needed)} (`drain_delay` + `drain_timeout` + 5s = {sums})",
                    at="value" if given else "table",
                    label=f"lower `drain_timeout`, or set {key} to {needed:g} seconds",
                    docs="instances.watchdog.drain_timeout",
                    elsewhere=self._beside(grace if grace.span else Fact(grace.value, self._target.workload),
                                   "the time is here" if grace.span else f"no {key}: {grace.value:g} s is the default"),
                )  # fmt: skip

    def _memory(self) -> None:
        memory, target = self._target.memory, self._target
        if memory is None:
            if not target.is_memory_bounded:
                self._of_manifest(
                    "W516", "no limit of memory: the pool is sized by the memory of the whole machine",
                    Fact("", target.workload), label=f"set {_MEMORY_KEY[target.kind]}",
                )  # fmt: skip
            return
        total, places = 0, []
        for name, app in self._apps.items():
            key = "hard_memory_limit" if app.hard_memory_limit else "memory_limit"
            limit = amounts.memory(app.hard_memory_limit or app.memory_limit, memory.value)
            path = app_key(self._document, name, key)
            if limit is not None and path is not None:
                count = app.max_instances or max(1, app.min_instances)
                total += count * limit
                places.append((path, f"{count} x {size_text(limit)}"))
        if places and total > memory.value:
            self._findings.add(
                "W515",
                places[0][0],
                f"the memory limits allow {size_text(total)}, and applications may take "
                f"{size_text(max(memory.value, 0))} there (the limit without volumes in memory)",
                label=places[0][1],
                help="lower the limits or `max_instances`, or the kernel may have to kill processes",
                also=tuple((path, "value", text) for path, text in places[1:6] if path != places[0][0]),
                elsewhere=self._beside(memory, "the limit"),
            )

    # Saying

    def _beside(self, fact: Fact[Any], label: str) -> Elsewhere | None:
        """What the manifest says about it; None when it is silent."""
        return Elsewhere(fact.span, label, self._target.lines) if fact.span else None

    def _of_manifest(self, code: str, message: str, fact: Fact[Any], *, label: str) -> None:
        """Something that only the manifest can be blamed for."""
        self._findings.blame(code, message, self._beside(fact, label), help="" if fact.span else label)


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    return host != "*" and ipaddress.ip_address(host).is_loopback


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])
