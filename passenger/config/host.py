"""What the last stage of validation asks about the machine, and the machine itself.

Rules.
1. Only questions: nothing is opened for writing, bound, created or locked.
2. `check` is the stage (E4xx); it sees the machine through `Host` alone, so tests hand in another one.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Callable, Mapping
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Final, Protocol

from passenger import resources
from passenger.config.accounts import Account, SystemAccounts
from passenger.config.bounds import Bounds
from passenger.config.build import Built
from passenger.config.document import Document
from passenger.config.findings import Findings
from passenger.config.ids import numeric_id
from passenger.lazy_dataclass import dataclass

if TYPE_CHECKING:
    from passenger.config.ports import OwnPorts

_ACCOUNTS: Final = SystemAccounts()
_NET_BIND_SERVICE: Final = 10
"""Bit of CAP_NET_BIND_SERVICE in CapEff."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What stat() says: permission bits, owner, and what kind of file it is."""

    mode: int
    uid: int
    gid: int

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)


@dataclass(frozen=True, slots=True)
class Person:
    """A user as the kernel sees one: name for messages, ids for decisions."""

    name: str
    uid: int
    gid: int
    groups: frozenset[int] = frozenset()


class Host(Protocol):
    """The machine. Names of users and groups may be numbers."""

    @property
    def myself(self) -> Person: ...
    @property
    def only_looks(self) -> bool:
        """Nothing will be started by whoever asks: root may ask about an instance that another user starts."""
        ...

    @property
    def interpreter(self) -> str:
        """The Python that runs Passenger, and loaders of applications that name no other."""
        ...

    @property
    def helper_scripts(self) -> str: ...
    def facts(self, path: str) -> Facts | None:
        """stat(), symbolic links followed; None when there is nothing. Raises PermissionError."""
        ...

    def owner(self, path: str) -> int | None:
        """Owner of the file itself (lstat); None when there is nothing or it cannot be seen."""
        ...

    def real(self, path: str) -> str: ...
    def names(self, folder: str) -> list[str]:
        """Names in a folder; [] when it cannot be listed."""
        ...

    def has_acl(self, path: str) -> bool: ...
    def person(self, name: str) -> Person | None: ...
    def person_by_id(self, uid: int) -> Person | None: ...
    def group(self, name: str) -> int | None: ...
    def group_exists(self, gid: int) -> bool: ...
    def which(self, program: str, path: str | None = None) -> str | None:
        """A program in PATH, or in the folders that another PATH names."""
        ...

    def number(self, path: str) -> int | None:
        """A kernel setting; None when it is not there."""
        ...

    def text(self, path: str) -> str:
        """A file of /proc; "" when it is not there."""
        ...

    def has_package(self, name: str) -> bool:
        """Whether the Python that runs Passenger has a module of that name."""
        ...

    def may_bind_low_ports(self) -> bool: ...
    def bounds(self) -> Bounds:
        """What we may do about limits of processes."""
        ...


def check(
    document: Document,
    built: Built,
    findings: Findings,
    *,
    host: Host,
    environ: Mapping[str, str],
    own_ports: OwnPorts | None,
) -> None:
    """Report everything that this machine refuses."""
    from passenger.config.access import Access
    from passenger.config.host_apps import AppChecks
    from passenger.config.host_caches import check_caches
    from passenger.config.host_instances import InstanceChecks
    from passenger.config.host_limits import check_limits
    from passenger.config.ports import check_ports

    access = Access(host)
    checks = InstanceChecks(document, findings, host=host, access=access, environ=environ)
    whole = [name for name in built.config.instances if built.is_whole("instances", name)]
    for name in whole:
        checks.check(name, built.config.instances[name])
    checks.check_machine(whole)
    check_ports(built, findings, host=host, own_ports=own_ports)
    apps = AppChecks(document, findings, host=host, access=access)
    for name, app in built.config.apps.items():
        instance = app.instance or ""
        core = ("instances", instance, "core")
        known = built.is_whole(*core, "default_user") and built.is_whole(*core, "default_group")
        if built.is_whole("apps", name) and known and instance in built.config.instances:
            apps.check(name, app, built.config.instances[instance].core)
    whole_apps = {name: app for name, app in built.config.apps.items() if built.is_whole("apps", name)}
    check_caches(document, whole_apps, findings, host=host, access=access)
    check_limits(
        document, {name: app for name, app in built.config.apps.items() if built.is_whole("apps", name)}, findings, host
    )


class SystemHost:
    """This machine. `bounds` is asked when an application has limits."""

    def __init__(self, bounds: Callable[[], Bounds] = Bounds, *, only_looks: bool = False) -> None:
        self._bounds = bounds
        self._only_looks = only_looks

    @property
    def only_looks(self) -> bool:
        return self._only_looks

    @property
    def myself(self) -> Person:
        uid = os.geteuid()
        known = self.person_by_id(uid)
        groups = frozenset({*os.getgroups(), os.getegid()})
        return Person(known.name if known else str(uid), uid, os.getegid(), groups)

    @property
    def interpreter(self) -> str:
        return sys.executable

    def has_package(self, name: str) -> bool:
        from importlib.util import find_spec

        try:
            return find_spec(name) is not None
        except ModuleNotFoundError:  # not even the package above it
            return False

    @property
    def helper_scripts(self) -> str:
        return str(resources.folder("helper_scripts"))

    def facts(self, path: str) -> Facts | None:
        try:
            found = FilePath(path).stat()
        except PermissionError:
            raise
        except OSError:
            return None  # missing, or a component that is no folder, or a loop of links: nothing is there
        return Facts(found.st_mode, found.st_uid, found.st_gid)

    def owner(self, path: str) -> int | None:
        try:
            return os.lstat(path).st_uid
        except OSError:
            return None

    def real(self, path: str) -> str:
        return os.path.realpath(path)

    def names(self, folder: str) -> list[str]:
        try:
            return sorted(entry.name for entry in FilePath(folder).iterdir())
        except OSError:
            return []

    def has_acl(self, path: str) -> bool:
        try:
            return bool(os.getxattr(path, "system.posix_acl_access"))
        except OSError:
            return False

    def person(self, name: str) -> Person | None:
        if found := _person(_ACCOUNTS.user(name)):
            return found
        uid = numeric_id(name)
        return None if uid is None else self.person_by_id(uid)

    def person_by_id(self, uid: int) -> Person | None:
        return _person(_ACCOUNTS.user_by_id(uid))

    def group(self, name: str) -> int | None:
        gid = _ACCOUNTS.group(name)
        return numeric_id(name) if gid is None else gid

    def group_exists(self, gid: int) -> bool:
        return _ACCOUNTS.group_exists(gid)

    def which(self, program: str, path: str | None = None) -> str | None:
        return shutil.which(program, path=path)

    def number(self, path: str) -> int | None:
        digits = self.text(path).strip()
        return int(digits) if digits.isdigit() else None

    def text(self, path: str) -> str:
        try:
            return FilePath(path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def bounds(self) -> Bounds:
        return self._bounds()

    def may_bind_low_ports(self) -> bool:
        for line in self.text("/proc/self/status").splitlines():
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> _NET_BIND_SERVICE & 1)
        return os.geteuid() == 0


def _person(account: Account | None) -> Person | None:
    if account is None:
        return None
    groups = frozenset(_ACCOUNTS.groups_of(account.name, account.gid))
    return Person(account.name, account.uid, account.gid, groups)
