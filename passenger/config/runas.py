"""Whom an application would run as on this machine, told with the place of every wrong key.

The rules are those of the spawner (`passenger.posix.users`): explicit `user`, else the owner of the startup file
unless that is root, else `default_user`; explicit `group`, else the user's own, else the default's; never root.
"""

from __future__ import annotations

from dataclasses import replace

from passenger.config.access import Access
from passenger.config.cross import app_key
from passenger.config.diagnostics import Path
from passenger.config.document import Document
from passenger.config.findings import Findings
from passenger.config.host import Host, Person
from passenger.config.ids import numeric_id
from passenger.config.instance import Core
from passenger.config.model import App
from passenger.log import printable


class RunAs:
    """Decides for the applications of one document."""

    def __init__(self, document: Document, findings: Findings, *, host: Host, access: Access) -> None:
        self._document = document
        self._findings = findings
        self._host = host
        self._access = access
        self._me = host.myself

    def person(self, name: str, app: App, core: Core, startup_file: str) -> Person | None:
        """Who runs the application; None when that is reported as an error."""
        if self._me.uid != 0:
            return self._ordinary(name, app)
        user = self._user(name, app, core, startup_file)
        return self._with_group(name, app, core, user) if user else None

    def _ordinary(self, name: str, app: App) -> Person | None:
        own = {"user": {self._me.name, str(self._me.uid)}, "group": {str(self._me.gid)}}
        for key, wanted in (("user", app.user), ("group", app.group)):
            path = app_key(self._document, name, key)
            mine = wanted in own[key] or (key == "group" and wanted and self._host.group(wanted) == self._me.gid)
            if path and not mine:
                self._findings.add(
                    "E409",
                    path,
                    f"`{key}` is set, but only root can switch users",
                    at="key",
                    label=f"applications run as {self._me.name}, like Passenger itself",
                    help=f"remove `{key}`, or start Passenger as root",
                )
        return self._me

    def _user(self, name: str, app: App, core: Core, startup_file: str) -> Person | None:
        if app.user is not None:
            path = app_key(self._document, name, "user") or ("apps", name, "user")
            uid = numeric_id(app.user)
            if uid and app.group is not None and self._access.person(app.user) is None:
                return Person(app.user, uid, -1)  # a number needs no account when its group is given too
            named = self._known(app.user, path)
            return named if self._not_root(named, path) else None
        owner = self._host.owner(startup_file)
        if owner and (found := self._access.person_by_id(owner)):
            return found
        path = ("instances", app.instance or "", "core", "default_user")
        found = self._known(core.default_user, path)
        return found if self._not_root(found, path) else None

    def _known(self, user: str, path: Path) -> Person | None:
        found = self._access.person(user)
        if found is None:
            self._findings.add(
                "E406",
                path,
                f"there is no user {self._findings.quote(path, user)} on this machine",
                label="unknown user",
                help=f"create it (`useradd --system {printable(user)}`), or name another",
            )
        return found

    def _not_root(self, person: Person | None, path: Path) -> bool:
        if person is not None and person.uid == 0:
            self._findings.add(
                "E408",
                path,
                "applications never run as root",
                label="this is user root (uid 0)",
                help="name an ordinary user; one of its own for each application is best",
            )
        return person is not None and person.uid != 0

    def _with_group(self, name: str, app: App, core: Core, user: Person) -> Person | None:
        base: Path = ("instances", app.instance or "", "core")
        if app.group is not None:
            path = app_key(self._document, name, "group") or ("apps", name, "group")
            gid = self._gid(app.group, path)
        elif user.gid > 0:
            path, gid = ("apps", name, "user"), user.gid
        elif core.default_group is not None:
            path = (*base, "default_group")
            gid = self._gid(core.default_group, path)
        else:
            path = (*base, "default_user")
            default = self._access.person(core.default_user)
            gid = default.gid if default else user.gid
        if gid == 0:
            self._findings.add(
                "E408",
                path,
                "applications never run with the group root",
                label="leads to group root (gid 0)",
                help="name another `group`",
            )
        return replace(user, gid=gid, groups=user.groups - {0}) if gid else None

    def _gid(self, group: str, path: Path) -> int | None:
        gid = self._host.group(group)
        if gid is None:
            self._findings.add(
                "E407",
                path,
                f"there is no group {self._findings.quote(path, group)} on this machine",
                label="unknown group",
                help=f"create it (`groupadd --system {printable(group)}`), or name another",
            )
        return gid
