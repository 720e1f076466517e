"""How every loader and preloader for Python begins, and how it ends when nothing comes of it."""

from __future__ import annotations

import os
import sys
import traceback

from .talk import Explanation, explain, shake_hands

TYPE_CHECKING = False  # see passenger_loader.body
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

FAULTS = (Explanation, OSError, KeyError, ValueError)
"""What may be wrong with a start: the application, the machine, or what the spawner said."""


def begin() -> dict[str, str]:
    """Talk with the spawner, and make this program look like the application's own. Returns the options."""
    options = shake_hands()
    sys.path[0] = os.getcwd()
    sys.argv[:] = [options.get("startup_file", "")]
    return options


def show_as(prefix: str, options: Mapping[str, str]) -> None:
    """Best effort: the short name that ps and top show (15 bytes)."""
    try:
        with open("/proc/self/comm", "w") as comm:
            comm.write(prefix + options.get("app_group_name", "app"))
    except OSError:
        return


def give_up(error: BaseException) -> NoReturn:
    """Tell the spawner why there will be no Ready, and end at once: threads of the application may hang forever."""
    if not isinstance(error, Explanation):
        traceback.print_exception(type(error), error, error.__traceback__)
    sys.stdout.flush()
    sys.stderr.flush()
    explain(error)
    os._exit(1)
