"""The core program: reads its CoreLaunch, builds the parts, tells them about each other, runs the loop.

This is the only place of the core that knows every part; the parts know the seams only.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import sys

import uvloop

from passenger.clock import SystemClock
from passenger.config.accounts import SystemAccounts
from passenger.config.model import InstanceConfig
from passenger.config.paths import InstancePaths
from passenger.config.resolved import decode
from passenger.core.api import CoreApi
from passenger.core.feedback import Feedback
from passenger.core.heartbeat import say_ready
from passenger.core.hook_run import HookRunner, hook_identity
from passenger.core.hooks import HookTable
from passenger.core.instance_core import InstanceCore
from passenger.core.memory_guard import MemoryGuard
from passenger.core.observing import watchers
from passenger.core.own_pages import OwnPages
from passenger.core.own_process import settle_memory, take_output, take_signals
from passenger.core.probes import Probes
from passenger.core.process_limits import ProcessLimits, is_of_instance
from passenger.core.recent import RecentLines
from passenger.core.restart_files import ALWAYS, RESTART, RestartFiles
from passenger.core.restart_verbs import RestartVerbs
from passenger.core.sizing import pool_size
from passenger.core.telemetry import Telemetry
from passenger.core.traffic_verbs import TrafficVerbs
from passenger.errors import EXIT_FAILED, PassengerError
from passenger.instance.early_launch import receive_launch
from passenger.instance.plan import CoreLaunch, from_descriptor
from passenger.instance.roles import Roles
from passenger.instance.variables import EARLY_FD_VARIABLE, LAUNCH_FD_VARIABLE
from passenger.journal import journal_behind
from passenger.log import Log
from passenger.pool.limits import PoolLimits
from passenger.pool.pool import Pool
from passenger.posix.bounds import own_bounds
from passenger.posix.cgroup import visible_cpus, visible_memory
from passenger.posix.delegation import AppCgroups, own_cgroup
from passenger.posix.meter import Meter
from passenger.request.cgi import client_of
from passenger.request.errand import Errands
from passenger.request.handler import RequestHandler
from passenger.request.healthcheck import check_health
from passenger.request.upgrade import UpgradeClient
from passenger.spawn.factory import AppSpawnerFactory
from passenger.spawn.spec import SpawnContext, system_context


def main() -> None:
    """Run until drained, or until the watchdog dies."""
    launch = _launched()
    if launch is None:
        return
    log = Log(
        component="core",
        instance=launch.name,
        level=launch.log_level,
        form=launch.log_format,
        journal=journal_behind(2, os.environ),
    )
    try:
        uvloop.run(_run(launch, log))
    except PassengerError as error:
        log.write("error", error.message, {"hint": error.hint})
        sys.exit(EXIT_FAILED)


def _launched() -> CoreLaunch | None:
    """What the watchdog has us do; None when we were started early and are not needed."""
    if (number := os.environ.pop(EARLY_FD_VARIABLE, None)) is None:
        return from_descriptor(CoreLaunch, int(os.environ.pop(LAUNCH_FD_VARIABLE)))
    with socket.socket(fileno=int(number)) as channel:
        channel.set_inheritable(False)
        return receive_launch(channel)


async def _run(launch: CoreLaunch, log: Log) -> None:
    loop = asyncio.get_running_loop()
    clock = SystemClock()
    recent = RecentLines()
    log.copy_to(recent.add)
    config = decode(InstanceConfig, launch.config)
    auto = pool_size(cpus=visible_cpus(), memory=visible_memory())
    cgroups = AppCgroups(launch.name, own=own_cgroup(), memory=visible_memory(), is_ours=is_of_instance)
    context = _context(launch, config, cgroups)
    pool = _pool(config, auto, context, loop, clock, log)
    probes = Probes(pool.is_started)
    handler = _handler(launch, config, loop, pool, clock, probes, log)
    core = InstanceCore(
        config=config,
        version=launch.version,
        auto_pool_size=auto,
        pool=pool,
        handler=handler,
        probes=probes,
        clock=clock,
        log=log,
    )
    take_signals(loop, core)
    feedback = Feedback(
        socket.socket(fileno=launch.feedback_fd),
        loop=loop,
        log=log,
        on_command=core.command,
        on_death=core.watchdog_died,
        on_descriptor=take_output,
    )
    core.feedback = feedback
    hooks = _hooks(config, core, pool, handler, loop, log)
    telemetry = watchers(launch, config, loop, pool, handler, core, probes, context, hooks, log)
    traffic = _traffic(launch, core, pool, handler, probes, feedback, log)
    api = _api(launch, core, RestartVerbs(pool, clock), traffic, hooks, telemetry, recent, log)
    await _listen(launch, api)
    _take_requests(launch, config, handler)
    limits = _limits(config, core, pool, cgroups, loop, clock, log)
    _show_own_pages(context, config, core, handler, log)
    pool.start()
    restart_files = _restart_files(loop, config, core, pool, log)
    settle_memory()
    say_ready(launch, pool, feedback, loop)
    await core.until_ended()
    restart_files.close()
    await hooks.close()
    telemetry.close()
    limits.close()
    api.close()
    feedback.close()


def _handler(
    launch: CoreLaunch,
    config: InstanceConfig,
    loop: asyncio.AbstractEventLoop,
    pool: Pool,
    clock: SystemClock,
    probes: Probes,
    log: Log,
) -> RequestHandler:
    return RequestHandler(
        loop=loop,
        pool=pool,
        apps=config.apps,
        connect_secret=launch.connect_secret.encode(),
        allowed_uids=frozenset(launch.allowed_uids),
        clock=clock,
        log=log.child("request"),
        probes=probes.answer,
        max_head=config.instance.core.max_request_header_size,
    )


def _take_requests(launch: CoreLaunch, config: InstanceConfig, handler: RequestHandler) -> None:
    handler.listen(socket.socket(fileno=launch.sockets["request"]), client_of(config.instance.web_server))
    handler.listen(socket.socket(fileno=launch.sockets["request_http"]), UpgradeClient)


async def _listen(launch: CoreLaunch, api: CoreApi) -> None:
    """Answer on the control sockets that the watchdog has made."""
    await api.listen(socket.socket(fileno=launch.sockets["core_api"]))
    if "core_api_ro" in launch.sockets:
        await api.listen_to_readers(socket.socket(fileno=launch.sockets["core_api_ro"]))


def _traffic(
    launch: CoreLaunch,
    core: InstanceCore,
    pool: Pool,
    handler: RequestHandler,
    probes: Probes,
    feedback: Feedback,
    log: Log,
) -> TrafficVerbs:
    """Pauses and the like, as the core before has left them, following each reload."""
    verbs = TrafficVerbs(
        handler.traffic,
        pool,
        probes,
        clock=SystemClock(),
        log=log.child("traffic"),
        keep=lambda key, value: feedback.send({"event": "keep", "key": key, "value": value}),
    )
    verbs.restore(launch.kept, pool.names())
    core.followers.append(lambda new: verbs.follow(new.apps))
    return verbs


def _api(
    launch: CoreLaunch,
    core: InstanceCore,
    restarts: RestartVerbs,
    traffic: TrafficVerbs,
    hooks: HookTable,
    telemetry: Telemetry,
    recent: RecentLines,
    log: Log,
) -> CoreApi:
    """The control sockets' verbs, one file of `passenger.core` per topic."""
    core.acting |= {"restart": restarts.restart, "pause": traffic.pause, "resume": traffic.resume}
    return CoreApi(
        telling={
            "status": core.status,
            "health": core.health_verb,
            "server": core.server_verb,
            "restarted": restarts.restarted,
            "hooks": hooks.status,
            **core.telling,
            **telemetry.telling(),
        },
        private={"backtraces": core.backtraces_verb, "logs": recent.logs},
        changing={
            "restart": restarts.restart,
            "detach": restarts.detach,
            "pause": traffic.pause,
            "resume": traffic.resume,
            "maintenance": traffic.maintenance,
            "drain": traffic.drain,
            **telemetry.changing(),
        },
        roles=Roles(owner=launch.owner_uid, reader_uids=launch.reader_uids, reader_gids=launch.reader_gids),
        log=log.child("api"),
    )


def _context(launch: CoreLaunch, config: InstanceConfig, cgroups: AppCgroups) -> SpawnContext:
    """What all processes of applications have in common."""
    section = config.instance.core
    return system_context(
        socket_dir=InstancePaths(root=launch.instance_dir).apps,
        version=launch.version,
        log_level=launch.log_level,
        default_user=section.default_user,
        default_group=section.default_group,
        bounds=own_bounds(),
        cgroups=cgroups,
    )


def _pool(
    config: InstanceConfig,
    auto: int,
    context: SpawnContext,
    loop: asyncio.AbstractEventLoop,
    clock: SystemClock,
    log: Log,
) -> Pool:
    """The ApplicationPool with what starts its processes; `auto` is its size when the configuration names none."""
    section = config.instance.core
    pool = Pool(
        loop=loop,
        clock=clock,
        log=log.child("pool"),
        factory=AppSpawnerFactory(context=context, loop=loop, clock=clock, log=log.child("app")),
        limits=PoolLimits(
            max_pool_size=section.max_pool_size or auto,
            pool_idle_time=section.pool_idle_time,
            max_parallel_spawns=section.max_parallel_spawns,
        ),
        apps=config.apps,
        random=random.random,
        check_health=check_health,
    )
    pool.errand_runner = Errands(loop, clock, log.child("app")).run
    return pool


def _limits(
    config: InstanceConfig,
    core: InstanceCore,
    pool: Pool,
    cgroups: AppCgroups,
    loop: asyncio.AbstractEventLoop,
    clock: SystemClock,
    log: Log,
) -> ProcessLimits:
    """Cgroups and the look at memory, following each reload. Raises HostError."""
    guard = MemoryGuard(loop=loop, clock=clock, pool=pool, log=log, visible=visible_memory(), meter=Meter())
    limits = ProcessLimits(cgroups, guard, pool=pool, log=log)
    limits.prepare(config.apps)
    limits.follow(config.apps)
    core.limits = limits
    core.gates.append(lambda new: limits.prepare(new.apps))
    core.followers.append(lambda new: limits.follow(new.apps))
    return limits


def _show_own_pages(
    context: SpawnContext, config: InstanceConfig, core: InstanceCore, handler: RequestHandler, log: Log
) -> None:
    """The applications' own error pages, following each reload."""
    pages = OwnPages(context, handler.show, log)
    pages.apply(config.apps)
    core.followers.append(lambda new: pages.apply(new.apps))


def _hooks(
    config: InstanceConfig,
    core: InstanceCore,
    pool: Pool,
    handler: RequestHandler,
    loop: asyncio.AbstractEventLoop,
    log: Log,
) -> HookTable:
    """The operator's programs, following each reload."""
    section = config.instance.core
    runner = HookRunner(loop=loop, identity=lambda: hook_identity(section, SystemAccounts()), log=log.child("hook"))
    hooks = HookTable(instance=config.name, run=runner.run, log=log.child("hook"))
    hooks.apply(config.instance.hooks)
    pool.tell_of_events(hooks.tell)
    handler.timekeeper.notify = hooks.tell

    def follow(new: InstanceConfig) -> None:
        hooks.apply(new.instance.hooks)
        hooks.tell("after_reload", {})

    core.followers.append(follow)
    return hooks


def _restart_files(
    loop: asyncio.AbstractEventLoop, config: InstanceConfig, core: InstanceCore, pool: Pool, log: Log
) -> RestartFiles:
    """The look-out for restart.txt, under way, following each reload."""
    files = RestartFiles(
        loop=loop,
        log=log,
        restart=lambda app: pool.restart([app], why=RESTART),
        always=lambda app, is_so: pool.set_on_demand(app, is_so=is_so, why=ALWAYS),
    )
    files.start(config.apps, config.instance.core.stat_throttle_rate)
    core.followers.append(lambda new: files.apply(new.apps, new.instance.core.stat_throttle_rate))
    return files
