"""The step from command to instance: the start process puts the plans into memory and becomes the watchdog.

Rules.
1. exec, not fork: nothing of the command line's memory stays, and the pid that a supervisor knows is the watchdog's.
2. Plans travel on inherited anonymous memory only (they hold secrets).
3. A signal that means stop waits for the watchdog's handlers: a PID 1 without handlers would never see it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from passenger.errors import HostError
from passenger.instance.plan import Plan, to_memory
from passenger.instance.programs import python_module
from passenger.instance.variables import PLAN_FD_VARIABLE


def become_watchdog(plans: Sequence[Plan], environ: Mapping[str, str]) -> NoReturn:
    """Replace this process by the watchdog of one plan, or by the parent of several. Raises HostError."""
    descriptors = [to_memory(plan) for plan in plans]
    for descriptor in (*descriptors, *(plan.readiness_fd for plan in plans)):
        if descriptor is not None:
            os.set_inheritable(descriptor, True)
    module = "passenger.watchdog" if len(plans) == 1 else "passenger.watchdog.parent"
    command = python_module(module)
    environment = dict(environ) | {PLAN_FD_VARIABLE: ",".join(map(str, descriptors))}
    sys.stdout.flush()
    sys.stderr.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT))
    try:
        os.execve(command[0], command, environment)  # noqa: S606 - an argv list, no shell
    except OSError as error:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT))
        raise HostError(f"cannot run {command[0]}: {error.strerror}") from error
