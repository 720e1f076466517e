"""One application on this machine: its folder, what starts it, its interpreter, its user.

Rules.
1. Existence is checked first; rights are checked for the user that the application will run as, and a closed folder is
   named with the command that opens it.
2. Once the root is missing nothing below it is reported.
"""

from __future__ import annotations

from typing import Final

from passenger.config.access import Access, Closed, Right
from passenger.config.cross import app_key
from passenger.config.diagnostics import Path
from passenger.config.document import Document
from passenger.config.findings import Findings
from passenger.config.host import Facts, Host, Person
from passenger.config.instance import Core
from passenger.config.model import App
from passenger.config.runas import RunAs
from passenger.log import printable

STARTUP_FILE: Final = "passenger_wsgi.py"
VIRTUAL_ENVIRONMENTS: Final = (".venv/bin/python", "venv/bin/python")


class AppChecks:
    """Checks the applications of one document."""

    def __init__(self, document: Document, findings: Findings, *, host: Host, access: Access) -> None:
        self._document = document
        self._findings = findings
        self._host = host
        self._me = host.myself
        self._access = access
        self._run_as = RunAs(document, findings, host=host, access=access)
        self._own_files_said: set[str] = set()

    def check(self, name: str, app: App, core: Core) -> None:
        """Report everything that keeps the application from starting here."""
        startup_file = app.startup_file or f"{app.app_root}/{STARTUP_FILE}"
        person = self._run_as.person(name, app, core, app.app_root if app.entry_point else startup_file)
        root = self._key(name, "app_root")
        if not self._folder(root, app.app_root, person, "list"):
            return
        self._startup(name, app, startup_file, person)
        self._python(name, app, person)
        if path := app_key(self._document, name, "document_root"):
            self._folder(path, app.document_root or "", None, "list")

    def _key(self, name: str, key: str) -> Path:
        return app_key(self._document, name, key) or ("apps", name, key)

    def _folder(self, path: Path, folder: str, person: Person | None, right: Right) -> bool:
        facts, closed = self._look(folder, person, right)
        key = f"`{path[-1]}`"
        if facts is not None and not facts.is_folder:
            self._findings.add("E402", path, f"{key} {printable(folder)} is not a folder", label="not a folder")
        elif closed is not None:
            self._closed(path, closed, person or self._me, folder)
        elif facts is None:
            self._findings.add(
                "E401",
                path,
                f"{key} {printable(folder)} does not exist",
                label=self._access.near(folder),
                help="make the folder, or correct the path",
            )
        return closed is None and facts is not None and facts.is_folder

    def _look(self, path: str, person: Person | None, right: Right) -> tuple[Facts | None, Closed | None]:
        try:
            facts = self._access.facts(path)
        except PermissionError:
            return None, self._access.closed(self._me, path, right)
        closed = self._access.closed(person, path, right) if facts and person else None
        return facts, closed

    def _closed(self, path: Path, closed: Closed, person: Person, target: str) -> None:
        what = "closed" if closed.is_target else f"out of reach: {printable(closed.path)} is closed"
        self._findings.add(
            "E403",
            path,
            f"{printable(target)} is {what} for user {person.name}",
            label=f"user {person.name} cannot {'use it' if closed.is_target else 'get there'}",
            help=f"`chmod o+{closed.missing} {printable(closed.path)}`, or run the application as another user",
        )

    def _startup(self, name: str, app: App, startup_file: str, person: Person | None) -> None:
        if app.entry_point is not None:
            return
        facts, closed = self._look(startup_file, person, "read")
        given = app_key(self._document, name, "startup_file")
        path = given or self._key(name, "app_root")
        if closed is not None:
            self._closed(path, closed, person or self._me, startup_file)
        elif facts is None and given:
            self._findings.add(
                "E404",
                path,
                f"the startup file {printable(startup_file)} does not exist",
                label=self._access.near(startup_file),
            )
        elif facts is None:
            self._findings.add(
                "E404",
                path,
                f'nothing in {printable(app.app_root)} says how to start app "{printable(name)}"',
                label=f"no `{STARTUP_FILE}` in this folder",
                help=self._how_to_start(app.app_root),
            )
        elif not facts.is_file:
            self._findings.add("E404", path, f"{printable(startup_file)} is not a file", label="not a file")

    def _how_to_start(self, root: str) -> str:
        names = self._host.names(root)
        for folder in names:
            if folder.isidentifier() and self._access.is_there(f"{root}/{folder}/wsgi.py"):
                return f'this looks like Django: set `entry_point = "{folder}.wsgi:application"`'
        for file, target in (("wsgi.py", "wsgi:application"), ("app.py", "app:app"), ("main.py", "main:app")):
            if file in names:
                return f'set `entry_point = "{target}"` if {file} defines the application, or `startup_file`'
        return 'set `entry_point = "package.module:object"` or `startup_file = "file.py"`'

    def _python(self, name: str, app: App, person: Person | None) -> None:
        path = app_key(self._document, name, "python")
        if path is None:
            found = next((f for f in VIRTUAL_ENVIRONMENTS if self._access.is_there(f"{app.app_root}/{f}")), None)
            if found is None:
                self._own_files(name, self._host.interpreter, person, "execute")
            else:
                self._program(self._key(name, "app_root"), f"{app.app_root}/{found}", person)
        else:
            self._named_python(path, app, person)
        self._own_files(name, self._host.helper_scripts, person, "execute")

    def _named_python(self, path: Path, app: App, person: Person | None) -> None:
        python = app.python or ""
        if "/" in python:
            self._program(path, python, person)
        elif (found := self._host.which(python)) is None:
            self._findings.add(
                "E405",
                path,
                f"there is no program {self._findings.quote(path, python)} in PATH",
                label="not found",
                help=f"for the file in `app_root` write `./{printable(python)}`"
                if self._access.is_there(f"{app.app_root}/{python}")
                else "install it, or write the whole path of an interpreter",
            )
        else:
            self._program(path, found, person)

    def _program(self, path: Path, program: str, person: Person | None) -> None:
        facts, closed = self._look(program, person, "execute")
        if facts is None and closed is None:
            self._findings.add(
                "E405",
                path,
                f"the interpreter {printable(program)} does not exist",
                label=self._access.near(program),
                help="a path that does not start with `/` starts at `app_root`",
            )
        elif facts is not None and (not facts.is_file or not facts.mode & 0o111):
            what = "is not executable" if facts.is_file else "is not a file"
            self._findings.add("E405", path, f"the interpreter {printable(program)} {what}", label="cannot be run")
        elif closed is not None:
            self._closed(path, closed, person or self._me, program)

    def _own_files(self, name: str, file: str, person: Person | None, right: Right) -> None:
        """Passenger's own files must be reachable too; said once for each user and folder."""
        closed = self._access.closed(person, file, right) if person else None
        if closed is None or person is None or f"{person.name}:{closed.path}" in self._own_files_said:
            return
        self._own_files_said.add(f"{person.name}:{closed.path}")
        self._findings.add(
            "E415",
            app_key(self._document, name, "user") or ("apps", name),
            f"user {person.name} cannot reach Passenger's own files: {printable(closed.path)} is closed",
            at="value" if app_key(self._document, name, "user") else "table",
            label=f"runs as {person.name}",
            help=f"install Passenger in an open folder, or `chmod o+{closed.missing} {printable(closed.path)}`",
            docs="apps.user",
        )
