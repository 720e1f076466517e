"""Hooks as real processes: what they are told, what becomes of those that fail, hang, fork or are too many."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from passenger.config.accounts import Account, SystemAccounts
from passenger.config.hooks import Hooks
from passenger.config.instance import Core
from passenger.core import hook_run
from passenger.core.hook_run import HookRunner, hook_identity
from passenger.core.hooks import QUEUE, HookTable
from passenger.log import Log
from passenger.posix.exits import ExitWatch
from passenger.posix.users import Identity, IdentityError
from tests.support.watchdog import wait_gone

DEADLINE = 30.0


def myself() -> Identity:
    """Ourselves: what root does is another test."""
    account = Account("me", os.getuid(), os.getgid(), "/", "")
    return Identity(account=account, gid=os.getgid(), groups=(), switched=False)


class House:
    """A table of hooks over a runner, and the lines that both have logged."""

    def __init__(self, identity: Callable[[], Identity]) -> None:
        self._log_fd = os.memfd_create("log")
        log = Log(component="core", level="debug", form="text", fd=self._log_fd)
        runner = HookRunner(loop=asyncio.get_running_loop(), identity=identity, log=log)
        self.table = HookTable(instance="main", run=runner.run, log=log)

    def log(self) -> str:
        return os.pread(self._log_fd, 1 << 20, 0).decode()

    async def status(self, event: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.table.status({}))["hooks"][event]
        return found

    async def idle(self, event: str) -> dict[str, Any]:
        """Once the hook has nothing to do."""
        if (task := self.table._queues[event]._task) is not None:
            await asyncio.wait([task], timeout=DEADLINE)
        return await self.status(event)


def run(scene: Callable[[House], Coroutine[Any, Any, None]], identity: Callable[[], Identity] = myself) -> None:
    async def act() -> None:
        house = House(identity)
        try:
            await scene(house)
        finally:
            await house.table.close()
            os.close(house._log_fd)

    asyncio.run(act())


def shell(script: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", script)


def test_a_hook_is_told_what_happened_and_nothing_else() -> None:
    """Its environment names the event; its output is in the log, its failure too; an event without hook is nothing."""
    os.environ["SESAME"] = "secret"

    async def scene(house: House) -> None:
        house.table.apply(Hooks(attached_process=shell("env; exit 3")))
        house.table.tell("detached_process", {"app": "blog"})
        house.table.tell("attached_process", {"app": "blog", "pid": 7, "reason": "a\0b"})
        counts = await house.idle("attached_process")
        assert counts == {"runs": 1, "failed": 1, "dropped": 0, "waiting": 0, "running": False}
        text = house.log()
        for line in ("NAME=attached_process", "INSTANCE=main", "APP=blog", "PID=7", "REASON=ab"):
            assert f"output: PASSENGER_HOOK_{line}" in text
        assert "SESAME" not in text
        assert 'program=/bin/sh reason="exit status 3"' in text

    try:
        run(scene)
    finally:
        del os.environ["SESAME"]


@pytest.mark.parametrize("script", ["exec tail -f /dev/null", "trap '' TERM; tail -f /dev/null & wait; wait"])
def test_a_hook_that_hangs_ends_at_its_deadline(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all that it has started; the next event is served."""
    monkeypatch.setattr(hook_run, "GRACE", 0.2)
    marker = tmp_path / "pid"

    async def scene(house: House) -> None:
        house.table.apply(Hooks(spawn_failed=shell(f"echo $$ >> {marker}; {script}"), timeout=0.3))
        house.table.tell("spawn_failed", {"app": "blog"})
        house.table.tell("spawn_failed", {"app": "blog"})
        counts = await house.idle("spawn_failed")
        assert (counts["runs"], counts["failed"]) == (2, 2)
        assert "it did not end within 0.3 s" in house.log()

    run(scene)
    for pid in marker.read_text().split():
        wait_gone(int(pid))


def test_what_a_hook_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    """A child in the background holds up nobody and does not stay."""

    async def scene(house: House) -> None:
        house.table.apply(Hooks(after_reload=shell("tail -f /dev/null & echo child $!")))
        house.table.tell("after_reload", {})
        assert (await house.idle("after_reload"))["failed"] == 0
        found = re.search(r"child (\d+)", house.log())
        assert found
        wait_gone(int(found[1]))

    run(scene)


def test_a_flood_is_cut_and_counted_and_holds_up_no_other_hook(tmp_path: Path) -> None:
    """Events beyond the queue are dropped, the log says so once; another hook runs meanwhile."""
    gate, other = tmp_path / "gate", tmp_path / "other"
    os.mkfifo(gate)

    async def scene(house: House) -> None:
        house.table.apply(Hooks(queue_full=shell(f"read x < {gate}"), after_reload=shell(f"touch {other}")))
        for _ in range(QUEUE + 100):
            house.table.tell("queue_full", {"app": "blog"})
        assert (await house.status("queue_full"))["dropped"] == 100
        house.table.tell("after_reload", {})
        await house.idle("after_reload")
        assert other.exists()
        house.table.apply(Hooks())
        gate.write_text("go\n")
        counts = await house.idle("queue_full")
        assert (counts["runs"], counts["failed"], counts["waiting"]) == (1, 0, 0)
        assert house.log().count("events are dropped") == 1

    run(scene)


def test_a_program_that_cannot_be_run_is_a_failure_with_a_reason() -> None:
    """Missing, or nobody there to run it as."""

    async def missing(house: House) -> None:
        house.table.apply(Hooks(after_reload=("/no/such/program",)))
        house.table.tell("after_reload", {})
        assert (await house.idle("after_reload"))["failed"] == 1
        assert "/no/such/program cannot be run as user me: No such file" in house.log()

    run(missing)

    async def nobody(house: House) -> None:
        house.table.apply(Hooks(after_reload=shell("true")))
        house.table.tell("after_reload", {})
        assert (await house.idle("after_reload"))["failed"] == 1
        assert "nobody to run it as" in house.log()

    if os.geteuid() == 0:
        run(nobody, lambda: hook_identity(Core(default_user="nosuchuser"), SystemAccounts()))


def test_a_shortage_fails_one_run_and_the_next_is_served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a descriptor to watch it with, a hook is ended; the events behind it are not lost."""
    marker, watch = tmp_path / "pids", ExitWatch
    shortages = [OSError(24, "Too many open files")]

    def once_short(**given: Any) -> object:
        if shortages:
            raise shortages.pop()
        return watch(**given)

    monkeypatch.setattr(hook_run, "ExitWatch", once_short)

    async def scene(house: House) -> None:
        house.table.apply(Hooks(after_reload=shell(f"echo $$ >> {marker}")))
        house.table.tell("after_reload", {})
        house.table.tell("after_reload", {})
        counts = await house.idle("after_reload")
        assert (counts["runs"], counts["failed"], counts["waiting"]) == (2, 1, 0)
        assert "Too many open files" in house.log()
        assert marker.exists()

    run(scene)


@pytest.mark.root("switches users")
def test_hooks_of_root_are_not_run_as_root() -> None:
    """But as the user that the core itself would be, with nothing of root's groups; root itself is refused."""

    async def scene(house: House) -> None:
        house.table.apply(Hooks(after_reload=shell("id -un; id -G")))
        house.table.tell("after_reload", {})
        assert (await house.idle("after_reload"))["failed"] == 0
        assert "output: daemon" in house.log()
        assert not re.search(r"output: (\d+ )*0( |$)", house.log(), re.MULTILINE)

    core = Core(user="daemon")
    run(scene, lambda: hook_identity(core, SystemAccounts()))
    with pytest.raises(IdentityError):
        hook_identity(replace(core, user="root"), SystemAccounts())


def test_a_hook_that_runs_when_the_core_ends_ends_with_it(tmp_path: Path) -> None:
    """Nobody looks after it any more."""
    marker = tmp_path / "pid"
    os.mkfifo(marker)

    async def scene(house: House) -> None:
        house.table.apply(Hooks(after_reload=shell(f"echo $$ > {marker}; tail -f /dev/null")))
        house.table.tell("after_reload", {})
        pid = int(await asyncio.to_thread(marker.read_text))
        await house.table.close()
        wait_gone(pid)

    run(scene)
