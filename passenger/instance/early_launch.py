"""How a core that was started early gets its CoreLaunch: over its channel to the watchdog, sockets included.

Rules.
1. One byte with all descriptors: the document's first, then the listening sockets in the order in which it names them.
2. What comes is what an inherited CoreLaunch would say, with the numbers that the descriptors have in this process.
3. A channel that ends before is no mistake: nobody needs this core.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from passenger.instance.plan import CoreLaunch, from_descriptor, to_memory

MOST_SOCKETS: Final = 16


def send_launch(channel: socket.socket, launch: CoreLaunch, sockets: Mapping[str, socket.socket]) -> None:
    """Have the core at the other end begin. Raises OSError."""
    document = to_memory(launch)
    try:
        socket.send_fds(channel, [b"\n"], [document, *(sockets[name].fileno() for name in launch.sockets)])
    finally:
        os.close(document)


def receive_launch(channel: socket.socket) -> CoreLaunch | None:
    """Wait for it; the channel is the feedback channel from then on. None when it ended. Raises OSError, ValueError."""
    said, descriptors, _, _ = socket.recv_fds(channel, 1, 1 + MOST_SOCKETS)
    if not said:
        return None
    launch = from_descriptor(CoreLaunch, descriptors[0])
    return replace(
        launch, feedback_fd=channel.detach(), sockets=dict(zip(launch.sockets, descriptors[1:], strict=True))
    )
