"""A core that begins while `passenger start` still reads the configuration: what it imports takes as long as that does.

Rules.
1. It knows nothing, opens nothing and waits on its channel until the watchdog, into which this process turns, hands it
   a CoreLaunch. When none comes (a mistake in the configuration, several instances), the channel ends, and so does it.
2. It is started as the watchdog would start it: a session of its own, no stdin, our output, nothing private in its
   environment.
3. Not as root: who the core will be is not known yet, and only a process that never was root has nothing to give up.
   Not when somebody handed us listening sockets: it would inherit them all.
4. What cannot be started early is started later: no mistake here is one worth a word.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Mapping, MutableMapping, Sequence

from passenger.instance.programs import python_module
from passenger.instance.variables import EARLY_CORE_VARIABLE, EARLY_FD_VARIABLE
from passenger.watchdog.child import DEFAULTED
from passenger.watchdog.environment import PRIVATE

COMES_TO_NOTHING = frozenset({"--help", "-h", "--daemonize", "-d"})
"""Options with which this process does not become the watchdog."""

NOT_WITH = frozenset({EARLY_CORE_VARIABLE, "LISTEN_FDS"})


def begin_core(
    arguments: Sequence[str], environ: MutableMapping[str, str], *, euid: int, command: Sequence[str] = ()
) -> None:
    """Start it and leave a note of it in the environment, which is the watchdog's in a moment."""
    if euid == 0 or not COMES_TO_NOTHING.isdisjoint(arguments) or not NOT_WITH.isdisjoint(environ):
        return
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.set_inheritable(True)
        try:
            pid = _spawn(list(command or python_module("passenger.core")), theirs.fileno(), environ)
        except OSError:
            ours.close()
            return
    ours.set_inheritable(True)
    environ[EARLY_CORE_VARIABLE] = f"{pid} {ours.detach()}"


def _spawn(command: list[str], channel: int, environ: Mapping[str, str]) -> int:
    public = {name: value for name, value in environ.items() if name not in PRIVATE}
    return os.posix_spawn(
        command[0],
        command,
        public | {EARLY_FD_VARIABLE: str(channel)},
        file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0)],
        setsid=True,
        setsigmask=(),
        setsigdef=(*DEFAULTED, signal.SIGPIPE),
    )
