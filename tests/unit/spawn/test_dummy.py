"""The in-memory spawner keeps the contract that the real one keeps."""

from __future__ import annotations

import asyncio

import pytest

from passenger.config.model import App
from passenger.spawn.dummy import DummySpawnerFactory
from passenger.spawn.spawner import Exit, RunningProcess, Spawner, SpawnerFactory, SpawnError


def test_a_dummy_process_lives_and_ends() -> None:
    """Stop, exit told once per callback, late askers told too."""

    async def life() -> None:
        factory: SpawnerFactory = DummySpawnerFactory(asyncio.get_running_loop())
        spawner: Spawner = factory.spawner_for("blog", App(app_root="/srv", thread_count=3))
        process: RunningProcess = await spawner.spawn()
        assert process.sockets[0].concurrency == 3
        exits: list[Exit] = []
        process.when_exited(exits.append)
        process.request_stop()
        late: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        process.when_exited(late.set_result)
        assert await late == Exit(0)
        process.kill()
        assert exits == [Exit(0)]

    asyncio.run(life())


def test_a_dummy_spawner_fails_and_waits_on_demand() -> None:
    """What a pool has to cope with."""

    async def life() -> None:
        spawner = DummySpawnerFactory(asyncio.get_running_loop()).spawner_for("blog", App(app_root="/srv"))
        spawner.hold()
        task = asyncio.create_task(spawner.spawn())
        spawner.let_go()
        stubborn = await task
        assert stubborn.pid == 1
        spawner.fail_with = SpawnError("no", category="x", error_id="1")
        with pytest.raises(SpawnError):
            await spawner.spawn()
        await spawner.close()
        assert spawner.closed

    asyncio.run(life())
