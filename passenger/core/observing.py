"""The parts of the core that watch what goes on, assembled: made at the start, following each reload."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping

from passenger.clock import SystemClock
from passenger.config.model import InstanceConfig
from passenger.core.dashboard.desk import Dashboard
from passenger.core.dashboard.feed import Feed
from passenger.core.dashboard.troubles import Troubles
from passenger.core.hooks import HookTable
from passenger.core.instance_core import InstanceCore
from passenger.core.memory_shares import MemoryShares
from passenger.core.metrics import Metrics
from passenger.core.probes import Probes
from passenger.core.request_watch import RequestWatch
from passenger.core.series import Series
from passenger.core.step_sums import StepSums
from passenger.core.telemetry import Telemetry
from passenger.instance.plan import CoreLaunch
from passenger.log import Log
from passenger.pool.pool import Pool
from passenger.request.handler import RequestHandler
from passenger.spawn.spec import SpawnContext
from passenger.telemetry.courier import Courier


def watchers(
    launch: CoreLaunch,
    config: InstanceConfig,
    loop: asyncio.AbstractEventLoop,
    pool: Pool,
    handler: RequestHandler,
    core: InstanceCore,
    probes: Probes,
    context: SpawnContext,
    hooks: HookTable,
    log: Log,
) -> Telemetry:
    """The page /metrics, and what UstRouter is told."""
    courier = Courier(loop, SystemClock(), socket.socket(fileno=launch.sockets["telemetry"]))
    metrics_page(launch, config, loop, pool, handler, core, probes, context, hooks, courier, log)
    return telemetry_of(config, loop, pool, handler, core, context, hooks, courier, log)


def metrics_page(
    launch: CoreLaunch,
    config: InstanceConfig,
    loop: asyncio.AbstractEventLoop,
    pool: Pool,
    handler: RequestHandler,
    core: InstanceCore,
    probes: Probes,
    context: SpawnContext,
    hooks: HookTable,
    courier: Courier,
    log: Log,
) -> None:
    """The page /metrics, following each reload, and what the last minutes were like."""
    steps, watch, memory = StepSums(), RequestWatch(handler, pool.names), MemoryShares()
    context.journey_observers.append(steps)
    metrics = Metrics(
        name=config.name,
        version=launch.version,
        started_at=SystemClock().wall(),
        loop=loop,
        pool=pool,
        handler=handler,
        is_ready=lambda: probes.health.ready,
        hooks=hooks.counts,
        telemetry=courier.status,
        steps=steps,
        watch=watch,
        memory=memory,
        log=log.child("metrics"),
    )
    metrics.apply(is_on=config.instance.admin.metrics)
    handler.pages["metrics"] = metrics.ask
    core.followers.append(lambda new: metrics.apply(is_on=new.instance.admin.metrics))
    core.followers.append(lambda _: watch.follow())
    series = Series(loop=loop, clock=SystemClock(), pool=pool, watch=watch, memory=memory)
    core.telling["series"] = series.verb
    dashboard_page(config, loop, pool, handler, core, series, log.child("dashboard"))


def dashboard_page(
    config: InstanceConfig,
    loop: asyncio.AbstractEventLoop,
    pool: Pool,
    handler: RequestHandler,
    core: InstanceCore,
    series: Series,
    log: Log,
) -> None:
    """The page /dashboard, following each reload."""
    troubles = Troubles(SystemClock())
    pool.tell_of_failures(troubles.failed)
    feed = Feed(loop=loop, status=core.status, series=series, troubles=troubles, log=log)
    dashboard = Dashboard(loop=loop, feed=feed, troubles=troubles, verbs=core.acting, log=log)
    dashboard.apply(config)
    handler.desks.update(dashboard.desks())
    handler.leaving.append(feed.leave)
    core.followers.append(dashboard.apply)


def telemetry_of(
    config: InstanceConfig,
    loop: asyncio.AbstractEventLoop,
    pool: Pool,
    handler: RequestHandler,
    core: InstanceCore,
    context: SpawnContext,
    hooks: HookTable,
    courier: Courier,
    log: Log,
) -> Telemetry:
    """What UstRouter is told, following each reload; it hears of events where hooks do."""
    clock = SystemClock()
    telemetry = Telemetry(
        loop=loop, clock=clock, courier=courier, handler=handler, pool=pool, log=log.child("telemetry")
    )

    def tell(event: str, facts: Mapping[str, object]) -> None:
        hooks.tell(event, facts)
        telemetry.happened(event, facts)

    pool.tell_of_events(tell)
    handler.timekeeper.notify = tell
    context.journey_observers.append(telemetry.spawned)
    core.followers.append(telemetry.follow)
    telemetry.apply(config)
    return telemetry
