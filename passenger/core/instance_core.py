"""The core, assembled: RequestHandler + ApplicationPool, the verbs of its API and the commands of the watchdog.

Life: starting (applications are being started, requests already queue) -> running -> draining (first, told to
`leave`, only by name: readiness fails, all else goes on) -> gone.

Rules.
1. Requests are accepted before the first application is ready: they queue, they are not refused.
2. Drain order: stop accepting, finish what is in flight, stop applications, say `drained`, exit 0.
3. A dead watchdog (EOF on the feedback channel) ends the core and its applications: nothing may live unsupervised.
4. A reload is all or nothing: it is decoded before anything is changed, and taken back if a part fails.
"""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Literal

from passenger.clock import Clock
from passenger.config.model import InstanceConfig
from passenger.config.resolved import decode
from passenger.core.api import Verb
from passenger.core.backtraces import backtraces
from passenger.core.feedback import Feedback
from passenger.core.memory import Usages
from passenger.core.probes import Probes
from passenger.core.process_limits import ProcessLimits
from passenger.errors import PassengerError
from passenger.log import Log
from passenger.pool.limits import PoolLimits
from passenger.pool.pool import Pool
from passenger.request.handler import RequestHandler
from passenger.request.serverview import server_status
from passenger.wire.status import CoreStatus

State = Literal["starting", "running", "draining"]


class InstanceCore:
    """One running core."""

    def __init__(
        self,
        *,
        config: InstanceConfig,
        version: str,
        auto_pool_size: int,
        pool: Pool,
        handler: RequestHandler,
        probes: Probes,
        clock: Clock,
        log: Log,
    ) -> None:
        self._config = config
        self._version = version
        self._auto_pool_size = auto_pool_size
        self._pool = pool
        self._handler = handler
        self._probes = probes
        self._clock = clock
        self._log = log
        self._usages = Usages(now=clock.monotonic)
        self._started_at = clock.wall()
        self._started = clock.monotonic()
        self._ended: asyncio.Event = asyncio.Event()
        self._drain: asyncio.Task[None] | None = None
        self._is_half_way = False
        self.feedback: Feedback | None = None
        self.followers: list[Callable[[InstanceConfig], None]] = []
        """Told of each configuration that was taken over."""
        self.gates: list[Callable[[InstanceConfig], None]] = []
        """Asked before one is: they prepare for it, or refuse it with a PassengerError."""
        self.limits: ProcessLimits | None = None
        self.telling: dict[str, Verb] = {}
        """Verbs of those who watch, for everybody who may look."""
        self.acting: dict[str, Verb] = {}
        """Verbs that the dashboard offers to who knows its token."""

    async def until_ended(self) -> None:
        """Returns when everything has been drained or killed."""
        await self._ended.wait()

    # What the watchdog says

    def command(self, message: Mapping[str, Any]) -> None:
        """One command of the feedback channel."""
        match message.get("command"):
            case "drain":
                self._begin_drain(float(message.get("timeout", 0.0)))
            case "leave":
                self._probes.draining = True
            case "close_tunnels":
                self._handler.close_tunnels()
            case "reload":
                self._reload(message)
            case "reopen_logs":
                self._log.info("the log file was opened anew")
            case other:
                self._log.error("the watchdog sent an unknown command", command=str(other))

    def watchdog_died(self) -> None:
        """Nothing may live unsupervised."""
        self.stop_now("the watchdog is gone")

    def stop_now(self, why: str) -> None:
        """End everything without waiting for requests."""
        if not self._ended.is_set():
            self._log.warn("stopping at once", why=why)
            self._handler.close()
            self._pool.kill_all()
            self._ended.set()

    def _begin_drain(self, timeout: float) -> None:
        if self._drain is not None:
            self.stop_now("told to stop a second time")
            return
        self._probes.draining = True
        deadline = self._clock.monotonic() + timeout
        self._drain = asyncio.get_running_loop().create_task(self._run_drain(deadline))

    async def _run_drain(self, deadline: float) -> None:
        self._log.info("draining", active=self._handler.active)
        answered = asyncio.Event()
        self._handler.stop_accepting(answered.set)
        try:
            async with asyncio.timeout(deadline - self._clock.monotonic()):
                await answered.wait()
        except TimeoutError:
            self._log.warn("requests still run at the end of the drain time", active=self._handler.active)
        await self._pool.drain(deadline)
        self._handler.close()
        self._finished()

    def _finished(self) -> None:
        if not self._ended.is_set():
            if self.feedback is not None:
                self.feedback.send({"event": "drained"})
            self._ended.set()

    def _reload(self, message: Mapping[str, Any]) -> None:
        try:
            report = self._take_over(decode(InstanceConfig, message["config"]))
        except (KeyError, TypeError, ValueError) as error:
            self._refuse(message, f"{type(error).__name__}: {error}")
        except PassengerError as error:
            self._refuse(message, f"{error.message} ({error.hint})")
        except Exception as error:  # an own bug: what runs must not stay half of one and half of the other
            self._log.error("a reload failed", traceback="".join(traceback.format_exception(error)))
            self._refuse(message, f"{type(error).__name__}: {error}")
        else:
            self._report(message, {"event": "reloaded", "report": report})

    def _take_over(self, config: InstanceConfig) -> dict[str, Any]:
        for gate in self.gates:
            gate(config)
        report = self._pool.apply(self.limits_of(config), config.apps)
        self._is_half_way = True
        self._handler.apply(config.apps)
        self._log.set_level(config.instance.log_level)
        for follow in self.followers:
            follow(config)
        self._config = config
        self._is_half_way = False
        return report

    def _refuse(self, message: Mapping[str, Any], reason: str) -> None:
        """What was taken over of a refused configuration is taken back."""
        if self._is_half_way:
            self._is_half_way = False
            self._take_over(self._config)
        self._report(message, {"event": "reload_failed", "reason": reason})

    def _report(self, message: Mapping[str, Any], answer: dict[str, Any]) -> None:
        if self.feedback is not None:
            self.feedback.send({**answer, "id": message.get("id")})

    def limits_of(self, config: InstanceConfig) -> PoolLimits:
        """The pool's limits, with the default size worked out from what the instance may use."""
        core = config.instance.core
        return PoolLimits(
            max_pool_size=core.max_pool_size or self._auto_pool_size,
            pool_idle_time=core.pool_idle_time,
            max_parallel_spawns=core.max_parallel_spawns,
        )

    # What the command line asks

    def state(self) -> State:
        if self._probes.draining:
            return "draining"
        return "running" if self._pool.is_started() else "starting"

    async def status(self, _question: Mapping[str, Any]) -> dict[str, Any]:
        """Verb `status`: the pool, with memory and CPU of every process."""
        pool = self._pool.snapshot()
        pids = [process["pid"] for group in pool["groups"] for process in group["processes"]]
        pids += [group["preloader"]["pid"] for group in pool["groups"] if group["preloader"]]
        usage = await self._usages.of(pids)
        for group in pool["groups"]:
            app = self._config.apps.get(group["name"])
            group["traffic"] = self._handler.traffic.status(group["name"])
            if app is not None and self.limits is not None:
                group["limits"] = self.limits.report(group["name"], app)
            if preloader := group["preloader"]:
                used = usage[preloader["pid"]]
                preloader["rss"], preloader["pss"], preloader["private"] = used.rss, used.pss, used.private
            for process in group["processes"]:
                used = usage[process["pid"]]
                process["rss"], process["pss"], process["private"] = used.rss, used.pss, used.private
                process["cpu_seconds"] = used.cpu_seconds
        status: CoreStatus = {
            "name": self._config.name,
            "version": self._version,
            "core_pid": os.getpid(),
            "started_at": self._started_at,
            "uptime": self._clock.monotonic() - self._started,
            "state": self.state(),
            "drained_at": self._probes.drained_at,
            "pool": pool,
            "requests": self._handler.status(),
        }
        return {"status": status}

    async def server_verb(self, _question: Mapping[str, Any]) -> dict[str, Any]:
        """Verb `server`: the RequestHandler and its clients."""
        return {"server": server_status(self._handler)}

    async def backtraces_verb(self, _question: Mapping[str, Any]) -> dict[str, Any]:
        """Verb `backtraces`."""
        return {"backtraces": backtraces()}

    async def health_verb(self, _question: Mapping[str, Any]) -> dict[str, Any]:
        """Verb `health`: the same facts as the probes."""
        health = self._probes.health
        return {"live": True, "ready": health.ready, "started": health.started, "reasons": health.reasons}
