"""How one program of this package starts another: `python -m passenger.X` with the same interpreter.

Rules.
1. Never with the current folder on the module path (`-P`): `passenger start` in an application's folder must not
   import the application's `json.py`, least of all as root.
2. A package that is found only through `sys.path[0]` (a checkout that is not installed) is handed on explicitly.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder

_FROM_CHECKOUT = (
    "import runpy, sys; sys.path.insert(0, sys.argv[1]); module = sys.argv[2]; del sys.argv[1:3]; "
    "runpy.run_module(module, run_name='__main__', alter_sys=True)"
)


def python_module(module: str) -> list[str]:
    """The beginning of a command line that runs a module of this package as a program."""
    if _found_without_first_entry():
        return [sys.executable, "-P", "-m", module]
    folder = os.path.realpath(__file__).rsplit("/", 3)[0]
    return [sys.executable, "-P", "-c", _FROM_CHECKOUT, folder, module]


def _found_without_first_entry() -> bool:
    from_checkout = _FROM_CHECKOUT in sys.orig_argv
    path = sys.path if sys.flags.safe_path and not from_checkout else sys.path[1:]
    return PathFinder.find_spec("passenger", path) is not None
