"""Do the keys of an application go with its type? Told before files are looked at, or once they have told the type.

Rules.
1. Only keys that the application has itself are judged: one in `[defaults]` counts for the applications that know it.
2. The place that decided the type is shown beside the key that does not go with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from passenger.config import apptypes
from passenger.config.apptypes import AppType
from passenger.config.diagnostics import Path
from passenger.config.document import Document
from passenger.config.findings import Findings
from passenger.config.model import App
from passenger.log import printable

KNOWN_BY: Final[Mapping[str, Callable[[AppType], bool]]] = MappingProxyType(
    {
        "startup_file": lambda kind: kind.needs_startup_file and not kind.is_folder,
        "entry_point": lambda kind: kind.takes_entry_point,
        "app_start_command": lambda kind: kind.name == "generic",
        "python": lambda kind: kind.interpreter == "python",
        "ruby": lambda kind: kind.interpreter == "ruby",
        "nodejs": lambda kind: kind.interpreter == "nodejs",
        "meteor_app_settings": lambda kind: kind.name == "meteor",
        "thread_count": lambda kind: kind.has_threads,
        "force_max_concurrent_requests_per_process": lambda kind: kind.speaks_http,
    }
)
"""Key -> whether a type knows it."""

HELP: Final[Mapping[str, str]] = MappingProxyType(
    {
        "app_start_command": "a program that is started by a command has the type `generic`, which needs no `app_type`",
        "thread_count": "processes of this type take as many requests at once as come; "
        "`force_max_concurrent_requests_per_process` limits them",
        "force_max_concurrent_requests_per_process": "`thread_count` says how many requests one of its processes takes",
        "spawn_method": "there is no preloader for this type: remove the key, or write `direct`",
    }
)


def check_told(document: Document, name: str, app: App, findings: Findings) -> None:
    """What can be said before any file is looked at."""
    kind = apptypes.told(app)
    if kind is not None:
        check(document, name, app, kind, findings)
        if kind.name == "generic" and app.app_start_command is None:
            findings.add(
                "E312",
                _decider(document, name, app) or ("apps", name),
                f'app "{printable(name)}" has the type `generic`, but no `app_start_command`',
                label="add the command that starts the program",
                help='for example `app_start_command = "./server --port $PORT"`',
            )
    elif app.startup_file is not None and app.app_type is None:
        path = _place(document, name, "startup_file")
        findings.add(
            "E313",
            path,
            f"{findings.quote(path, app.startup_file.rpartition('/')[2])} does not tell what kind of application it is",
            label=f"add `app_type`, one of {', '.join(f'`{known.name}`' for known in apptypes.APP_TYPES)}",
        )


def check(document: Document, name: str, app: App, kind: AppType, findings: Findings) -> None:
    """Every key of the application that its type does not know."""
    decider = _decider(document, name, app)
    for key, is_known in KNOWN_BY.items():
        path: Path = ("apps", name, key)
        if is_known(kind) or path == decider or not _has(document, path):
            continue
        if key == "startup_file" and app.entry_point is not None:
            continue  # E309 says it
        _unknown(path, kind, decider, findings)
    path = ("apps", name, "spawn_method")
    if app.spawn_method == "smart" and kind.preloader is None and _has(document, path):
        _unknown(path, kind, decider, findings)


def _unknown(path: Path, kind: AppType, decider: Path | None, findings: Findings) -> None:
    value = ' = "smart"' if path[-1] == "spawn_method" else ""
    findings.add(
        "E311",
        path,
        f'`{path[-1]}{value}` means nothing to app "{printable(str(path[1]))}": {_called(kind)}',
        at="key",
        label="remove it, or correct the type",
        help=HELP.get(str(path[-1]), ""),
        also=((decider, "key", "this decides the type"),) if decider else (),
    )


def _called(kind: AppType) -> str:
    if kind is apptypes.PYTHON:
        return "it is a Python application, WSGI or ASGI"
    return f"its type is `{kind.name}`"


def _decider(document: Document, name: str, app: App) -> Path | None:
    """The key that says what the type is; None when a file in `app_root` does."""
    for key in ("app_type", "app_start_command", "entry_point", "startup_file"):
        if getattr(app, key) is not None:
            return _place(document, name, key)
    return None


def _place(document: Document, name: str, key: str) -> Path:
    own: Path = ("apps", name, key)
    return own if _has(document, own) else ("defaults", key)


def _has(document: Document, path: Path) -> bool:
    here: object = document.data
    for part in path:
        here = here.get(part) if isinstance(here, dict) else None
    return here is not None
