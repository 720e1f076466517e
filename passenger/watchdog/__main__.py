"""Entry point of the watchdog.

Before anything else `inspect` becomes a lazy module: `dataclasses` imports it for a case that does not arise here
(wording the docstring of a class without one), and it would cost the watchdog a megabyte for life.
"""

from __future__ import annotations

import importlib.util
import sys


def _load_lazily(name: str) -> None:
    """The recipe of the standard library's documentation of `LazyLoader`."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None or name in sys.modules:
        return
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


_load_lazily("inspect")

from passenger.watchdog.main import main  # noqa: E402 - after the lazy module is in place

main()
