"""`passenger start --daemonize`: the instance goes to the background once it is ready, not before.

The child gets a session of its own and its output in the log file, and becomes the watchdog (or the parent of several).
The command waits on a pipe for one line of JSON: `{"ready": true}` when all instances are, or `{"error": "..."}`. EOF
without a line means that it died.
"""

from __future__ import annotations

import json
import os
import select
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn

from passenger.cli import outputs
from passenger.errors import EXIT_FAILED, HostError, PassengerError
from passenger.instance.plan import Plan

GRACE = 30.0
"""Seconds on top of the watchdog's own start timeout, for its clean-up and nginx."""

LONGEST_ANSWER = 65536

Become = Callable[[Sequence[Plan], Mapping[str, str]], NoReturn]


def run_in_background(plans: Sequence[Plan], *, log_file: str, environ: Mapping[str, str], become: Become) -> int:
    """Start the plans in a child and wait until all are ready; returns its pid. Raises HostError when one is not."""
    log = outputs.open_log(log_file)
    answer, announce = os.pipe()
    pid = os.fork()
    if pid == 0:
        _child([replace(plan, readiness_fd=announce) for plan in plans], announce, log, environ, become)
    os.close(log)
    os.close(announce)
    try:
        _wait(answer, max(plan.start_timeout for plan in plans) + GRACE, log_file)
    finally:
        os.close(answer)
    return pid


def _child(plans: Sequence[Plan], announce: int, log: int, environ: Mapping[str, str], become: Become) -> NoReturn:
    """Never returns into the parent's code, whatever happens."""
    try:
        os.setsid()
        outputs.close_input()
        outputs.redirect_output(log)
        become(plans, environ)
    except PassengerError as error:
        os.write(announce, json.dumps({"error": str(error)}).encode() + b"\n")
    except Exception:  # a bug of ours: the log gets the traceback, the parent sees EOF
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(EXIT_FAILED)


def _wait(answer: int, timeout: float, log_file: str) -> None:
    """Raises HostError unless the line says ready within `timeout` seconds (it is one write, so one read)."""
    poll = select.poll()
    poll.register(answer, select.POLLIN)
    if not poll.poll(timeout * 1000):
        raise HostError(f"not ready within {timeout:g} s; it goes on trying", hint=f"its output is in {log_file}")
    line = os.read(answer, LONGEST_ANSWER)
    try:
        said: dict[str, Any] = json.loads(line) if line else {"error": "it ended before it was ready"}
    except ValueError:
        said = {"error": f"it answered {line!r}"}
    if not said.get("ready"):
        raise HostError(f"could not be started: {said.get('error')}", hint=f"its whole output is in {log_file}")
