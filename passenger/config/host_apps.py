"""One application on this machine: its folder, what starts it, its interpreter, its user.

Rules.
1. Existence is checked first; rights are checked for the user that the application will run as, and a closed folder is
   named with the command that opens it.
2. Once the root is missing nothing below it is reported.
3. Where keys leave the type to the files, the type is what the spawner would find: the same table, the same order.
"""

from __future__ import annotations

from passenger.config import apptypes, type_keys
from passenger.config.access import Access, Right
from passenger.config.apptypes import AppType
from passenger.config.cross import app_key
from passenger.config.diagnostics import Path
from passenger.config.document import Document
from passenger.config.findings import Findings
from passenger.config.host import Host, Person
from passenger.config.instance import Core
from passenger.config.interpreters import InterpreterChecks, look, report_closed
from passenger.config.model import App
from passenger.config.runas import RunAs
from passenger.log import printable


class AppChecks:
    """Checks the applications of one document."""

    def __init__(self, document: Document, findings: Findings, *, host: Host, access: Access) -> None:
        self._document = document
        self._findings = findings
        self._host = host
        self._me = host.myself
        self._access = access
        self._run_as = RunAs(document, findings, host=host, access=access)
        self._interpreters = InterpreterChecks(document, findings, host=host, access=access)

    def check(self, name: str, app: App, core: Core) -> None:
        """Report everything that keeps the application from starting here."""
        kind = apptypes.told(app) or apptypes.detect(app.app_root, exists=self._access.is_there)
        startup = None if kind is None else apptypes.startup_path(kind, app, exists=self._access.is_there)
        person = self._run_as.person(name, app, core, startup or app.app_root)
        root = self._key(name, "app_root")
        if not self._folder(root, app.app_root, person, "list"):
            return
        if kind is None:
            self._nothing_to_start(name, app)
        else:
            if apptypes.leaves_it_to_files(app):
                type_keys.check(self._document, name, app, kind, self._findings)
            if startup is not None:
                self._startup(name, app, kind, startup, person)
            self._interpreters.check(name, app, kind, person)
        self._file(name, "meteor_app_settings", "settings file", app.meteor_app_settings, person)
        self._file(name, "custom_error_page", "error page", app.custom_error_page, person)
        if path := app_key(self._document, name, "document_root"):
            self._folder(path, app.document_root or "", None, "list")

    def _key(self, name: str, key: str) -> Path:
        return app_key(self._document, name, key) or ("apps", name, key)

    def _folder(self, path: Path, folder: str, person: Person | None, right: Right) -> bool:
        facts, closed = look(self._access, self._me, folder, person, right)
        key = f"`{path[-1]}`"
        if facts is not None and not facts.is_folder:
            self._findings.add("E402", path, f"{key} {printable(folder)} is not a folder", label="not a folder")
        elif closed is not None:
            report_closed(self._findings, path, closed, person or self._me, folder)
        elif facts is None:
            self._findings.add(
                "E401",
                path,
                f"{key} {printable(folder)} does not exist",
                label=self._access.near(folder),
                help="make the folder, or correct the path",
            )
        return closed is None and facts is not None and facts.is_folder

    def _startup(self, name: str, app: App, kind: AppType, startup: str, person: Person | None) -> None:
        facts, closed = look(self._access, self._me, startup, person, "list" if kind.is_folder else "read")
        given = app_key(self._document, name, "startup_file")
        path = given or app_key(self._document, name, "app_type") or self._key(name, "app_root")
        if closed is not None:
            report_closed(self._findings, path, closed, person or self._me, startup)
        elif facts is None and given:
            self._findings.add(
                "E404",
                path,
                f"the startup file {printable(startup)} does not exist",
                label=self._access.near(startup),
            )
        elif facts is None:
            names = " and no ".join(f"`{known}`" for known in kind.evidence)
            self._findings.add(
                "E404",
                path,
                f'nothing in {printable(app.app_root)} says how to start app "{printable(name)}" as `{kind.name}`',
                label=f"there is no {names}",
                help=self._how_to_start(app.app_root),
            )
        elif not (facts.is_folder if kind.is_folder else facts.is_file):
            wanted = "folder" if kind.is_folder else "file"
            self._findings.add("E404", path, f"{printable(startup)} is not a {wanted}", label=f"not a {wanted}")

    def _nothing_to_start(self, name: str, app: App) -> None:
        names = ", ".join(f"`{known}`" for known in apptypes.known_startup_files())
        self._findings.add(
            "E404",
            self._key(name, "app_root"),
            f'nothing in {printable(app.app_root)} says how to start app "{printable(name)}"',
            label=f"none of {names} is there",
            help=self._how_to_start(app.app_root),
        )

    def _how_to_start(self, root: str) -> str:
        names = self._host.names(root)
        for folder in names:
            if folder.isidentifier() and self._access.is_there(f"{root}/{folder}/wsgi.py"):
                return f'this looks like Django: set `entry_point = "{folder}.wsgi:application"`'
        for file, target in (("wsgi.py", "wsgi:application"), ("app.py", "app:app"), ("main.py", "main:app")):
            if file in names:
                return f'set `entry_point = "{target}"` if {file} defines the application, or `startup_file`'
        if "Gemfile" in names:
            return "this looks like Ruby: an application needs a `config.ru`, which is what `rackup` starts"
        if "package.json" in names:
            return "this looks like Node.js: set `startup_file` to the file that package.json names as `main`"
        for file in ("go.mod", "Cargo.toml", "Procfile", "deno.json", "pom.xml"):
            if file in names:
                return f'{file} is there: set `app_start_command = "./server --port $PORT"`, or how else it is started'
        return 'set `entry_point = "package.module:object"`, `startup_file = "file.py"` or `app_start_command`'

    def _file(self, name: str, key: str, what: str, file: str | None, person: Person | None) -> None:
        """A file of the application that its user must be able to read."""
        path = app_key(self._document, name, key)
        if path is None or file is None:
            return
        facts, closed = look(self._access, self._me, file, person, "read")
        if closed is not None:
            report_closed(self._findings, path, closed, person or self._me, file)
        elif facts is None or not facts.is_file:
            self._findings.add(
                "E404", path, f"the {what} {printable(file)} does not exist", label=self._access.near(file)
            )
