"""What runs an application on this machine: its interpreter, found where the spawner will find it.

Rules.
1. A program without a slash is looked up in the application's PATH; what a login shell makes of it is not known here.
2. Passenger's own files must be reachable for the application's user too; said once for each user and folder.
"""

from __future__ import annotations

from typing import Final

from passenger.config.access import Access, Closed, Right
from passenger.config.apptypes import AppType
from passenger.config.cross import app_key
from passenger.config.diagnostics import Path
from passenger.config.document import Document
from passenger.config.findings import Findings
from passenger.config.host import Facts, Host, Person
from passenger.config.model import App
from passenger.log import printable

VIRTUAL_ENVIRONMENTS: Final = (".venv/bin/python", "venv/bin/python")
PROGRAMS: Final = {"ruby": "ruby", "nodejs": "node"}
"""Key -> program that is run when the key is not set."""
INSTALL: Final = {
    "ruby": "install it (Debian: `apt-get install ruby`), or name another with `ruby`",
    "nodejs": "install Node.js (Debian: `apt-get install nodejs`), or name another with `nodejs`",
    "meteor": "install Meteor; for production serve what `meteor build` makes, which is a Node.js application",
}


class InterpreterChecks:
    """Checks the programs that applications of one document need."""

    def __init__(self, document: Document, findings: Findings, *, host: Host, access: Access) -> None:
        self._document = document
        self._findings = findings
        self._host = host
        self._access = access
        self._own_files_said: set[str] = set()

    def check(self, name: str, app: App, kind: AppType, person: Person | None) -> None:
        """Report what cannot be run."""
        if kind.interpreter == "python":
            self._python(name, app, person)
        elif kind.interpreter:
            self._named(name, app, kind.interpreter, PROGRAMS[kind.interpreter], person)
        else:
            self._own_files(name, self._host.interpreter, person, "execute")
        if kind.name == "meteor":
            self._named(name, app, "meteor", "meteor", person)
        self._own_files(name, self._host.helper_scripts, person, "execute")

    def _python(self, name: str, app: App, person: Person | None) -> None:
        if app.python is not None:
            self._named(name, app, "python", app.python, person)
            return
        found = next((f for f in VIRTUAL_ENVIRONMENTS if self._access.is_there(f"{app.app_root}/{f}")), None)
        if found is None:
            self._own_files(name, self._host.interpreter, person, "execute")
        else:
            self._program(self._place(name, "app_root"), f"{app.app_root}/{found}", person, "python")

    def _named(self, name: str, app: App, key: str, default: str, person: Person | None) -> None:
        """A program that is named by a key, or by us when the key is not set."""
        program = getattr(app, key, None) or default
        given = app_key(self._document, name, key)
        path = given or self._place(name, "app_root")
        if "/" in program:
            self._program(path, program, person, key)
            return
        if app.load_shell_envvars:
            return
        own_path = app.env.get("PATH")
        found = self._host.which(program, None if own_path is None else own_path.value)
        if found is not None:
            self._program(path, found, person, key)
        else:
            self._not_in_path(path, app, program, is_given=given is not None, key=key)

    def _not_in_path(self, path: Path, app: App, program: str, *, is_given: bool, key: str) -> None:
        quoted = self._findings.quote(path, program) if is_given else f"`{program}`"
        help_ = INSTALL.get(key, "install it, or write the whole path of an interpreter")
        if self._access.is_there(f"{app.app_root}/{program}"):
            help_ = f"for the file in `app_root` write `./{printable(program)}`"
        self._findings.add(
            "E405",
            path,
            f"there is no program {quoted} in PATH",
            label="not found" if is_given else f"this application needs `{program}`",
            help=help_,
        )

    def _program(self, path: Path, program: str, person: Person | None, key: str) -> None:
        facts, closed = look(self._access, self._host.myself, program, person, "execute")
        what = f"the program `{key}`" if key == "meteor" else "the interpreter"
        if facts is None and closed is None:
            self._findings.add(
                "E405",
                path,
                f"{what} {printable(program)} does not exist",
                label=self._access.near(program),
                help="a path that does not start with `/` starts at `app_root`",
            )
        elif facts is not None and (not facts.is_file or not facts.mode & 0o111):
            wrong = "is not executable" if facts.is_file else "is not a file"
            self._findings.add("E405", path, f"{what} {printable(program)} {wrong}", label="cannot be run")
        elif closed is not None:
            report_closed(self._findings, path, closed, person or self._host.myself, program)

    def _own_files(self, name: str, file: str, person: Person | None, right: Right) -> None:
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

    def _place(self, name: str, key: str) -> Path:
        return app_key(self._document, name, key) or ("apps", name, key)


def look(
    access: Access, me: Person, path: str, person: Person | None, right: Right
) -> tuple[Facts | None, Closed | None]:
    """What is at a path, and what keeps the person (or us) from it."""
    try:
        facts = access.facts(path)
    except PermissionError:
        return None, access.closed(me, path, right)
    return facts, access.closed(person, path, right) if facts and person else None


def report_closed(findings: Findings, path: Path, closed: Closed, person: Person, target: str) -> None:
    """E403: something is closed for the application's user."""
    what = "closed" if closed.is_target else f"out of reach: {printable(closed.path)} is closed"
    findings.add(
        "E403",
        path,
        f"{printable(target)} is {what} for user {person.name}",
        label=f"user {person.name} cannot {'use it' if closed.is_target else 'get there'}",
        help=f"`chmod o+{closed.missing} {printable(closed.path)}`, or run the application as another user",
    )
