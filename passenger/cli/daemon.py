"""`passenger start --daemonize`: the instance goes to the background once it is ready, not before.

The child gets a session of its own and its output in the log file, and becomes the watchdog. The parent waits on one
pipe per instance for a line of JSON: `{"ready": true}` or `{"error": "..."}`. EOF without a line means it died.
"""

from __future__ import annotations

import json
import os
import select
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn

from passenger.cli import outputs
from passenger.errors import EXIT_FAILED, HostError, PassengerError
from passenger.instance.plan import Plan

GRACE = 30.0
"""Seconds on top of the watchdog's own start timeout, for its clean-up and nginx."""

Become = Callable[[Sequence[Plan], Mapping[str, str]], NoReturn]


def run_in_background(plans: Sequence[Plan], *, log_file: str, environ: Mapping[str, str], become: Become) -> int:
    """Start the plans in a child and wait until all are ready; returns its pid. Raises HostError when one is not."""
    log = outputs.open_log(log_file)
    pipes = [os.pipe() for _ in plans]
    pid = os.fork()
    if pid == 0:
        announcing = [replace(plan, readiness_fd=write) for plan, (_, write) in zip(plans, pipes, strict=True)]
        _child(announcing, log, environ, become)
    os.close(log)
    for _, write in pipes:
        os.close(write)
    readers = {read: plan.name for plan, (read, _) in zip(plans, pipes, strict=True)}
    try:
        _wait(readers, time.monotonic() + max(plan.start_timeout for plan in plans) + GRACE, log_file)
    finally:
        for reader in readers:
            os.close(reader)
    return pid


def _child(plans: Sequence[Plan], log: int, environ: Mapping[str, str], become: Become) -> NoReturn:
    """Never returns into the parent's code, whatever happens."""
    try:
        os.setsid()
        outputs.close_input()
        outputs.redirect_output(log)
        become(plans, environ)
    except PassengerError as error:
        for plan in plans:
            if plan.readiness_fd is not None:
                os.write(plan.readiness_fd, json.dumps({"error": str(error)}).encode() + b"\n")
    finally:
        os._exit(EXIT_FAILED)


def _wait(readers: Mapping[int, str], deadline: float, log_file: str) -> None:
    poll = select.poll()
    waiting = dict(readers)
    buffers = dict.fromkeys(readers, b"")
    for reader in readers:
        poll.register(reader, select.POLLIN)
    while waiting:
        events = poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
        if not events:
            raise HostError(f"instance {', '.join(waiting.values())} did not become ready", hint=f"look at {log_file}")
        for reader, _ in events:
            data = os.read(reader, 65536)
            buffers[reader] += data
            if data and b"\n" not in data:
                continue
            _check(buffers[reader], waiting.pop(reader), log_file)
            poll.unregister(reader)


def _check(line: bytes, name: str, log_file: str) -> None:
    """Raises HostError unless the line says ready."""
    try:
        answer: dict[str, Any] = json.loads(line) if line else {}
    except ValueError:
        answer = {}
    if answer.get("ready"):
        return
    why = answer.get("error") or "it ended before it was ready"
    raise HostError(f"instance {name} could not be started: {why}", hint=f"its whole output is in {log_file}")
