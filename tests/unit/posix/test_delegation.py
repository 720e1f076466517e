"""The cgroups of applications, on trees of files: what is made, moved and written, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from passenger.config.app_limits import AppCgroup
from passenger.config.model import App
from passenger.errors import HostError
from passenger.posix.delegation import LEAF, AppCgroups, controllers_of, own_cgroup, problem_of

GIB = 1 << 30
FILES = ("memory.max", "memory.high", "cpu.max", "pids.max", "cgroup.procs")


def cgroup(folder: Path, *, procs: str = "", root: bool = False) -> Path:
    """A cgroup as the kernel would show it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cgroup.procs").write_text(procs)
    (folder / "cgroup.subtree_control").write_text("")
    (folder / "cgroup.controllers").write_text("cpu memory pids\n")
    if not root:
        (folder / "cgroup.type").write_text("domain\n")
    return folder


def app_cgroup(folder: Path) -> Path:
    """What the kernel would put into a folder that is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (folder / name).write_text("")
    return folder


def cgroups(own: Path | None, *ours: int) -> AppCgroups:
    return AppCgroups("main", own=own, memory=4 * GIB, is_ours=lambda pid: pid in ours)


def app(**keys: object) -> App:
    return App(app_root="/srv", cgroup=AppCgroup(**keys))  # type: ignore[arg-type]


def test_limits_are_written(tmp_path: Path) -> None:
    """Each in the words of the kernel; what is not set is `max`."""
    own = cgroup(tmp_path / "service")
    blog = app_cgroup(own / "app-blog")
    groups = cgroups(own)
    groups.apply({"blog": app(memory_max="50%", cpu_max="150%", pids_max=20), "shop": App(app_root="/srv")})
    assert (own / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    written = {name: (blog / name).read_text() for name in FILES}
    assert written == {
        "memory.max": str(2 * GIB),
        "memory.high": "max",
        "cpu.max": "150000 100000",
        "pids.max": "20",
        "cgroup.procs": "",
    }
    assert (own / LEAF).is_dir()
    assert not (own / "app-shop").exists()
    assert groups.take_new() == ["blog"]
    assert groups.take_new() == []
    groups.join("blog", 4711)
    groups.join("shop", 4712)
    assert (blog / "cgroup.procs").read_text() == "4711"


def test_a_reload_changes_and_lifts_limits(tmp_path: Path) -> None:
    """A table that is gone leaves a cgroup without limits."""
    own = cgroup(tmp_path / "service")
    blog = app_cgroup(own / "app-blog")
    groups = cgroups(own)
    groups.apply({"blog": app(pids_max=20)})
    (blog / "pids.max").write_text("")
    groups.apply({"blog": App(app_root="/srv")})
    assert (blog / "pids.max").read_text() == "max"


def test_nothing_is_made_without_a_wish(tmp_path: Path) -> None:
    """No application with a table: the cgroup is not even looked at."""
    cgroups(None).apply({"blog": App(app_root="/srv")})
    own = cgroup(tmp_path / "service", procs="1\n")
    groups = cgroups(own)
    groups.apply({"blog": App(app_root="/srv")})
    groups.remove()
    assert sorted(path.name for path in own.iterdir() if path.is_dir()) == []


def test_processes_of_others_are_not_moved(tmp_path: Path) -> None:
    """A login session, a container with a shell: the cgroup is not ours alone."""
    own = cgroup(tmp_path / "session", procs="10\n11\n")
    with pytest.raises(HostError, match=r"processes of others \(pid 11\)") as caught:
        cgroups(own, 10).apply({"blog": app(pids_max=20)})
    assert "Delegate=yes" in caught.value.hint
    assert not list(own.glob("app-*"))


def test_a_cgroup_that_does_not_become_empty(tmp_path: Path) -> None:
    """Here because files do not behave like the kernel; there because something forks all the time."""
    own = cgroup(tmp_path / "service", procs="10\n")
    app_cgroup(own / LEAF)
    with pytest.raises(HostError, match="does not become empty"):
        cgroups(own, 10).apply({"blog": app(pids_max=20)})
    assert (own / LEAF / "cgroup.procs").read_text() == "10"


def test_the_root_of_a_machine_gets_a_folder_of_the_instance(tmp_path: Path) -> None:
    """Nobody is moved there."""
    own = cgroup(tmp_path, procs="1\n2\n", root=True)
    base = cgroup(own / "passenger-main")
    blog = app_cgroup(base / "app-blog")
    cgroups(own).apply({"blog": app(cpu_max="0.5")})
    assert (own / "cgroup.subtree_control").read_text() == "+cpu"
    assert (base / "cgroup.subtree_control").read_text() == "+cpu"
    assert (blog / "cpu.max").read_text() == "50000 100000"


def test_what_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """A controller that is not there after all: the application and the file are named."""
    own = cgroup(tmp_path / "service")
    (own / "app-blog").mkdir()
    with pytest.raises(HostError, match=r"cgroup of application blog cannot be set up: .*memory\.max"):
        cgroups(own).apply({"blog": app(memory_max="1GiB")})


def test_where_we_are(tmp_path: Path) -> None:
    """Our own cgroup, or the one above the leaf into which an earlier core has put everything."""
    service = cgroup(tmp_path / "sys/fs/cgroup/system.slice/passenger.service")
    cgroup(service / LEAF)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text("30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
    for inside in ("", f"/{LEAF}"):
        (tmp_path / "proc/self/cgroup").write_text(f"0::/system.slice/passenger.service{inside}\n")
        assert own_cgroup(root=str(tmp_path)) == service
    (tmp_path / "proc/self/cgroup").write_text("4:memory:/x\n")
    assert own_cgroup(root=str(tmp_path)) is None


def test_problems(tmp_path: Path) -> None:
    """No cgroup v2, or one in which a file is missing or closed."""
    assert problem_of(None) == "this machine has no cgroup v2"
    assert controllers_of(None) == frozenset()
    own = cgroup(tmp_path / "service")
    assert problem_of(own) == ""
    assert controllers_of(own) == {"cpu", "memory", "pids"}
    (own / "cgroup.procs").unlink()
    assert "is not delegated" in problem_of(own)
    with pytest.raises(HostError, match="no cgroups can be made"):
        cgroups(own).apply({"blog": app(pids_max=20)})
