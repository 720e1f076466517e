"""`python -m passenger.telemetry`: UstRouter, started by the watchdog only, with a RouterLaunch on a descriptor."""

from __future__ import annotations

import gc
import os
import socket
import sys

from passenger.config.resolved import decode
from passenger.config.telemetry import Routes
from passenger.errors import EXIT_FAILED, PassengerError
from passenger.instance.plan import from_descriptor
from passenger.instance.router_launch import ROUTER_FD_VARIABLE, RouterLaunch
from passenger.log import Log
from passenger.telemetry.assembly import sinks_of
from passenger.telemetry.router import Router


def main() -> None:
    """Run until told to stop, or until the watchdog dies."""
    number = os.environ.pop(ROUTER_FD_VARIABLE, "")
    if not number.isdigit():
        sys.exit(f"{ROUTER_FD_VARIABLE} is not set: this program is started by the watchdog")
    launch = from_descriptor(RouterLaunch, int(number))
    told = Log(component="ustrouter", instance=launch.name, level=launch.log_level, form=launch.log_format)

    def on_trouble(sink: str, problem: str) -> None:
        if problem:
            told.warn("telemetry is not delivered; it is kept as far as there is room", sink=sink, reason=problem)
        else:
            told.info("telemetry is delivered again", sink=sink)

    try:
        sinks = sinks_of(
            decode(Routes, launch.telemetry), instance=launch.name, version=launch.version, on_trouble=on_trouble
        )
    except PassengerError as error:
        told.write("error", error.message, {"hint": error.hint})
        sys.exit(EXIT_FAILED)
    gc.freeze()
    Router(socket.socket(fileno=launch.records_fd), socket.socket(fileno=launch.feedback_fd), sinks, told).run()
    os._exit(0)  # a delivery that hangs has had its time


if __name__ == "__main__":
    main()
