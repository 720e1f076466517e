"""The watchdog with a scripted core: start, acknowledgement, crash, budget, drain, signals, stale directories."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from tests.support.probe import wait_until
from tests.support.watchdog import kill, make_plan, registry, running, wait_gone


def test_start_and_drain_leave_nothing_behind() -> None:
    """Ready is said once on every channel; TERM drains the core, exits 0 and removes the instance directory."""
    with registry() as folder, running(make_plan(folder)) as watchdog:
        assert watchdog.wait_ready() == {"ready": True}
        watchdog.wait_line(r"^blog: http://nowhere/")
        watchdog.wait_line(r"watchdog: ready")
        assert Path(watchdog.paths.creation_finalized).exists()
        properties = json.loads(Path(watchdog.paths.properties).read_text())
        assert properties["watchdog_pid"] == watchdog.process.pid
        watchdog.signal(signal.SIGTERM)
        watchdog.wait_line(r'core got .*"drain"')
        assert watchdog.wait_exit() == 0
        assert not Path(watchdog.paths.root).exists()
        assert "s3cret" not in watchdog.everything()


def test_core_that_ends_without_acknowledging_is_the_error_state() -> None:
    """EOF without acknowledgement: the reason is printed and told to the starter, exit 1, nothing left."""
    with registry() as folder, running(make_plan(folder, mode="silent")) as watchdog:
        assert "core could not be started: it exited with status 3" in watchdog.wait_ready()["error"]
        assert watchdog.wait_exit() == 1
        assert "core could not be started" in watchdog.everything()
        assert not Path(watchdog.paths.root).exists()


def test_core_that_cannot_be_executed_is_the_error_state() -> None:
    """A program that the core's user may not run: the reason is told, exit 1, nothing is left behind."""
    with registry() as folder:
        program = Path(folder) / "program"
        program.write_text("#!/bin/sh\n")
        with running(make_plan(folder, core_argv=[str(program)])) as watchdog:
            assert "Permission denied" in watchdog.wait_ready()["error"]
            assert watchdog.wait_exit() == 1
        assert not Path(watchdog.paths.root).exists()


def test_core_that_reports_failure_is_quoted() -> None:
    """The core's own reason reaches the starter."""
    with registry() as folder, running(make_plan(folder, mode="failed")) as watchdog:
        assert "the moon is full" in watchdog.wait_ready()["error"]
        assert watchdog.wait_exit() == 1


def test_core_that_hangs_at_start_is_killed_at_the_deadline() -> None:
    """No answer within start_timeout is a failed start."""
    with registry() as folder, running(make_plan(folder, mode="hang", start_timeout=0.5)) as watchdog:
        assert "was not ready within 0.5 s" in watchdog.wait_ready()["error"]
        assert watchdog.wait_exit() == 1


def test_core_that_closes_its_channel_is_replaced() -> None:
    """A living process without a channel counts as failed."""
    with registry() as folder, running(make_plan(folder, mode="closed")) as watchdog:
        assert "closed the channel" in watchdog.wait_ready()["error"]
        assert watchdog.wait_exit() == 1


def test_killed_core_comes_back_at_once() -> None:
    """SIGKILL of the core: a new one is started with the same configuration; status counts the restart."""
    with registry() as folder, running(make_plan(folder)) as watchdog:
        watchdog.wait_ready()
        first = watchdog.pid_of("core")
        kill(first)
        watchdog.wait_line(r"core was killed by SIGKILL; it is started again at once")
        watchdog.wait_line(r'core (\d+) started .*config={"apps": 1}')
        watchdog.wait_line(r"core is back")
        status = watchdog.ask("status")
        assert status["state"] == "running"
        assert status["components"][0]["restarts"] == 1
        assert status["components"][0]["pid"] != first


def test_crash_loop_spends_the_budget() -> None:
    """More crashes than allowed end the instance with status 1 and say so; delays grow."""
    with registry() as folder, running(make_plan(folder, mode="crash_after_first", max_crashes=3)) as watchdog:
        watchdog.wait_ready()
        kill(watchdog.pid_of("core"))
        watchdog.wait_line(r"started again at once")
        watchdog.wait_line(r"started again in 0.1 s")
        watchdog.wait_line(r"started again in 0.2 s")
        watchdog.wait_line(r"core crashed more than 3 times within 60 s; the last time: exited with status 9")
        assert watchdog.wait_exit() == 1


def test_second_signal_stops_fast() -> None:
    """A core that does not drain is terminated by the second signal; that is what was asked for: exit 0."""
    with registry() as folder, running(make_plan(folder, mode="stubborn")) as watchdog:
        watchdog.wait_ready()
        watchdog.signal(signal.SIGINT)
        watchdog.wait_line(r'core got .*"drain"')
        watchdog.signal(signal.SIGTERM)
        assert watchdog.wait_exit() == 0
        assert not Path(watchdog.paths.root).exists()


def test_the_same_signal_twice_at_once_is_one_wish() -> None:
    """`timeout` signals a process and its group: that drains, it does not stop fast."""
    with registry() as folder, running(make_plan(folder, mode="stubborn", drain_timeout=0.6)) as watchdog:
        watchdog.wait_ready()
        watchdog.signal(signal.SIGTERM)
        watchdog.wait_line(r'core got .*"drain"')
        watchdog.signal(signal.SIGTERM)
        watchdog.wait_line(r"drain deadline")
        assert watchdog.wait_exit() == 1


def test_missed_drain_deadline_is_exit_1() -> None:
    """A core that does not drain in time is terminated and the status says so."""
    with registry() as folder, running(make_plan(folder, mode="stubborn", drain_timeout=0.3)) as watchdog:
        watchdog.wait_ready()
        watchdog.signal(signal.SIGQUIT)
        watchdog.wait_line(r"drain deadline")
        assert watchdog.wait_exit() == 1


def test_stop_by_api() -> None:
    """The stop verb answers at once and drains; fast terminates."""
    with registry() as folder:
        for fast in (False, True):
            with running(make_plan(folder)) as watchdog:
                watchdog.wait_ready()
                assert watchdog.ask("stop", fast=fast) == {"ok": True}
                assert watchdog.wait_exit() == 0


def test_running_instance_is_refused_and_named() -> None:
    """A second start of the same instance names the watchdog that has it and leaves it alone."""
    with registry() as folder, running(make_plan(folder)) as first:
        first.wait_ready()
        with running(make_plan(folder)) as second:
            assert f"already running (watchdog pid {first.process.pid})" in second.wait_ready()["error"]
            assert second.wait_exit() == 1
        assert first.ask("status")["state"] == "running"


def test_dead_watchdog_ends_its_core_and_its_directory_is_cleaned() -> None:
    """SIGKILL of the watchdog: the core sees EOF and ends; the next start removes what was left and serves."""
    with registry() as folder:
        with running(make_plan(folder)) as watchdog:
            watchdog.wait_ready()
            core = watchdog.pid_of("core")
            watchdog.process.kill()
            watchdog.wait_line("core sees EOF")
            wait_gone(core)
            assert Path(watchdog.paths.lock).exists()
            Path(watchdog.paths.root, "stale").write_text("from before")
        with running(make_plan(folder)) as watchdog:
            assert watchdog.wait_ready() == {"ready": True}
            assert not Path(watchdog.paths.root, "stale").exists()


def test_applications_of_a_dead_core_are_swept() -> None:
    """A process that a dead core left behind and that ignores EOF is killed within the grace time."""
    with registry() as folder, running(make_plan(folder, mode="app")) as watchdog:
        watchdog.wait_ready()
        app = int(watchdog.wait_line(r"app (\d+)").group(1))
        kill(watchdog.pid_of("core"))
        watchdog.wait_line(rf"killed what was left of core pids=.*{app}")
        wait_gone(app)


def test_orphans_are_reaped_silently() -> None:
    """Double-forked processes become children of the watchdog and are collected; none is taken for a component."""
    script = (
        "import os, sys\n"
        "for i in range(50):\n"
        "    if os.fork() == 0:\n"
        "        os._exit(0 if os.fork() else 7)\n"
        "    os.wait()\n"
        "code, sys.argv = sys.argv[1], ['core', 'good']\n"
        "exec(code)"
    )
    with registry() as folder:
        python, _, core, _ = make_plan(folder).core_argv
        with running(make_plan(folder, core_argv=[python, "-c", script, core])) as watchdog:
            watchdog.wait_ready()
            children = Path(f"/proc/{watchdog.process.pid}/task/{watchdog.process.pid}/children")
            core_pid = str(watchdog.pid_of("core"))

            def only_the_core_is_left() -> bool:
                watchdog.ask("status")  # a turn of the loop; the last orphans may be about to end still
                return not children.exists() or children.read_text().split() == [core_pid]

            wait_until(only_the_core_is_left, "every orphan was collected")
            watchdog.signal(signal.SIGTERM)
            assert watchdog.wait_exit() == 0


def test_private_memory_is_small() -> None:
    """At rest the watchdog has at most 8 MB of memory of its own."""
    with registry() as folder, running(make_plan(folder)) as watchdog:
        watchdog.wait_ready()
        watchdog.ask("status")
        rows = Path(f"/proc/{watchdog.process.pid}/smaps_rollup").read_text().splitlines()
        private = sum(int(row.split()[1]) for row in rows if row.startswith("Private_"))
        assert private <= 8 * 1024, f"{private} KiB; dirty {[row for row in rows if 'Private' in row]}"


def test_core_gets_the_umask_and_no_private_variable() -> None:
    """What the watchdog needs for itself does not reach the core; modes do not depend on the umask."""
    previous = os.umask(0o000)
    try:
        with registry() as folder, running(make_plan(folder), environ={"NOTIFY_SOCKET": "/nowhere"}) as watchdog:
            watchdog.wait_ready()
            watchdog.wait_line(r"core \d+ started umask=0 ")
            environ = Path(f"/proc/{watchdog.pid_of('core')}/environ").read_bytes()
            assert b"NOTIFY_SOCKET" not in environ
            assert b"PASSENGER_PLAN_FD" not in environ
            root = Path(watchdog.paths.root)
            modes = {entry.name: entry.stat().st_mode & 0o777 for entry in root.iterdir()}
            assert modes.pop("properties.json") == modes.pop("creation_finalized") == 0o644
            assert modes.pop("request") == modes.pop("request_http") == 0o660
            assert modes.pop("nginx") == (0o711 if os.geteuid() == 0 else 0o700)
            assert modes == {
                "lock": 0o600,
                "config.json": 0o600,
                "core_api": 0o600,
                "watchdog_api": 0o600,
                "apps": 0o700,
            }
    finally:
        os.umask(previous)
