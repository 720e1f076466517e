"""One reload, all or nothing: resolve, test, tell the core, switch nginx. A failure leaves what runs as it is.

Steps: 1 `reload_argv` turns the running plan into a new one; 2 new addresses are bound; 3 a new generation of nginx
files is written and tested; 4 the core applies its configuration; 5 nginx follows; 6 the new plan is the running one.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from passenger.errors import EXIT_FAILED, EXIT_OK, HostError, PassengerError
from passenger.instance.plan import Listen, Plan, dump, load
from passenger.watchdog.command import Result
from passenger.watchdog.generations import Generations
from passenger.watchdog.listeners import Listeners
from passenger.watchdog.loop import Loop, Timer
from passenger.watchdog.nginx import Nginx

RESOLVE_TIMEOUT: Final = 60.0
CORE_TIMEOUT: Final = 60.0

LIVE: Final = frozenset({
    "core_config", "shown_config", "config_files", "urls", "log_level", "drain_delay", "drain_timeout",
    "start_timeout", "max_crashes", "crash_window", "nginx_files", "nginx_listen", "nginx_log_file", "reload_argv",
    "waiting_keys", "reload_on_change", "telemetry",
})  # fmt: skip
"""Fields of a Plan that a reload can change; a change of any other needs a restart of the instance."""

TRANSIENT: Final = frozenset({"pid_file", "readiness_fd", "version"})

Report = Callable[[dict[str, Any] | None, str, int], None]
"""Called with (report, "", 0) or (None, reason, the status that a command should end with)."""


class Site(Protocol):
    """What a reload needs of the running instance."""

    def resolve(self, argv: list[str], stdin: bytes, timeout: float, on_done: Callable[[Result], None]) -> None: ...
    def tell_core(self, config: Mapping[str, Any], on_done: Callable[[dict[str, Any] | None, str], None]) -> None: ...
    def core_is_running(self) -> bool: ...
    def nginx_is_running(self) -> bool: ...
    def adopt(self, plan: Plan) -> None: ...


class Reload:
    """Runs from `start` until `on_done`."""

    def __init__(
        self,
        site: Site,
        plan: Plan,
        *,
        loop: Loop,
        nginx: Nginx | None,
        listeners: Listeners,
        generations: Generations,
        on_done: Report,
    ) -> None:
        self._site = site
        self._old = plan
        self._new = plan
        self._loop = loop
        self._nginx = nginx
        self._listeners = listeners
        self._generations = generations
        self._on_done = on_done
        self._restart_needed: list[str] = []
        self._added: list[Listen] = []
        self._generation = ""
        self._previous = generations.current
        self._core_report: dict[str, Any] = {}
        self._deadline: Timer | None = None
        self._over = False

    def start(self) -> None:
        if not self._site.core_is_running():
            self._fail("the core is not running at the moment; try again when it is back")
            return
        running = dataclasses.replace(self._old, readiness_fd=None)
        self._guarded(lambda: self._site.resolve(self._old.reload_argv, dump(running), RESOLVE_TIMEOUT, self._resolved))

    def abandon(self, why: str) -> None:
        """The instance has other things to do now."""
        self._fail(why)

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except (PassengerError, OSError) as error:
            self._fail(str(error))

    def _resolved(self, result: Result) -> None:
        if self._over:
            return
        if result.summary:
            reason = result.errors or f"the configuration could not be resolved: the resolver {result.summary}"
            self._fail(reason, status=result.status or EXIT_FAILED)
            return
        try:
            offered = load(Plan, result.output)
        except (ValueError, TypeError, KeyError) as error:
            self._fail(f"the configuration could not be resolved: {error}")
            return
        self._new, self._restart_needed = merge(self._old, offered)
        self._guarded(self._prepare)

    def _prepare(self) -> None:
        if self._nginx is not None:
            self._added = self._listeners.add(self._new.nginx_listen)
        if self._new.nginx_files == self._old.nginx_files and not reads_certificates(self._new):
            self._tested("")
            return
        self._generation = self._generations.write(self._new.nginx_files)
        if self._nginx is None:
            self._tested("")
        else:
            self._nginx.test(self._new, self._generation, self._tested)

    def _tested(self, problem: str) -> None:
        if self._over:
            return
        if problem:
            self._fail(f"nginx {problem}")
        elif not self._site.core_is_running():
            self._fail("the core ended meanwhile; try again when it is back")
        else:
            self._deadline = self._loop.after(
                CORE_TIMEOUT, lambda: self._fail("the core did not answer", core_too=True)
            )
            self._site.tell_core(self._new.core_config, self._core_done)

    def _core_done(self, report: dict[str, Any] | None, reason: str) -> None:
        if self._over:
            return
        if self._deadline is not None:
            self._deadline.cancel()
        if report is None:
            self._fail(f"the core keeps its configuration: {reason}")
            return
        self._core_report = report
        self._switch_nginx()

    def _switch_nginx(self) -> None:
        try:
            if self._generation:
                self._generations.switch(self._generation)
            if self._nginx is None or not self._site.nginx_is_running() or not (self._generation or self._added):
                self._nginx_done("")  # one that is being restarted takes over the new files by itself
            elif self._added:
                self._nginx.replace(self._new, self._added, self._nginx_done)
            else:
                self._nginx.reload(self._report)
                self._adopt()
        except (HostError, OSError) as error:
            self._nginx_done(str(error))

    def _nginx_done(self, problem: str) -> None:
        if self._over:
            return
        if problem:
            self._fail(problem, core_too=True)
            return
        self._adopt()
        self._report()

    def _adopt(self) -> None:
        """From here on the new configuration is what runs."""
        self._over = True
        if self._generation:
            self._forget(self._previous)
        if self._nginx is not None:
            self._listeners.drop(self._listeners.others(self._new.nginx_listen))
        self._site.adopt(self._new)

    def _report(self) -> None:
        self._on_done({"core": self._core_report, "restart_needed": self._restart_needed}, "", EXIT_OK)

    def _fail(self, reason: str, *, core_too: bool = False, status: int = EXIT_FAILED) -> None:
        """Put everything back and report."""
        if self._over:
            return
        self._over = True
        if self._deadline is not None:
            self._deadline.cancel()
        try:
            if self._generation and self._generations.current == self._generation:
                self._generations.switch(self._previous)
        except (HostError, OSError) as error:  # the rest goes back all the same
            reason += f"; and the files of nginx could not be put back: {error}"
        else:
            self._forget(self._generation)
        self._listeners.drop(self._added)
        if core_too:
            self._site.tell_core(self._old.core_config, lambda _, __: None)
        self._on_done(None, reason, status)

    def _forget(self, generation: str) -> None:
        """What cannot be removed now goes with the instance directory."""
        with contextlib.suppress(OSError):
            if generation:
                self._generations.remove(generation)


def reads_certificates(plan: Plan) -> bool:
    """Whether nginx has read files that may have changed although its configuration has not: renewed certificates."""
    return any("ssl_certificate" in text for text in plan.nginx_files.values())


def merge(running: Plan, offered: Plan) -> tuple[Plan, list[str]]:
    """The plan that can be applied now, and what needs a restart of the instance: keys, and fields that follow from
    something else (the accounts of this host, for example)."""
    changed = {
        field.name
        for field in dataclasses.fields(Plan)
        if field.name not in TRANSIENT and getattr(running, field.name) != getattr(offered, field.name)
    }
    live = {name: getattr(offered, name) for name in LIVE}
    return dataclasses.replace(running, **live), [*offered.waiting_keys, *sorted(changed - LIVE)]
