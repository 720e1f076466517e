"""Limits that a process has when its loader runs: set by its own user, or by root, direct and forked."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from passenger.clock import SystemClock
from passenger.config.app_limits import AppRlimits
from passenger.config.bounds import Bounds
from passenger.config.model import App
from passenger.log import Log
from passenger.posix.bounds import own_bounds
from passenger.spawn.limits import Limits, SpawnLimits, set_on
from passenger.spawn.smart import SmartSpawner
from tests.support.spawning import Place, place, proc_text, run, stopped

CPU = min(os.sched_getaffinity(0))


@pytest.fixture(name="here")
def _here() -> Iterator[Place]:
    with place() as made:
        yield made


def limit(pid: int, name: str) -> list[str]:
    """Soft and hard limit as /proc shows them."""
    line = next(line for line in proc_text(pid, "limits").splitlines() if line.startswith(name))
    return line.removeprefix(name).split()[:2]


def facts(pid: int) -> dict[str, object]:
    return {
        "files": limit(pid, "Max open files"),
        "processes": limit(pid, "Max processes"),
        "core": limit(pid, "Max core file size"),
        "address space": limit(pid, "Max address space"),
        "cpu": limit(pid, "Max cpu time"),
        "nice": os.getpriority(os.PRIO_PROCESS, pid),
        "cpus": os.sched_getaffinity(pid),
        "oom": proc_text(pid, "oom_score_adj").strip(),
    }


def limited(here: Place) -> App:
    rlimits = AppRlimits(nofile=512, nproc=3000, core="0B", address_space="8GiB", cpu=3600.0)
    return here.app("blog", rlimits=rlimits, nice=7, cpu_affinity=(CPU,), oom_score_adj=300)


EXPECTED = {
    "files": ["512", "512"],
    "processes": ["3000", "3000"],
    "core": ["0", "0"],
    "address space": [str(8 << 30)] * 2,
    "cpu": ["3600", "3600"],
    "nice": 7,
    "cpus": {CPU},
    "oom": "300",
}


def test_a_process_has_the_limits_of_its_application(here: Place) -> None:
    """Every kind of limit, set without any right, as the application's user."""

    async def spawn() -> dict[str, object]:
        process = await here.spawner(limited(here), bounds=own_bounds()).spawn()
        found = facts(process.pid)
        await stopped(process)
        return found

    assert run(spawn()) == EXPECTED


def test_a_forked_process_has_those_of_its_preloader(here: Place) -> None:
    """The preloader gets them; what it forks inherits them."""

    async def spawn() -> list[dict[str, object]]:
        spawner = SmartSpawner(
            name="blog",
            app=limited(here),
            context=here.context(bounds=own_bounds()),
            loop=asyncio.get_running_loop(),
            clock=SystemClock(),
            log=Log(component="core", fd=here.log_fd),
        )
        process = await spawner.spawn()
        assert spawner.preloader_pid is not None
        found = [facts(spawner.preloader_pid), facts(process.pid)]
        await stopped(process)
        await spawner.close()
        return found

    assert run(spawn()) == [EXPECTED, EXPECTED]


@pytest.mark.root("a lower nice value")
def test_what_needs_a_right_is_set_from_outside_before_the_loader_runs(here: Place) -> None:
    """A lower nice value needs root: the child waits for it, and has it when it is ready."""
    if not own_bounds().may_hurry:
        pytest.fail("this test needs root with CAP_SYS_NICE")
    app = here.app("blog", nice=-3, rlimits=AppRlimits(nofile=512))

    async def spawn() -> dict[str, object]:
        process = await here.spawner(app, bounds=replace(own_bounds(), nice=0)).spawn()
        found = facts(process.pid)
        await stopped(process)
        return found

    found = run(spawn())
    assert (found["nice"], found["files"]) == (-3, ["512", "512"])


def test_hard_limits_and_oom_scores_are_set_on_a_child() -> None:
    """The part of it that needs CAP_SYS_RESOURCE, which not every root has: on a child of our own, downwards."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        ours = Limits(rlimits={"RLIMIT_NOFILE": 99}, nice=3, oom_score_adj=50)
        set_on(child.pid, SpawnLimits(ours=ours), "blog", None)
        found = facts(child.pid)
        child.communicate()
    assert (found["files"], found["nice"], found["oom"]) == (["99", "99"], 3, "50")


def test_beyond_our_own_limits_only_with_the_right_to_it(here: Place) -> None:
    """A hard limit above ours: set where root may, else a failed start that names it."""
    ours = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    app = here.app("blog", rlimits=AppRlimits(nofile=ours + 1))
    if not own_bounds().may_raise:
        error = here.fails(app, bounds=own_bounds())
        assert error.category == "limit-refused"
        assert f"RLIMIT_NOFILE cannot be set to {ours + 1}" in error.summary
        assert "start Passenger as root" in error.hint
        return

    async def spawn() -> list[str]:
        process = await here.spawner(app, bounds=own_bounds()).spawn()
        found = limit(process.pid, "Max open files")
        await stopped(process)
        return found

    assert run(spawn()) == [str(ours + 1)] * 2


def test_a_limit_that_cannot_be_set_is_a_failed_spawn(here: Place) -> None:
    """Who believes to be allowed more than he is: the step, the limit and the way out are named; nothing starts."""
    ours = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    error = here.fails(here.app("blog", rlimits=AppRlimits(nofile=ours + 1)), bounds=Bounds())
    assert error.category == "limit-refused"
    assert f"cannot set RLIMIT_NOFILE to {ours + 1}" in error.summary
    assert "SpawnPreparer" in error.summary
    error = here.fails(here.app("blog", rlimits=AppRlimits(nofile=10**9)), bounds=own_bounds())
    assert error.category == "limit-refused"  # above what the kernel allows to anybody (fs.nr_open)
    assert error.hint


def test_a_limit_that_leaves_no_room_is_explained(here: Place) -> None:
    """So little memory that the interpreter does not start: a failed start like any other."""
    app = here.app("blog", rlimits=AppRlimits(address_space="4MiB"))
    error = here.fails(app, bounds=own_bounds())
    assert error.steps[-1][1] != "done"


def test_an_application_with_a_cgroup_does_not_start_without_it(here: Place) -> None:
    """A cgroup that could not be made is no reason to run without limits."""
    from passenger.config.app_limits import AppCgroup

    error = here.fails(here.app("blog", cgroup=AppCgroup(pids_max=100)))
    assert error.category == "cgroup-missing"
    assert "restart of the instance" in error.hint
