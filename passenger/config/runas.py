"""Whom an application would run as on this machine, by the spawner's rules, told with the place of every wrong key."""

from __future__ import annotations

from passenger.config.access import Access
from passenger.config.accounts import Account
from passenger.config.cross import app_key
from passenger.config.document import Document
from passenger.config.findings import Findings
from passenger.config.host import Host, Person
from passenger.config.identity import NobodyToBe, Wish, choose
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
        return self._switched(name, app, core, startup_file)

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

    def _switched(self, name: str, app: App, core: Core, startup_file: str) -> Person | None:
        wish = Wish(
            user=app.user,
            group=app.group,
            owner=self._host.owner(startup_file),
            default_user=core.default_user,
            default_group=core.default_group,
        )
        try:
            choice = choose(wish, _HostAccounts(self._host, self._access))
        except NobodyToBe as refusal:
            self._report(refusal, name, app)
            return None
        return Person(choice.account.name, choice.account.uid, choice.gid, choice.groups)

    def _report(self, refusal: NobodyToBe, name: str, app: App) -> None:
        if refusal.key in {"user", "group"}:
            path = app_key(self._document, name, refusal.key) or ("apps", name, refusal.key)
        else:
            path = ("instances", app.instance or "", "core", refusal.key)
        quoted, text = self._findings.quote(path, refusal.name), printable(refusal.name)
        code, message, label, help_ = {
            "user-missing": (
                "E406",
                f"there is no user {quoted} on this machine",
                "unknown user",
                f"create it (`useradd --system {text}`), or name another",
            ),
            "group-missing": (
                "E407",
                f"there is no group {quoted} on this machine",
                "unknown group",
                f"create it (`groupadd --system {text}`), or name another",
            ),
            "user-is-root": (
                "E408",
                "applications never run as root",
                "this is user root (uid 0)",
                "name an ordinary user; one of its own for each application is best",
            ),
            "group-is-root": (
                "E408",
                "applications never run with the group root",
                "leads to group root (gid 0)",
                "name another `group`",
            ),
        }[refusal.problem]
        self._findings.add(code, path, message, label=label, help=help_)


class _HostAccounts:
    """The machine's accounts, by the questions that a Host answers."""

    def __init__(self, host: Host, access: Access) -> None:
        self._host = host
        self._access = access

    def user(self, name: str) -> Account | None:
        return _account(self._access.person(name))

    def user_by_id(self, uid: int) -> Account | None:
        return _account(self._access.person_by_id(uid))

    def group(self, name: str) -> int | None:
        return self._host.group(name)

    def group_exists(self, gid: int) -> bool:
        return self._host.group_exists(gid)

    def groups_of(self, name: str, gid: int) -> list[int]:
        person = self._access.person(name)
        return [gid] if person is None else [*person.groups]


def _account(person: Person | None) -> Account | None:
    return None if person is None else Account(person.name, person.uid, person.gid, home="/", shell="")
