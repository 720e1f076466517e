"""The parts of the core that watch what goes on, assembled: made at the start, following each reload."""

from __future__ import annotations

import asyncio

from passenger.clock import SystemClock
from passenger.config.model import InstanceConfig
from passenger.core.hooks import HookTable
from passenger.core.instance_core import InstanceCore
from passenger.core.metrics import Metrics
from passenger.core.probes import Probes
from passenger.core.step_sums import StepSums
from passenger.instance.plan import CoreLaunch
from passenger.log import Log
from passenger.pool.pool import Pool
from passenger.request.handler import RequestHandler
from passenger.spawn.spec import SpawnContext


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
    log: Log,
) -> None:
    """The page /metrics, following each reload."""
    steps = StepSums()
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
        steps=steps,
        log=log.child("metrics"),
    )
    metrics.apply(is_on=config.instance.admin.metrics)
    handler.pages["metrics"] = metrics.ask
    core.followers.append(lambda new: metrics.apply(is_on=new.instance.admin.metrics))
