"""Keys of `[apps.NAME]` that say what the application is, who runs it and where it answers.

The rules of `passenger.config.model` hold. `App` is put together from layers, one file each, so that each stays small:
this one, then `app_processes`, `app_requests`, and what is a table of its own in `model`.
"""

from __future__ import annotations

from passenger.config.apptypes import APP_TYPES, known_startup_files
from passenger.config.declare import key
from passenger.config.patterns import BASE_URI_PATTERN, HOST_PATTERN
from passenger.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True, init=False, repr=False, eq=False)  # only a layer of App
class AppProgram:
    """The program, its user and its place in the URL space."""

    instance: str | None = key(
        "Instance that serves the application.",
        default=None,
        example="main",
        default_doc="the only instance of the file",
    )
    app_root: str = key(
        "Folder of the application; relative paths start at the folder of the file that holds the key.",
        unit="path",
        example="/srv/blog",
    )
    app_type: str | None = key(
        "Kind of application.",
        default=None,
        choices=tuple(kind.name for kind in APP_TYPES),
        default_doc="told by `app_start_command`, `entry_point` or `startup_file`, else by the first of "
        + ", ".join(f"`{name}`" for name in known_startup_files())
        + " that is in `app_root`",
    )
    startup_file: str | None = key(
        "File, relative to `app_root`, that defines the application.",
        default=None,
        example="passenger_wsgi.py",
        default_doc="by [type](#types)",
    )
    entry_point: str | None = key(
        "`module:object` of a Python application, instead of a startup file. Without an `app_type` the object itself "
        "says whether it is WSGI or ASGI.",
        default=None,
        example="blog.wsgi:application",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*(\(\))?$",
        pattern_help="`package.module:object`, or `package.module:factory()`",
    )
    app_start_command: str | None = key(
        "Command that starts a program which speaks HTTP, run by `/bin/sh` in `app_root`. It listens on `$SOCKET` or "
        "on `$HOST:$PORT`.",
        default=None,
        example="./server --listen $HOST:$PORT",
    )
    app_env: str = key(
        "Environment name, given to the application as PASSENGER_APP_ENV, WSGI_ENV, RACK_ENV, RAILS_ENV and NODE_ENV.",
        default="production",
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",
        pattern_help="letters, digits, `_`, `.` and `-`",
    )
    python: str | None = key(
        "Python interpreter of the application, usually that of its virtual environment; relative to `app_root`.",
        default=None,
        unit="path",
        example=".venv/bin/python",
        default_doc="`.venv/bin/python` or `venv/bin/python` in `app_root`, else the Python that runs Passenger",
    )
    ruby: str | None = key(
        "Ruby of a Rack application: a program in PATH, or a path relative to `app_root`.",
        default=None,
        unit="path",
        example="/opt/ruby-3.3/bin/ruby",
        default_doc="`ruby` in the application's PATH",
    )
    nodejs: str | None = key(
        "Node.js of a Node application: a program in PATH, or a path relative to `app_root`.",
        default=None,
        unit="path",
        example="/opt/node-22/bin/node",
        default_doc="`node` in the application's PATH",
    )
    meteor_app_settings: str | None = key(
        "Settings file for `meteor run`, relative to `app_root`.", default=None, unit="path", example="settings.json"
    )
    server_names: tuple[str, ...] = key(
        "Host names of the application. None = it answers for every name that no other application has.",
        default=(),
        reload="live",
        example=["blog.example.com"],
        pattern=HOST_PATTERN,
        pattern_help="a host name such as `blog.example.com` or `*.example.com`, without port and path",
    )
    base_uri: str = key(
        "Path below which the application lives.",
        default="/",
        pattern=BASE_URI_PATTERN,
        pattern_help="`/` or a path such as `/blog`: letters, digits, `_`, `.`, `~`, `-`; no `..`, no slash at the end",
    )
    document_root: str | None = key(
        "Folder of static files, served by nginx; relative to `app_root`.",
        default=None,
        unit="path",
        reload="live",
        example="public",
        default_doc="`public`",
    )
    user: str | None = key(
        "User of the application's processes. Only when started as root, and never root.",
        example="blog",
        default=None,
        default_doc="the owner of the startup file, or `default_user` if that is root",
    )
    group: str | None = key(
        "Group of the application's processes.",
        default=None,
        example="blog",
        default_doc="the primary group of the user",
    )
