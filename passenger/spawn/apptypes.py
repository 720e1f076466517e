"""The AppTypes registry: what kinds of applications there are, how each is recognised, and which loader starts it.

One table. A new kind is a new row, plus its loader in `helper_scripts`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class AppType:
    """One kind of application."""

    name: str
    """Value of `app_type`."""
    startup_file: str
    """The file in the application's root that gives the kind away, and that is loaded by default."""
    loader: str
    """File in `helper_scripts`."""
    preloader: str | None = None
    """File in `helper_scripts` that loads the application once and forks; None = every process loads it itself."""
    interpreter_key: str
    """Configuration key that names the interpreter."""
    process_title: str


APP_TYPES: Final = (
    AppType(
        name="wsgi",
        startup_file="passenger_wsgi.py",
        loader="wsgi_loader.py",
        preloader="wsgi_preloader.py",
        interpreter_key="python",
        process_title="Passenger WsgiApp",
    ),
)


def by_name(name: str) -> AppType | None:
    """The type that a configuration names."""
    return next((kind for kind in APP_TYPES if kind.name == name), None)


def detect(app_root: str, *, exists: Callable[[str], bool]) -> AppType | None:
    """The first type of the table whose startup file is there."""
    return next((kind for kind in APP_TYPES if exists(f"{app_root}/{kind.startup_file}")), None)
