"""The end of a start that came to nothing."""

from __future__ import annotations

import os
import sys

from passenger_loader.talk import explain

TYPE_CHECKING = False  # see passenger_loader.body
if TYPE_CHECKING:
    from typing import NoReturn


def give_up(error: BaseException) -> NoReturn:
    """Tell the spawner why there will be no Ready, and end at once: threads of the application may hang forever."""
    sys.stdout.flush()
    sys.stderr.flush()
    explain(error)
    os._exit(1)
