"""The core that `passenger start` began while it read the configuration (`cli.early_core`): exec kept it as our child.

Rule: a note that names anything but a living child of ours is not believed; then a core is started as usual.
"""

from __future__ import annotations

import os
import socket
from typing import NamedTuple


class BegunCore(NamedTuple):
    """A core's process and our end of its channel."""

    pid: int
    channel: socket.socket

    def is_alive(self) -> bool:
        """Asked without reaping it. The pid cannot be somebody else's as long as we have not."""
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:
            return False


def early_core(note: str) -> BegunCore | None:
    """What a note in the environment tells: `PID FD`. None without one."""
    pid, _, number = note.partition(" ")
    if not (pid.isdigit() and number.isdigit()):
        return None
    try:
        channel = socket.socket(fileno=int(number))
    except OSError:
        return None
    channel.set_inheritable(False)
    return BegunCore(int(pid), channel)
