"""Several instances under one parent, and the service manager's protocol."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from passenger.instance.plan import Plan, to_memory
from passenger.instance.variables import PLAN_FD_VARIABLE
from tests.support.activation import get, handing_over, listener
from tests.support.watchdog import DEADLINE, REPOSITORY, Watchdog, make_plan, registry, running, wait_gone


@contextmanager
def parent_of(
    plans: list[Plan],
    *,
    prefix: tuple[str, ...] = (),
    environ: dict[str, str] | None = None,
    given: tuple[int, ...] = (),
) -> Iterator[Watchdog]:
    """A parent of several watchdogs; asked with the tools made for one."""
    ready_r, ready_w = os.pipe()
    output_r, output_w = os.pipe()
    fds = [to_memory(dataclasses.replace(plan, readiness_fd=ready_w)) for plan in plans]
    process = subprocess.Popen(
        [*prefix, sys.executable, "-m", "passenger.watchdog.parent"],
        env={**os.environ, PLAN_FD_VARIABLE: ",".join(map(str, fds)), **(environ or {})},
        pass_fds=(*fds, ready_w, *given),
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=output_w,
        stderr=output_w,
    )
    for fd in (*fds, ready_w, output_w):
        os.close(fd)
    parent = Watchdog(process, plans[0], output_r, ready_r)
    try:
        yield parent
    finally:
        parent.close()


def test_all_instances_start_and_stop_together() -> None:
    """Ready when both are; TERM drains both; status 0."""
    with registry() as folder:
        plans = [make_plan(folder, name=name) for name in ("one", "two")]
        with parent_of(plans) as parent:
            assert parent.wait_ready() == {"ready": True}
            assert all(Path(plan.instance_dir, "creation_finalized").exists() for plan in plans)
            parent.signal(signal.SIGTERM)
            assert parent.wait_exit() == 0
            assert not any(Path(plan.instance_dir).exists() for plan in plans)


def test_one_failing_instance_does_not_end_the_others() -> None:
    """The failure is told at once; the good one becomes ready and serves on; the worst status is the parent's."""
    with registry() as folder:
        good, bad = make_plan(folder, name="good"), make_plan(folder, name="bad", mode="silent")
        with parent_of([good, bad]) as parent:
            assert "instance bad: core could not be started" in parent.wait_ready()["error"]
            parent.wait_line("the watchdog of instance bad exited with status 1")
            if not any("watchdog: ready" in line for line in parent.lines):
                parent.wait_line("watchdog: ready")
            assert parent.ask("status")["state"] == "running"
            parent.signal(signal.SIGTERM)
            assert parent.wait_exit() == 1


def test_killed_parent_takes_the_watchdogs_with_it() -> None:
    """kill -9 of the parent: the watchdogs drain and remove their directories."""
    with registry() as folder:
        plan = make_plan(folder, name="one")
        with parent_of([plan]) as parent:
            assert parent.wait_ready() == {"ready": True}
            pid = parent.ask("status")["watchdog_pid"]
            parent.process.kill()
            wait_gone(pid)
            assert not Path(plan.instance_dir).exists()


def test_service_manager_hears_ready_reload_and_stop() -> None:
    """READY=1 once serving, RELOADING=1 and READY=1 around a reload, STOPPING=1 at the stop."""
    with registry() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"{folder}/notify")
        manager.settimeout(DEADLINE)
        with running(make_plan(folder), environ={"NOTIFY_SOCKET": f"{folder}/notify"}) as watchdog:
            assert b"STATUS=starting" in manager.recv(4096)
            assert manager.recv(4096) == b"READY=1\nSTATUS=1 application, 2 processes, 0 requests queued"
            assert watchdog.ask("reload")["ok"]
            assert manager.recv(4096).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
            assert manager.recv(4096).startswith(b"READY=1\nSTATUS=1 application")
            watchdog.signal(signal.SIGTERM)
            assert b"EXTEND_TIMEOUT_USEC=25000000" in (stopping := manager.recv(4096))
            assert stopping.startswith(b"STOPPING=1\n")
            assert watchdog.wait_exit() == 0


def test_several_instances_have_one_voice() -> None:
    """Ready once when both are, a ping when both have pinged; each takes its own of the sockets that were handed over."""
    with ExitStack() as stack:
        folder = stack.enter_context(registry())
        manager = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        manager.bind(f"{folder}/notify")
        manager.settimeout(DEADLINE)
        sockets = [stack.enter_context(listener()) for _ in range(3)]
        ports = [one.getsockname()[1] for one in sockets]
        plans = [make_plan(folder, name=name, ports=[port]) for name, port in zip(("one", "two"), ports, strict=False)]
        environ = {"NOTIFY_SOCKET": f"{folder}/notify", "WATCHDOG_USEC": "600000"}
        fds = [one.fileno() for one in sockets]
        parent = stack.enter_context(parent_of(plans, prefix=handing_over(fds), environ=environ, given=tuple(fds)))
        assert parent.wait_ready() == {"ready": True}
        assert all(get(port) == b"first" for port in ports[:2])
        parent.wait_line(f"listens on 127.0.0.1:{ports[2]}, and no instance serves it")
        heard = [manager.recv(4096).decode()]
        while "WATCHDOG=1" not in heard[-1]:
            heard.append(manager.recv(4096).decode())
        assert sum("READY=1" in message for message in heard) == 1
        assert any("one: 1 application" in message and "two: 1 application" in message for message in heard)
        parent.signal(signal.SIGTERM)
        while "STOPPING=1" not in heard[-1]:
            heard.append(manager.recv(4096).decode())
        assert parent.wait_exit() == 0
