"""restart.txt and always_restart.txt on a real file system: what counts as a change, what is never followed (B5)."""

from __future__ import annotations

import asyncio
import os
import pwd
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path

import pytest

from passenger.config.model import App
from passenger.core import restart_files
from passenger.core.restart_files import RestartFiles, Sight, look
from tests.support.pool import LogLines, app

DEADLINE = 20.0


@pytest.fixture(name="root")
def _root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="pp") as folder:
        (Path(folder) / "tmp").mkdir()
        yield Path(folder)


class Watched:
    """One look at a time, when the test says so, at applications called by their names."""

    def __init__(self, apps: dict[str, App]) -> None:
        self.told: list[str] = []
        self.lines = LogLines()
        self.apps = apps
        self._files = RestartFiles(
            loop=asyncio.get_running_loop(),
            log=self.lines.log,
            restart=lambda name: self.told.append(f"restart {name}"),
            always=lambda name, is_so: self.told.append(f"{'always' if is_so else 'no longer always'} {name}"),
        )

    def look(self) -> list[str]:
        """What one look leads to."""
        self._files._targets = self.apps
        self._files._take(self.apps, {name: look(one) for name, one in self.apps.items()})
        told, self.told = self.told, []
        return told


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(DEADLINE):
            await test()

    asyncio.run(limited())


def at(root: Path, name: str = "restart.txt", *, time: int) -> Path:
    """The file with this modification time."""
    path = root / "tmp" / name
    path.touch()
    os.utime(path, (time, time), follow_symlinks=False)
    return path


def test_the_first_look_records_and_every_change_of_time_restarts(root: Path) -> None:
    """Forward, backward, by a nanosecond; not the file's end, but its return."""

    async def changes() -> None:
        watched = Watched({"a": app(str(root))})
        path = at(root, time=1000)
        assert watched.look() == []
        assert watched.look() == []
        at(root, time=2000)
        assert watched.look() == ["restart a"]
        at(root, time=500)
        assert watched.look() == ["restart a"]
        os.utime(path, ns=(1, 500_000_000_001))
        assert watched.look() == ["restart a"]
        path.write_text("content is never read, and what changes is the time")
        assert watched.look() == ["restart a"]
        path.unlink()
        assert watched.look() == []
        at(root, time=7)
        assert watched.look() == ["restart a"]
        assert watched.look() == []
        watched.lines.close()

    run(changes)


def test_a_file_that_appears_later_restarts_and_so_does_one_in_a_new_folder(root: Path) -> None:
    async def appears() -> None:
        (root / "tmp").rmdir()
        watched = Watched({"a": app(str(root))})
        assert watched.look() == []
        (root / "tmp").mkdir()
        assert watched.look() == []
        at(root, time=1)
        assert watched.look() == ["restart a"]
        assert watched.lines.read() == []
        watched.lines.close()

    run(appears)


@pytest.mark.parametrize("kind", ["symlink", "dangling symlink", "fifo", "folder", "unreadable"])
def test_whatever_it_is_its_own_time_counts_and_it_is_not_opened(root: Path, kind: str) -> None:
    async def counts() -> None:
        path, target = root / "tmp" / "restart.txt", root / "target"
        target.touch()
        if "symlink" in kind:
            path.symlink_to(target if kind == "symlink" else root / "nothing")
        elif kind == "fifo":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        else:
            path.touch(mode=0)
        watched = Watched({"a": app(str(root))})
        assert watched.look() == []
        os.utime(target, (5, 5))
        assert watched.look() == [], "what a link points to is nothing to us"
        os.utime(path, (5, 5), follow_symlinks=False)
        assert watched.look() == ["restart a"]
        watched.lines.close()

    run(counts)


def test_links_below_the_root_are_not_followed_and_that_is_said_once(root: Path) -> None:
    async def not_followed() -> None:
        secret = root / "secret"
        secret.mkdir()
        (secret / "restart.txt").touch()
        (root / "tmp").rmdir()
        (root / "tmp").symlink_to(secret)
        watched = Watched({"a": app(str(root))})
        assert watched.look() == []
        os.utime(secret / "restart.txt", (5, 5))
        assert watched.look() == []
        (line,) = watched.lines.read()
        assert "tmp is a symbolic link, which is not followed" in line
        watched.apps = {"a": app(str(root), restart_dir=f"{root}/tmp")}
        assert watched.look() == []
        os.utime(secret / "restart.txt", (6, 6))
        assert watched.look() == ["restart a"], "an absolute restart_dir is the operator's own word"
        watched.lines.close()

    run(not_followed)


def test_the_root_may_be_a_link_that_moves_from_release_to_release(root: Path) -> None:
    """`current` of Capistrano: the new release's file is another one."""

    async def moves() -> None:
        for number in (1, 2):
            (root / f"release{number}" / "tmp").mkdir(parents=True)
            at(root / f"release{number}", time=number)
        current = root / "current"
        current.symlink_to(root / "release1")
        watched = Watched({"a": app(str(current))})
        assert watched.look() == []
        current.unlink()
        current.symlink_to(root / "release2")
        assert watched.look() == ["restart a"]
        watched.lines.close()

    run(moves)


def test_always_restart_is_told_at_each_look_and_its_end_once(root: Path) -> None:
    async def always() -> None:
        watched = Watched({"a": app(str(root)), "b": app("/nonexistent")})
        path = at(root, "always_restart.txt", time=1)
        assert watched.look() == ["always a"]
        assert watched.look() == ["always a"]
        path.unlink()
        assert watched.look() == ["no longer always a"]
        assert watched.look() == []
        watched.lines.close()

    run(always)


def test_another_restart_dir_is_looked_at_anew(root: Path) -> None:
    async def another() -> None:
        at(root, time=1)
        (root / "shared" / "tmp").mkdir(parents=True)
        at(root / "shared", time=2)
        watched = Watched({"a": app(str(root))})
        assert watched.look() == []
        watched.apps = {"a": app(str(root), restart_dir="shared/tmp")}
        assert watched.look() == []
        at(root / "shared", time=3)
        assert watched.look() == ["restart a"]
        watched.lines.close()

    run(another)


@pytest.mark.root("it looks as another user")
def test_what_may_not_be_looked_at_is_said(root: Path) -> None:
    """As an ordinary user before a closed folder: in a child, because root sees everything."""
    closed = root / "tmp"
    closed.chmod(0)
    root.chmod(0o755)
    nobody = pwd.getpwnam("nobody")
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)
        seen = look(app(str(root)))
        os._exit(0 if seen == Sight(trouble="Permission denied") else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_the_thread_looks_by_itself_and_again_after_a_reload(root: Path) -> None:
    """At the rate that was asked for; a new rate and new applications from the next look on."""

    async def by_itself() -> None:
        told: asyncio.Queue[str] = asyncio.Queue()
        lines = LogLines()
        files = RestartFiles(
            loop=asyncio.get_running_loop(), log=lines.log, restart=told.put_nowait, always=lambda *_: None
        )
        at(root, time=1)
        looked = asyncio.Event()
        take = files._take

        def taken(targets: Mapping[str, App], sights: Mapping[str, Sight]) -> None:
            take(targets, sights)
            looked.set()

        files._take = taken  # type: ignore[method-assign]
        files.start({"a": app(str(root))}, 0.05)
        await looked.wait()
        at(root, time=2)
        assert await told.get() == "a"
        files.apply({"b": app(str(root))}, 3600.0)
        looked.clear()
        await looked.wait()
        at(root, time=3)
        files.apply({"b": app(str(root)), "a": app(str(root))}, 3600.0)
        assert await told.get() == "b", "what a reload wakes is a look like any other"
        files.close()
        lines.close()

    run(by_itself)


def test_a_file_system_that_hangs_keeps_nobody(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop goes on, and the end is not waited for."""
    hangs, goes_on = threading.Event(), threading.Event()

    def hang(_: App) -> Sight:
        hangs.set()
        assert goes_on.wait(DEADLINE)
        return Sight(changed_at=1)

    async def is_kept_by_nobody() -> None:
        lines = LogLines()
        files = RestartFiles(
            loop=asyncio.get_running_loop(), log=lines.log, restart=lambda _: None, always=lambda *_: None
        )
        files.start({"a": app(str(root))}, 0.05)
        await asyncio.to_thread(hangs.wait, DEADLINE)
        files.close()
        lines.close()

    monkeypatch.setattr(restart_files, "look", hang)
    run(is_kept_by_nobody)
    goes_on.set()
