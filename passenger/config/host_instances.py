"""One instance on this machine: registry, socket paths, users of nginx and core, TLS files, logs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from posixpath import basename, dirname, join
from types import MappingProxyType
from typing import Final, Literal

from passenger.config.access import Access
from passenger.config.cross import listeners
from passenger.config.diagnostics import Path
from passenger.config.document import Document
from passenger.config.findings import Findings
from passenger.config.hooks import EVENTS
from passenger.config.host import Host
from passenger.config.host_telemetry import check_telemetry
from passenger.config.instance import Instance
from passenger.config.model import InstanceConfig
from passenger.config.paths import UNIX_PATH_MAX, instance_paths, registry_dir
from passenger.config.values import LOG_WORDS
from passenger.log import printable

SOMAXCONN: Final = "/proc/sys/net/core/somaxconn"
NEEDED_SOMAXCONN: Final = 4096
"""Waiting connections that the request sockets ask for (fact N9)."""
MISSING: Final = "does not exist"
_OTHERS_WRITE: Final = 0o022
_ANYBODY_WRITES: Final = 0o002
_STICKY: Final = 0o1000


class InstanceChecks:
    """Checks the instances of one document."""

    def __init__(
        self, document: Document, findings: Findings, *, host: Host, access: Access, environ: Mapping[str, str]
    ) -> None:
        self._document = document
        self._findings = findings
        self._host = host
        self._me = host.myself
        self._for_others = host.only_looks and host.myself.uid == 0
        self._access = access
        self._environ = environ

    def check(self, name: str, instance: Instance) -> None:
        """Report everything that keeps the instance from starting here."""
        self._registry(name, instance)
        self._socket_paths(name, instance)
        if instance.nginx.mode == "managed":
            self._tls(name, instance)
            self._binary(name, instance)
            self._access_log(name, instance)
        if self._me.uid == 0:
            self._accounts(name, instance)
        self._readers(name, instance)
        self._hooks(name, instance)
        check_telemetry(name, instance, self._findings, host=self._host, access=self._access)

    def check_machine(self, instances: Sequence[str]) -> None:
        """What concerns every instance alike."""
        self._configuration_file()
        limit = self._host.number(SOMAXCONN)
        if instances and limit is not None and limit < NEEDED_SOMAXCONN:
            self._findings.add(
                "W401",
                (),
                f"the kernel lets only {limit} connections wait (net.core.somaxconn)",
                at="nowhere",
                help=f"`sysctl -w net.core.somaxconn={NEEDED_SOMAXCONN}`, and put it into /etc/sysctl.d/",
            )

    def _configuration_file(self) -> None:
        """Who may change the file decides what root runs."""
        main = self._document.files[0]
        file = join(self._document.folder_of(()), basename(main))
        try:
            facts = self._access.facts(file)
        except PermissionError:
            return
        if self._me.uid == 0 and facts is not None and facts.is_file and facts.mode & _ANYBODY_WRITES:
            self._findings.add(
                "W403",
                (),
                f"everybody may change {printable(main)}, and root acts on it",
                at="nowhere",
                help=f"`chmod o-w {printable(main)}`",
            )

    def _registry(self, name: str, instance: Instance) -> None:
        path: Path = ("instances", name, "registry_dir")
        me = self._me
        registry = registry_dir(instance.registry_dir, environ=self._environ, euid=me.uid)
        problem = self._registry_problem(registry)
        at: Literal["value", "table"] = "value" if instance.registry_dir else "table"
        if not problem and (owner := self._other_owner(registry)):
            self._findings.add(
                "W404",
                path,
                f"the registry {printable(registry)} belongs to {owner}, and this was checked for root",
                at=at,
                label=f"an instance of {owner} would lie here",
                help=f"to check what {owner} may do, run it as that user; root itself could not start an instance here",
            )
        if problem:
            self._findings.add(
                "E413",
                path,
                f"the registry {printable(registry)} cannot be used: {problem}",
                at=at,
                label="instance directories would lie here" if instance.registry_dir else "uses the default registry",
                help=f"use a folder that belongs to {me.name} and that nobody else may write to",
            )

    def _registry_problem(self, registry: str) -> str:
        me = self._me
        try:
            facts = self._access.facts(registry)
            if facts is not None and not facts.is_folder:
                return "it is not a folder"
            if facts is not None and facts.uid != me.uid and not self._for_others:
                return f"it belongs to user {facts.uid}, not to {me.name}"
            if facts is not None and facts.mode & _OTHERS_WRITE:
                return f"others may write to it (mode {facts.mode & 0o7777:04o})"
            return self._open_door(dirname(registry), exists=facts is not None)
        except PermissionError:
            return f"{me.name} cannot get there"

    def _other_owner(self, registry: str) -> str:
        """Who else than we would start the instance, when root only looks; "" otherwise."""
        facts = self._access.facts(registry) if self._for_others else None
        if facts is None or facts.uid == self._me.uid:
            return ""
        person = self._access.person_by_id(facts.uid)
        return f"user {person.name if person else facts.uid}"

    def _open_door(self, folder: str, *, exists: bool) -> str:
        """A folder above in which anybody may rename things, or one that we cannot make the registry in."""
        while True:
            facts = self._access.facts(folder)
            if facts is not None and facts.mode & _ANYBODY_WRITES and not facts.mode & _STICKY:
                return f"others may write to {printable(folder)} and could put another folder in its place"
            if facts is not None and not exists:
                if self._access.closed(self._me, folder, "write"):
                    return f"it does not exist, and {self._me.name} may not make it in {printable(folder)}"
                exists = True
            if folder == "/":
                return ""
            folder = dirname(folder)

    def _socket_paths(self, name: str, instance: Instance) -> None:
        config = InstanceConfig(name=name, instance=instance, apps=MappingProxyType({}))
        paths = instance_paths(config, environ=self._environ, euid=self._me.uid)
        longest = paths.longest_socket()
        size = len(os.fsencode(longest))
        if size > UNIX_PATH_MAX:
            given = instance.registry_dir is not None
            self._findings.add(
                "E414",
                ("instances", name, "registry_dir") if given else ("instances", name),
                f"sockets of this instance would have paths of {size} bytes, and {UNIX_PATH_MAX} is the most",
                at="value" if given else "table",
                label=f"{size - UNIX_PATH_MAX} bytes too long",
                help="use a shorter `registry_dir` or a shorter name",
                docs="instances.registry_dir",
            )

    def _tls(self, name: str, instance: Instance) -> None:
        for path, files in listeners(self._document, name, instance):
            for key, file in zip(("tls_certificate", "tls_certificate_key"), files, strict=True):
                if file is not None and (problem := self._unreadable(file)):
                    label = self._access.near(file) if problem == MISSING else "cannot be used"
                    self._findings.add("E410", (*path, key), f"{printable(file)} {problem}", label=label)

    def _unreadable(self, file: str) -> str:
        me = self._me
        try:
            facts = self._access.facts(file)
        except PermissionError:
            facts = None
            if closed := self._access.closed(me, file, "read"):
                return f"is out of reach: {printable(closed.path)} is closed for {me.name}"
        if facts is None:
            return MISSING
        if not facts.is_file:
            return "is not a file"
        return f"cannot be read by {me.name}" if self._access.closed(me, file, "read") else ""

    def _binary(self, name: str, instance: Instance) -> None:
        if (binary := instance.nginx.binary) is not None:
            self._program(binary, ("instances", name, "nginx", "binary"))

    def _program(self, binary: str, path: Path) -> None:
        found = binary if "/" in binary else self._host.which(binary)
        try:
            facts = self._access.facts(found) if found else None
        except PermissionError:
            facts = None
        if facts is None:
            self._findings.add("E405", path, f"there is no program {printable(binary)}", label="not found")
        elif not facts.is_file or not facts.mode & 0o111:
            self._findings.add("E405", path, f"{printable(binary)} is no executable file", label="cannot be run")

    def _hooks(self, name: str, instance: Instance) -> None:
        for event in EVENTS:
            if command := getattr(instance.hooks, event):
                self._program(command[0], ("instances", name, "hooks", event))

    def _access_log(self, name: str, instance: Instance) -> None:
        log = instance.nginx.access_log
        if log in LOG_WORDS:
            return
        path: Path = ("instances", name, "nginx", "access_log")
        folder = dirname(log)
        me = self._me
        try:
            facts, target = self._access.facts(folder), self._access.facts(log)
        except PermissionError:
            facts, target = None, None
        if facts is None or not facts.is_folder:
            problem, label = f"the folder {printable(folder)} of the access log does not exist", "no such folder"
        elif target is not None and target.is_folder:
            problem, label = f"{printable(log)} is a folder", "give the name of a file"
        elif target is None and self._access.closed(me, folder, "write"):
            problem, label = f"{me.name} may not make files in {printable(folder)}", "cannot be written"
        else:
            return
        self._findings.add("E416", path, problem, label=label)

    def _readers(self, name: str, instance: Instance) -> None:
        for index, reader in enumerate(instance.admin.readers):
            path: Path = ("instances", name, "admin", "readers", index)
            quoted = self._findings.quote(path, reader)
            if self._me.uid != 0:
                problem = f"{quoted} cannot look at an instance that {self._me.name} starts: its folder is closed"
                self._findings.add("E417", path, problem, label="needs root", help="remove it, or start it as root")
            elif self._host.person(reader) is None and self._host.group(reader) is None:
                problem = f"there is no user or group {quoted} on this machine"
                self._findings.add("E417", path, problem, label="neither user nor group")

    def _accounts(self, name: str, instance: Instance) -> None:
        wanted = {
            ("core", "user"): instance.core.user,
            ("nginx", "user"): instance.nginx.user,
        }
        for keys, user in wanted.items():
            path: Path = ("instances", name, *keys)
            if user is None:
                continue
            found = self._host.person(user)
            if found is None:
                quoted = self._findings.quote(path, user)
                self._findings.add("E406", path, f"there is no user {quoted} on this machine", label="unknown user")
            elif found.uid == 0:
                self._findings.add("E408", path, f"the {keys[0]} never runs as root", label="this is user root (uid 0)")
        for keys, group in {
            ("core", "default_group"): instance.core.default_group,
            ("nginx", "group"): instance.nginx.group,
        }.items():
            path = ("instances", name, *keys)
            if group is not None and self._host.group(group) is None:
                quoted = self._findings.quote(path, group)
                self._findings.add("E407", path, f"there is no group {quoted} on this machine", label="unknown group")
