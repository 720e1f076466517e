"""The limits of an instance and its applications, each with the place that it comes from, for the dashboard. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from passenger.cli.effective import origin_of, shown_value
from passenger.config.diagnostics import Path
from passenger.config.keys import spec_at
from passenger.config.model import InstanceConfig, ShownLimit

if TYPE_CHECKING:
    from passenger.config.document import Document

INSTANCE_LIMITS: Final = ("max_pool_size", "max_parallel_spawns", "pool_idle_time")
"""Keys of `[instances.NAME.core]`."""
APP_LIMITS: Final = (
    "min_instances",
    "max_instances",
    "force_max_concurrent_requests_per_process",
    "max_request_queue_size",
    "max_request_queue_time",
    "max_request_time",
    "response_timeout",
    "start_timeout",
    "max_requests",
    "max_worker_age",
    "memory_limit",
    "hard_memory_limit",
)


def with_limits(config: InstanceConfig, document: Document) -> InstanceConfig:
    """The same configuration, and what is shown of its limits."""
    return replace(config, limits=tuple(_limits(config, document)))


def _limits(config: InstanceConfig, document: Document) -> Iterator[ShownLimit]:
    for name in INSTANCE_LIMITS:
        path = ("instances", config.name, "core", name)
        yield _limit("", path, getattr(config.instance.core, name), document)
    for app, settings in config.apps.items():
        for name in APP_LIMITS:
            yield _limit(app, ("apps", app, name), getattr(settings, name), document)


def _limit(app: str, path: Path, value: Any, document: Document) -> ShownLimit:
    spec = spec_at(path)
    assert spec is not None, path
    text = spec.key.default_doc or "none" if value is None else str(shown_value(spec, value))
    return ShownLimit(app=app, key=str(path[-1]), value=text, origin=str(origin_of(path, document)))
