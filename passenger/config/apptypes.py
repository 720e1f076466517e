"""The AppTypes registry: what kinds of applications there are, how each is recognised, and which loader starts it.

One table, shared by the configuration's checks, `passenger start` in a folder, the reference page and the spawner.

Rules.
1. A new kind is a new row, plus its loader in `helper_scripts`.
2. Keys decide before files do: `app_type`, else `app_start_command`, else `entry_point`, else the name in
   `startup_file`, else the first row whose startup file is in `app_root`.
"""

from __future__ import annotations

from collections.abc import Callable
from posixpath import basename, join, splitext
from typing import TYPE_CHECKING, Final, Literal

from passenger.lazy_dataclass import dataclass

if TYPE_CHECKING:
    from passenger.config.model import App

Interpreter = Literal["python", "ruby", "nodejs", ""]
"""Configuration key that names the interpreter; "" = the Python that runs Passenger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppType:
    """One kind of application."""

    name: str
    """Value of `app_type`."""
    startup_files: tuple[str, ...] = ()
    """What in the application's root gives the kind away; the first that is there is what is loaded."""
    suffixes: tuple[str, ...] = ()
    """How other startup files of this kind end."""
    markers: tuple[tuple[str, str], ...] = ()
    """Other files in the root that give the kind away, without being loaded; and what is loaded then."""
    is_folder: bool = False
    """The startup file is a folder, always of that name."""
    loader: str
    """File in `helper_scripts`."""
    preloader: str | None = None
    """File in `helper_scripts` that loads the application once and forks; None = every process loads it itself."""
    interpreter: Interpreter = ""
    process_title: str
    takes_entry_point: bool = False
    speaks_http: bool = True
    """Its processes may take HTTP requests (`http_session`), as many at a time as come or as the configuration says."""
    has_threads: bool = False
    """Its processes may take requests of the session protocol, `thread_count` at a time."""

    @property
    def needs_startup_file(self) -> bool:
        return bool(self.startup_files)

    @property
    def evidence(self) -> tuple[str, ...]:
        """Every name in the application's root that gives the kind away."""
        return (*self.startup_files, *(marker for marker, _ in self.markers))


APP_TYPES: Final = (
    AppType(
        name="wsgi",
        startup_files=("passenger_wsgi.py",),
        suffixes=(".py", ".wsgi"),
        loader="wsgi_loader.py",
        preloader="wsgi_preloader.py",
        interpreter="python",
        process_title="Passenger WsgiApp",
        takes_entry_point=True,
        speaks_http=False,
        has_threads=True,
    ),
    AppType(
        name="asgi",
        startup_files=("passenger_asgi.py", "asgi.py"),
        loader="asgi_loader.py",
        preloader="asgi_preloader.py",
        interpreter="python",
        process_title="Passenger AsgiApp",
        takes_entry_point=True,
    ),
    AppType(
        name="rack",
        startup_files=("config.ru",),
        suffixes=(".ru",),
        loader="rack_loader.rb",
        preloader="rack_preloader.rb",
        interpreter="ruby",
        process_title="Passenger RubyApp",
        speaks_http=False,
        has_threads=True,
    ),
    AppType(
        name="node",
        startup_files=("app.js",),
        markers=(("star.json", "main.js"),),  # what `meteor build` makes
        suffixes=(".js", ".mjs", ".cjs"),
        loader="node_loader.js",
        interpreter="nodejs",
        process_title="Passenger NodeApp",
    ),
    AppType(
        name="meteor",
        startup_files=(".meteor",),
        is_folder=True,
        loader="meteor_loader.py",
        process_title="Passenger MeteorApp",
    ),
    AppType(name="generic", loader="generic_loader.py", process_title="Passenger GenericApp"),
)

PYTHON: Final = AppType(
    name="python",
    loader="python_loader.py",
    preloader="python_preloader.py",
    interpreter="python",
    process_title="Passenger PythonApp",
    takes_entry_point=True,
    has_threads=True,
)
"""A Python application that is named by its entry point alone: the loader finds out whether it is WSGI or ASGI."""


def by_name(name: str) -> AppType | None:
    """The type that a configuration names."""
    return next((kind for kind in APP_TYPES if kind.name == name), None)


def by_startup_file(path: str) -> AppType | None:
    """The type that the name of a startup file gives away; None when it says nothing."""
    name = basename(path)
    for kind in APP_TYPES:
        if name in kind.startup_files:
            return kind
    return next((kind for kind in APP_TYPES if splitext(name)[1] in kind.suffixes), None)


def told(app: App) -> AppType | None:
    """The type that the keys of an application tell; None when they leave it to the files, or name no known one."""
    if app.app_type is not None:
        return by_name(app.app_type)
    if app.app_start_command is not None:
        return by_name("generic")
    if app.entry_point is not None:
        return PYTHON
    return by_startup_file(app.startup_file) if app.startup_file is not None else None


def leaves_it_to_files(app: App) -> bool:
    """Whether no key says what starts the application."""
    return (app.app_type, app.app_start_command, app.entry_point, app.startup_file) == (None,) * 4


def detect(app_root: str, *, exists: Callable[[str], bool]) -> AppType | None:
    """The first type of the table that a file in a folder gives away."""
    return next((kind for kind in APP_TYPES if any(exists(f"{app_root}/{name}") for name in kind.evidence)), None)


def startup_path(kind: AppType, app: App, *, exists: Callable[[str], bool]) -> str | None:
    """The full path of what a type loads, whether it is there or not; None when no file is loaded by name.

    Of several names the first that is there counts, else the first.
    """
    if not kind.needs_startup_file or (kind.takes_entry_point and app.entry_point is not None):
        return None
    if app.startup_file is not None and not kind.is_folder:
        return join(app.app_root, app.startup_file)
    paths = [f"{app.app_root}/{name}" for name in kind.startup_files]
    marked = (f"{app.app_root}/{name}" for marker, name in kind.markers if exists(f"{app.app_root}/{marker}"))
    return next((path for path in paths if exists(path)), None) or next(marked, paths[0])


def known_startup_files() -> list[str]:
    """Every name that gives a type away, in the order of the table."""
    return [name for kind in APP_TYPES for name in kind.evidence]
