"""Where every thread and task of this process is: for `passenger-status --show=backtraces`.

Files, lines and functions only: values of variables may be secret.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from typing import Final

DEEPEST: Final = 50


def backtraces() -> str:
    """Text: each thread, then each task of the running loop."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    parts = []
    for ident, frame in sys._current_frames().items():  # noqa: SLF001 - there is no other way
        stack = "".join(traceback.format_stack(frame, DEEPEST))
        parts.append(f"Thread {names.get(ident, '?')} ({ident}):\n{stack}")
    for task in sorted(asyncio.all_tasks(), key=lambda task: task.get_name()):
        stack = "".join(line for frame in task.get_stack(limit=DEEPEST) for line in traceback.format_stack(frame, 1))
        parts.append(f"Task {task.get_name()} ({task.get_coro()!r}):\n{stack or '  (not begun)' + chr(10)}")
    return "\n".join(parts)
