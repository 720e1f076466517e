"""nginx as the watchdog sees it: a master that inherits our addresses, tested before it is trusted.

Rules.
1. Addresses are bound by us and handed over by nginx's own `NGINX` variable, so that no connection is refused while
   one master follows another; a dead master's workers are asked to finish (SIGQUIT), later killed.
2. Ready means that a worker accepts connections (`probe`), not that a process exists.
3. New addresses need a new master: it is started beside the old one on the shared sockets, and the old one is retired
   when the new one accepts. All other changes are a SIGHUP.
4. No nginx outlives the watchdog: the kernel sends the master SIGTERM when we die.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Final

from passenger.instance.plan import Listen, Plan
from passenger.posix.prctl import dies_with_parent
from passenger.watchdog.child import Child, Reaper, describe
from passenger.watchdog.command import Command, Result
from passenger.watchdog.environment import Surroundings
from passenger.watchdog.errorlog import ErrorLog
from passenger.watchdog.generations import Generations
from passenger.watchdog.handover import when_left, workers
from passenger.watchdog.launch import NULL, launch
from passenger.watchdog.listeners import Listeners
from passenger.watchdog.logpipe import LogPipe
from passenger.watchdog.loop import Loop
from passenger.watchdog.probe import Probe

TEST_TIMEOUT: Final = 30.0
NUDGE_AFTER: Final = 0.1
NUDGES: Final = 20
"""A starting master notes a signal and goes to sleep without looking at the note; the next signal, of whatever kind,
makes it look. So each message is followed by some SIGCHLD, which mean nothing by themselves, until it must be up."""


class Nginx:
    """At most one master in charge. Reports by `on_ready`, `on_gone(child, reason)`."""

    def __init__(
        self,
        loop: Loop,
        reaper: Reaper,
        surroundings: Surroundings,
        listeners: Listeners,
        generations: Generations,
        log_pipe: LogPipe,
        error_log: ErrorLog,
        *,
        on_ready: Callable[[], None],
        on_gone: Callable[[Child | None, str], None],
    ) -> None:
        self.child: Child | None = None
        self._loop = loop
        self._reaper = reaper
        self._surroundings = surroundings
        self._listeners = listeners
        self._generations = generations
        self._log_pipe = log_pipe
        self._error_log = error_log
        self._on_ready = on_ready
        self._on_gone = on_gone
        self._test: Command | None = None
        self._probe: Probe | None = None
        self._coming: Child | None = None
        self._give_up: Callable[[], None] = lambda: None

    def test(self, plan: Plan, generation: str, on_done: Callable[[str], None]) -> None:
        """`nginx -t` on a generation; `on_done` gets "" or the reason. Raises HostError."""

        def done(result: Result) -> None:
            self._test = None
            on_done(result.summary and _explained(result))

        argv = [*self._argv(plan, generation), "-t", "-q"]
        environ = self._surroundings.child_environ
        self._test = Command(
            self._loop,
            self._reaper,
            argv,
            env=environ,
            stdin=b"",
            timeout=TEST_TIMEOUT,
            umask=self._surroundings.umask,
            on_done=done,
        )

    def test_and_start(self, plan: Plan) -> None:
        """The first start. A refused configuration is reported as `on_gone`. Raises HostError."""

        def tested(problem: str) -> None:
            if problem:
                self._on_gone(None, problem)
            else:
                self.start(plan)

        self.test(plan, self._generations.current, tested)

    def start(self, plan: Plan) -> None:
        """Start a master on the current generation. Raises HostError."""
        self.child = self._launch(plan)
        self._when_accepting(self._listeners.addresses(), self._on_ready)

    def reload(self, on_done: Callable[[], None] = lambda: None) -> None:
        """Take over the files of `current`; `on_done` (later) when no worker serves the old ones to new connections."""
        old: set[int] = set()
        if self.child is not None:
            old = workers(self.child.pid)
            self._tell(self.child, signal.SIGHUP)
        when_left(self._loop, old, on_done)

    def move(self) -> None:
        """The folder was made anew: take over its files, which makes nginx's own folders there, too."""
        if self.child is not None:
            self._generations.write_pid(self.child.pid)
            self.reload()

    def replace(self, plan: Plan, added: list[Listen], on_done: Callable[[str], None]) -> None:
        """Put a new master with more addresses in charge; `on_done` gets "" or the reason. Raises HostError."""
        old, new = self.child, self._launch(plan)
        self._coming = new

        def accepted() -> None:
            timer.cancel()
            self.child, self._coming = new, None
            if old is not None:
                self._tell(old, signal.SIGQUIT)
            on_done("")

        def give_up() -> None:
            timer.cancel()
            self._close_probe()
            self._coming = None
            new.signal_group(signal.SIGKILL)
            on_done("the new nginx did not accept connections on the new addresses")

        timer = self._loop.after(TEST_TIMEOUT, give_up)
        self._give_up = give_up
        self._when_accepting(added, accepted)

    def signal(self, number: int) -> None:
        """SIGQUIT finishes requests, SIGTERM does not, SIGKILL goes to the workers too."""
        if self._test is not None:
            self._test.kill()
        for child in (self._coming, self.child):
            if child is None:
                continue
            if number == signal.SIGKILL:
                child.signal_group(number)
            else:
                self._tell(child, number)

    def _tell(self, child: Child, number: int, nudges: int = NUDGES) -> None:
        child.signal(number)
        if nudges and not child.is_reaped:
            self._loop.after(NUDGE_AFTER, lambda: self._tell(child, signal.SIGCHLD, nudges - 1))

    def _launch(self, plan: Plan) -> Child:
        fds = self._listeners.fds()
        pid = launch(
            [*self._argv(plan, "current"), "-g", "daemon off;"],
            env=self._surroundings.child_environ | ({"NGINX": "".join(f"{fd};" for fd in fds)} if fds else {}),
            fds=fds,
            umask=self._surroundings.umask,
            before_exec=dies_with_parent(signal.SIGTERM),
            streams=(NULL, self._log_pipe.stream(), self._error_log.writer),
        )
        child = Child(
            "nginx",
            pid,
            started_at=self._loop.clock.monotonic(),
            on_exit=self._exit,
            last_words=signal.SIGQUIT,
        )
        self._reaper.add(child)
        self._surroundings.restore_oom_score(child.pid)
        return child

    def _argv(self, plan: Plan, generation: str) -> list[str]:
        return [*plan.nginx_argv, "-p", f"{self._generations.folder}/", "-c", self._generations.conf(generation)]

    def _when_accepting(self, addresses: list[Listen], call: Callable[[], None]) -> None:
        self._close_probe()
        if addresses:
            self._probe = Probe(self._loop, addresses[0], on_answer=call)
        else:
            self._loop.after(0, call)

    def _close_probe(self) -> None:
        if self._probe is not None:
            self._probe.close()
            self._probe = None

    def _exit(self, child: Child, status: int) -> None:
        if child is self.child:
            self.child = None
            self._close_probe()
            self._on_gone(child, describe(status))
        elif child is self._coming:
            self._give_up()


def _explained(result: Result) -> str:
    """The complaint and what to do about it. Its table is imported here: a watchdog that never needs it stays small."""
    from passenger.webserver.check import refusal

    problem = refusal(result.errors or result.summary)
    return f"{problem.message}; {problem.hint}" if problem.hint else problem.message
