"""The watchdog program: reads its plan, builds the house, runs the loop, leaves nothing behind."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
from collections.abc import Mapping
from typing import Final

from passenger.clock import Clock, SystemClock
from passenger.errors import EXIT_FAILED, PassengerError
from passenger.instance.pidfile import pid_file
from passenger.instance.plan import Plan, from_descriptor
from passenger.instance.variables import PLAN_FD_VARIABLE
from passenger.journal import journal_behind
from passenger.log import Log
from passenger.posix.activation import Given, given, keep_from_children
from passenger.posix.heap import give_back
from passenger.posix.prctl import become_subreaper, forbid_dumps
from passenger.posix.sockets import peer_groups
from passenger.watchdog import verbs
from passenger.watchdog.announcement import Announcer
from passenger.watchdog.api import WatchdogApi, for_readers
from passenger.watchdog.child import default_signals
from passenger.watchdog.environment import Surroundings, surroundings
from passenger.watchdog.house import House
from passenger.watchdog.interior import WATCHDOG_API, WATCHDOG_READERS
from passenger.watchdog.loop import Loop, Signals
from passenger.watchdog.phases import Phase
from passenger.watchdog.supervisor import Supervisor

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD)


def main() -> None:
    """`python -m passenger.watchdog`, with the plan on the descriptor named by PASSENGER_PLAN_FD."""
    open_standard_descriptors()
    number = os.environ.get(PLAN_FD_VARIABLE, "")
    if not number.isdigit():
        sys.exit(f"{PLAN_FD_VARIABLE} is not set: this program is started by `passenger start`")
    try:
        plan = from_descriptor(Plan, int(number))
    except (OSError, ValueError) as error:
        sys.exit(f"the plan on descriptor {number} cannot be read: {error}")
    sys.exit(run(plan, environ=os.environ, clock=SystemClock()))


def run(plan: Plan, *, environ: Mapping[str, str], clock: Clock) -> int:
    """Run the instance; returns the exit status."""
    default_signals()
    log = Log(
        component="watchdog",
        instance=plan.name,
        level=plan.log_level,
        form=plan.log_format,
        journal=journal_behind(2, environ),
    )
    around = surroundings(environ)
    if os.getpid() != 1:  # PID 1 is everybody's reaper already
        become_subreaper()
    if os.geteuid() == 0:
        forbid_dumps()
    announcer = Announcer(readiness_fd=plan.readiness_fd)
    received = given(environ, os.getpid())
    keep_from_children(received)
    loop = Loop(clock)
    with contextlib.closing(loop):
        try:
            return _live(plan, loop, clock, log, around, announcer, received)
        except PassengerError as error:
            return _refuse(error, log, announcer)


def _live(
    plan: Plan, loop: Loop, clock: Clock, log: Log, around: Surroundings, announcer: Announcer, received: Given
) -> int:
    with contextlib.closing(
        House(plan, loop=loop, clock=clock, log=log, surroundings=around, announcer=announcer, given=received)
    ) as house:
        supervisor = Supervisor(plan, house, log)
        with pid_file(plan.pid_file, log), contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.closing(Signals(loop, SIGNALS, supervisor.signalled)))
            apis = _apis(house, supervisor, log)
            for api in apis.values():
                stack.enter_context(contextlib.closing(api))
            house.interior.on_new_sockets = lambda: _listen(apis, house)
            supervisor.begin()
            house.config_watch.on_change = lambda: _changed(supervisor)
            house.config_watch.follow(plan)
            gc.collect()
            give_back()
            gc.freeze()
            gc.enable()  # `__main__` has it disabled while all this is made
            loop.run()
        return supervisor.status


def _changed(supervisor: Supervisor) -> bool:
    """Reload; False = it has to wait until the instance has started."""
    if supervisor.machine.phase is not Phase.STARTING:
        supervisor.reload(lambda _: None)
        return True
    return False


def _listen(apis: dict[str, WatchdogApi], house: House) -> None:
    for name, listener in house.interior.for_us.items():
        apis[name].listen(listener)


def _apis(house: House, supervisor: Supervisor, log: Log) -> dict[str, WatchdogApi]:
    """`watchdog_api`, and where there are readers their own."""
    roles = house.roles
    tell, change = verbs.telling(supervisor), verbs.changing(supervisor)
    apis = {
        WATCHDOG_API: WatchdogApi(
            house.loop, {**tell, **change}, admits=lambda _, peer: roles.may_change(peer.uid), log=log
        )
    }
    if roles.has_readers:
        apis[WATCHDOG_READERS] = WatchdogApi(
            house.loop,
            for_readers(tell, change),
            admits=lambda connection, peer: roles.may_look(peer.uid, {peer.gid, *peer_groups(connection)}),
            log=log,
        )
    _listen(apis, house)
    return apis


def _refuse(error: PassengerError, log: Log, announcer: Announcer) -> int:
    log.error(error.message, **({"hint": error.hint} if error.hint else {}))
    announcer.failed(str(error))
    return EXIT_FAILED


def open_standard_descriptors() -> None:
    """Descriptors 0 to 2 exist from here on, so that no socket is ever taken for our output."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
