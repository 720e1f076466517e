"""A reload in the core: refused whole, or taken over whole, whichever part it is that fails."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any, cast

import pytest

from passenger.clock import SystemClock
from passenger.config.instance import Core, Instance
from passenger.config.model import App, InstanceConfig
from passenger.config.resolved import encode
from passenger.core.feedback import Feedback
from passenger.core.instance_core import InstanceCore
from passenger.core.probes import Probes
from passenger.errors import HostError
from passenger.log import Log
from passenger.pool.limits import PoolLimits
from passenger.pool.pool import Pool
from passenger.request.handler import RequestHandler

OLD = InstanceConfig(
    name="main",
    instance=Instance(core=Core(max_pool_size=3)),
    apps=MappingProxyType({"a": App(instance="main", app_root="/srv/a")}),
)
NEW = replace(OLD, instance=Instance(log_level="error", core=Core(max_pool_size=5)), apps=MappingProxyType({}))


class Parts:
    """Pool, handler and channel in one; `breaks` is the part that fails once, when it is told of what is new."""

    def __init__(self, breaks: str) -> None:
        self.breaks = breaks
        self.size = 3
        self.apps: Any = OLD.apps
        self.handled: Any = OLD.apps
        self.followed: Any = OLD
        self.said: list[dict[str, Any]] = []

    def apply(self, limits: Any, apps: Any = None) -> dict[str, Any]:
        if isinstance(limits, PoolLimits):
            self._may_break("pool")
            self.size, self.apps = limits.max_pool_size, apps
        else:
            self._may_break("handler")
            self.handled = limits
        return {"removed": ["a"]}

    def gate(self, _config: InstanceConfig) -> None:
        if self.breaks == "gate":
            raise HostError("no room", hint="make some")

    def follow(self, config: InstanceConfig) -> None:
        self._may_break("follower")
        self.followed = config

    def send(self, message: dict[str, Any]) -> None:
        self.said.append(message)

    def _may_break(self, part: str) -> None:
        if self.breaks == part:
            self.breaks = ""
            raise RuntimeError(f"{part} broke")


def core_of(parts: Parts) -> InstanceCore:
    core = InstanceCore(
        config=OLD,
        version="1",
        auto_pool_size=2,
        pool=cast(Pool, parts),
        handler=cast(RequestHandler, parts),
        probes=Probes(lambda: True),
        clock=SystemClock(),
        log=Log(component="core", instance="main", level="error", form="text"),
    )
    core.feedback = cast(Feedback, parts)
    core.gates.append(parts.gate)
    core.followers.append(parts.follow)
    return core


@pytest.mark.parametrize(
    ("breaks", "reason"),
    [
        ("gate", "no room (make some)"),
        ("pool", "pool broke"),
        ("handler", "handler broke"),
        ("follower", "follower broke"),
        ("message", "KeyError"),
    ],
)
def test_a_part_that_fails_takes_the_others_back(breaks: str, reason: str) -> None:
    """Everybody has the old configuration again, and the watchdog the reason."""
    parts = Parts(breaks)
    config = {"name": "main"} if breaks == "message" else encode(NEW, secrets=True)
    core_of(parts).command({"command": "reload", "id": 7, "config": config})
    (answer,) = parts.said
    assert (answer["event"], answer["id"]) == ("reload_failed", 7)
    assert reason in answer["reason"]
    assert (parts.size, dict(parts.apps), dict(parts.handled)) == (3, OLD.apps, OLD.apps)
    assert parts.followed == OLD


def test_what_works_is_taken_over_by_all() -> None:
    """The pool's size, the routes, and whoever follows."""
    parts = Parts("")
    core_of(parts).command({"command": "reload", "id": 8, "config": encode(NEW, secrets=True)})
    assert parts.said == [{"event": "reloaded", "report": {"removed": ["a"]}, "id": 8}]
    assert (parts.size, dict(parts.apps), dict(parts.handled)) == (5, {}, {})
    assert parts.followed == NEW
