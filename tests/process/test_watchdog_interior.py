"""Somebody deletes the instance directory, or something in it, while the instance runs (fault matrix D4)."""

from __future__ import annotations

import fcntl
import json
import shutil
import signal
import socket
from pathlib import Path

import pytest

from tests.support.http import fetch
from tests.support.probe import wait_until
from tests.support.watchdog import Watchdog, free_port, make_plan, registry, running


def is_whole(watchdog: Watchdog) -> bool:
    """Described, locked, findable, and with every socket listened on."""
    root = Path(watchdog.paths.root)
    properties = json.loads((root / "properties.json").read_text())
    for name in ("request", "request_http", "core_api", "watchdog_api"):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(root / name))
    with (root / "lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            return False
    folders = all((root / name).is_dir() for name in ("apps", "nginx"))
    return folders and properties["watchdog_pid"] == watchdog.process.pid and (root / "creation_finalized").exists()


@pytest.mark.parametrize(
    "gone", ["", "request", "request_http", "core_api", "watchdog_api", "apps", "nginx", "lock", "properties.json"]
)
def test_what_is_deleted_is_made_again(gone: str) -> None:
    """The core gets the new sockets, commands find the instance, and its end leaves nothing behind."""
    with registry() as folder, running(make_plan(folder)) as watchdog:
        watchdog.wait_ready()
        first = watchdog.pid_of("core")
        path = Path(watchdog.paths.root) / gone
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
        found = watchdog.wait_line(r"somebody deleted a part of the instance directory.* what=(\S+)")
        assert Path(found[1]) == path
        watchdog.wait_line(r"core lost .*; it is started again")
        watchdog.wait_line("core is back")
        assert is_whole(watchdog)
        status = watchdog.ask("status")
        assert status["state"] == "running"
        assert status["components"][0]["pid"] != first
        watchdog.signal(signal.SIGTERM)
        assert watchdog.wait_exit() == 0
        assert not Path(watchdog.paths.root).exists()


def test_clients_are_told_to_leave_also_after_a_renewal() -> None:
    """nginx looks for one file while the instance leaves; it is not lost with the directory."""
    with registry() as folder, running(make_plan(folder, drain_delay=3600.0)) as watchdog:
        watchdog.wait_ready()
        leaving = Path(watchdog.paths.leaving)
        assert not leaving.exists()
        watchdog.signal(signal.SIGTERM)
        watchdog.wait_line("not ready any more")
        wait_until(leaving.exists, "clients are told")
        shutil.rmtree(leaving.parent)
        watchdog.wait_line("core is back")
        assert leaving.stat().st_mode & 0o777 == 0o644
        watchdog.signal(signal.SIGINT)
        assert watchdog.wait_exit() == 0


def test_directory_that_was_moved_away_is_not_touched_again() -> None:
    """Only what the name means is ours; the instance goes on in a new one."""
    with registry() as folder, running(make_plan(folder)) as watchdog:
        watchdog.wait_ready()
        Path(watchdog.paths.root).rename(f"{folder}/aside")
        watchdog.wait_line("core is back")
        assert is_whole(watchdog)
        watchdog.signal(signal.SIGTERM)
        assert watchdog.wait_exit() == 0
        assert Path(folder, "aside", "request").exists()
        assert not Path(watchdog.paths.root).exists()


def test_name_that_somebody_else_took_ends_the_instance() -> None:
    """Another instance lives in our place: there is no way back, and both the log and the exit status say so."""
    with registry() as folder, running(make_plan(folder, max_crashes=3)) as watchdog:
        watchdog.wait_ready()
        root = Path(watchdog.paths.root)
        root.rename(f"{folder}/aside")
        root.mkdir(mode=0o700)
        with (root / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert watchdog.wait_exit() == 1
        assert "core crashed more than 3 times" in watchdog.everything()
        assert "instance web is already running" in watchdog.everything()
        assert (root / "lock").exists()


def test_nginx_goes_on_with_the_new_files() -> None:
    """The same master, on the same addresses; it takes over the files that were rendered anew."""
    port = free_port()
    with registry() as folder, running(make_plan(folder, ports=[port])) as watchdog:
        watchdog.wait_ready()
        master = watchdog.pid_of("nginx")
        shutil.rmtree(watchdog.paths.root)
        watchdog.wait_line("core is back")
        assert fetch(port).text == "first"
        assert watchdog.pid_of("nginx") == master
        assert (Path(watchdog.paths.nginx) / "nginx.pid").read_text() == f"{master}\n"
        assert Path(watchdog.paths.nginx, "current").readlink() == Path("2")
        watchdog.signal(signal.SIGTERM)
        assert watchdog.wait_exit() == 0
        assert "alert" not in watchdog.everything()
        assert not Path(watchdog.paths.root).exists()
