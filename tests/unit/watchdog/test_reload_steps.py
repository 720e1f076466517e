"""A reload fails at each of its steps in turn: nothing new stays, the old configuration is what runs, the caller knows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest

from passenger.errors import EXIT_FAILED, HostError
from passenger.instance.plan import Listen, Plan, dump
from passenger.watchdog.command import Result
from passenger.watchdog.generations import Generations
from passenger.watchdog.listeners import Listeners
from passenger.watchdog.loop import Loop, Timer
from passenger.watchdog.nginx import Nginx
from passenger.watchdog.reload import Reload
from tests.support.watchdog import make_plan

OLD, NEW = Listen(host="127.0.0.1", port=1), Listen(host="127.0.0.1", port=2)
FULL = OSError(28, "No space left on device")


class World:
    """Everything that a reload touches; `breaks` names the step that fails, by `error`."""

    def __init__(self, breaks: str = "", error: Exception | None = None) -> None:
        self.breaks = breaks
        self.error = error or HostError("it broke")
        self.old = dataclasses.replace(
            make_plan("/run/p"), nginx_files={"nginx.conf": "old"}, nginx_listen=[OLD], core_config={"apps": 1}
        )
        self.new = dataclasses.replace(
            self.old, nginx_files={"nginx.conf": "new"}, nginx_listen=[OLD, NEW], core_config={"apps": 2}
        )
        self.running = self.old
        self.core = self.old.core_config
        self.bound = [OLD]
        self.files = {"1": "old"}
        self.current = "1"
        self.timers: list[Callable[[], None]] = []
        self.has_core = True
        self.outcome: list[tuple[dict[str, Any] | None, str, int]] = []

    def step(self, name: str) -> None:
        if self.breaks == name:
            raise self.error

    def reload(self) -> None:
        Reload(
            self,
            self.old,
            loop=cast(Loop, self),
            nginx=cast(Nginx, Master(self)),
            listeners=cast(Listeners, Addresses(self)),
            generations=cast(Generations, self),
            on_done=lambda *outcome: self.outcome.append(outcome),
        ).start()

    # Site

    def resolve(self, argv: list[str], stdin: bytes, timeout: float, on_done: Callable[[Result], None]) -> None:
        self.step("resolver cannot be started")
        if self.breaks == "configuration is invalid":
            on_done(Result(78, b"", "error[E204]: no", "ended with status 78"))
        elif self.breaks == "resolver speaks nonsense":
            on_done(Result(0, b"{", "", ""))
        else:
            on_done(Result(0, dump(self.new), "", ""))

    def tell_core(self, config: Mapping[str, Any], on_done: Callable[[dict[str, Any] | None, str], None]) -> None:
        if config == self.new.core_config and self.breaks == "core refuses":
            on_done(None, "no")
        elif config == self.new.core_config and self.breaks == "core is silent":
            self.timers.pop()()
        else:
            self.core = dict(config)
            on_done({}, "")

    def core_is_running(self) -> bool:
        return self.has_core and self.breaks != "core is away"

    def nginx_is_running(self) -> bool:
        return True

    def adopt(self, plan: Plan) -> None:
        self.running = plan

    # Loop

    def after(self, seconds: float, call: Callable[[], None]) -> Timer:
        self.timers.append(call)
        return Timer(call)

    # Generations

    def write(self, files: Mapping[str, str]) -> str:
        self.step("files cannot be written")
        self.files["2"] = files["nginx.conf"]
        return "2"

    def switch(self, name: str) -> None:
        self.step("files cannot be switched")
        self.current = name

    def remove(self, name: str) -> None:
        self.step("old files cannot be removed")
        del self.files[name]


class Master:
    """nginx."""

    def __init__(self, world: World) -> None:
        self.world = world

    def test(self, plan: Plan, generation: str, on_done: Callable[[str], None]) -> None:
        self.world.step("nginx cannot be started")
        if self.world.breaks == "core dies during the test":
            self.world.has_core = False
        on_done("says no" if self.world.breaks == "nginx says no" else "")

    def reload(self, on_done: Callable[[], None]) -> None:
        raise AssertionError("with a new address nginx is replaced")

    def replace(self, plan: Plan, added: list[Listen], on_done: Callable[[str], None]) -> None:
        self.world.step("nginx cannot be replaced")
        on_done("did not come up" if self.world.breaks == "new nginx does not come up" else "")


class Addresses:
    """The listeners."""

    def __init__(self, world: World) -> None:
        self.world = world

    def add(self, wanted: list[Listen]) -> list[Listen]:
        self.world.step("address is taken")
        added = [one for one in wanted if one not in self.world.bound]
        self.world.bound += added
        return added

    def drop(self, unwanted: list[Listen]) -> None:
        self.world.bound = [one for one in self.world.bound if one not in unwanted]

    def others(self, wanted: list[Listen]) -> list[Listen]:
        return [one for one in self.world.bound if one not in wanted]


FAILURES = [
    ("core is away", "core is not running"),
    ("resolver cannot be started", "it broke"),
    ("configuration is invalid", "E204"),
    ("resolver speaks nonsense", "could not be resolved"),
    ("address is taken", "it broke"),
    ("files cannot be written", "it broke"),
    ("nginx cannot be started", "it broke"),
    ("nginx says no", "says no"),
    ("core dies during the test", "core ended meanwhile"),
    ("core refuses", "the core keeps its configuration: no"),
    ("core is silent", "did not answer"),
    ("files cannot be switched", "it broke"),
    ("nginx cannot be replaced", "it broke"),
    ("new nginx does not come up", "did not come up"),
]


@pytest.mark.parametrize("error", [HostError("it broke"), OSError(28, "it broke")], ids=["refused", "OSError"])
@pytest.mark.parametrize(("breaks", "reason"), FAILURES)
def test_whatever_fails_the_old_configuration_is_what_runs(breaks: str, reason: str, error: Exception) -> None:
    """Core, addresses, files and plan are those of before; one answer with the reason."""
    world = World(breaks, error)
    world.reload()
    ((report, said, status),) = world.outcome
    assert report is None
    assert reason in said
    assert status == (78 if breaks == "configuration is invalid" else EXIT_FAILED)
    assert world.running is world.old
    assert world.core == world.old.core_config
    assert (world.bound, world.files, world.current) == ([OLD], {"1": "old"}, "1")


@pytest.mark.parametrize("breaks", ["", "old files cannot be removed"])
def test_everything_is_new_after_one_that_works(breaks: str) -> None:
    """Old files that stay behind are no reason to fail when everything has changed already."""
    world = World(breaks, FULL)
    world.reload()
    assert world.outcome == [({"core": {}, "restart_needed": []}, "", 0)]
    assert (world.running, world.core) == (world.new, world.new.core_config)
    assert (world.bound, world.current, world.files["2"]) == ([OLD, NEW], "2", "new")


def test_renewed_certificates_are_read() -> None:
    """Their files have changed, the configuration has not: nginx reads everything again."""
    world = World()
    world.old = world.new = dataclasses.replace(world.old, nginx_files={"nginx.conf": "ssl_certificate a;"})
    master = Master(world)
    told: list[Callable[[], None]] = []
    master.reload = told.append  # type: ignore[assignment,method-assign]
    Reload(
        world,
        world.old,
        loop=cast(Loop, world),
        nginx=cast(Nginx, master),
        listeners=cast(Listeners, Addresses(world)),
        generations=cast(Generations, world),
        on_done=lambda *outcome: world.outcome.append(outcome),
    ).start()
    assert world.current == "2"
    assert not world.outcome, "it is over when nginx serves by the new files"
    (taken_over,) = told
    taken_over()
    assert world.outcome[0][0] is not None
