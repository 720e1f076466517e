"""What the core's process is told and tells itself, beside its work: signals, where its output goes, memory."""

from __future__ import annotations

import asyncio
import gc
import os
import signal

from passenger.core.instance_core import InstanceCore
from passenger.posix.heap import give_back


def take_signals(loop: asyncio.AbstractEventLoop, core: InstanceCore) -> None:
    """The watchdog alone decides what Ctrl-C means; its TERM is the last word before KILL."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        # A handler, not SIG_IGN: an ignored signal stays ignored in every application that is started.
        signal.signal(number, lambda *_: None)
    loop.add_signal_handler(signal.SIGTERM, core.stop_now, "SIGTERM")


def take_output(descriptor: int) -> None:
    """stdout and stderr go to another file from here on."""
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)


def settle_memory() -> None:
    """What is alive now lives as long as the core: keep the collector from walking it for every request."""
    gc.collect()
    give_back()
    gc.freeze()
    gc.enable()  # `__main__` has it disabled while all this is made
