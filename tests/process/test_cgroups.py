"""The real cgroup v2 of this machine, as far as it is ours: who is moved where, what the kernel refuses, what is left."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from passenger.config.app_limits import AppCgroup
from passenger.config.model import App
from passenger.errors import HostError
from passenger.posix.delegation import LEAF, AppCgroups, controllers_of, own_cgroup, problem_of

APPS = {"blog": App(app_root="/srv", cgroup=AppCgroup(pids_max=7))}


class Service:
    """A cgroup such as a service manager would delegate, below our own, and children in it."""

    def __init__(self, own: Path, stack: ExitStack) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pp-test-", dir=own))
        self._stack = stack
        self.children: list[subprocess.Popen[bytes]] = []
        self.has_pids = "pids" in controllers_of(own)
        if self.has_pids:
            (own / "cgroup.subtree_control").write_text("+pids")
            self.has_pids = "pids" in controllers_of(self.folder)

    def child(self) -> int:
        process = self._stack.enter_context(subprocess.Popen(["cat"], stdin=subprocess.PIPE))
        self.children.append(process)
        (self.folder / "cgroup.procs").write_text(str(process.pid))
        return process.pid

    def close(self) -> None:
        for process in self.children:
            process.kill()
            process.wait()
        for folder in sorted(self.folder.glob("*/"), reverse=True):
            folder.rmdir()
        self.folder.rmdir()


@pytest.fixture(name="service")
def _service() -> Iterator[Service | None]:
    own = own_cgroup()
    if own is None or problem_of(own):
        yield None
        return
    with ExitStack() as stack:
        made = Service(own, stack)
        try:
            yield made
        finally:
            made.close()


def where(pid: int) -> str:
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return next(line for line in lines if line.startswith("0::")).rpartition("/")[2]


def test_processes_of_the_instance_make_room(service: Service | None) -> None:
    """They go into the leaf, an application's into its own cgroup; or it is said what stands in the way."""
    if service is None:
        assert problem_of(own_cgroup())
        return
    first, second = service.child(), service.child()
    groups = AppCgroups("main", own=service.folder, memory=None, is_ours=lambda pid: pid in {first, second})
    if not service.has_pids:  # an older layout (v1) has this controller
        with pytest.raises(HostError, match=r"application blog cannot be set up: .*cgroup\.subtree_control"):
            groups.apply(APPS)
        assert {where(first), where(second)} == {LEAF}
        return
    groups.apply(APPS)
    assert {where(first), where(second)} == {LEAF}
    groups.join("blog", second)
    assert where(second) == "app-blog"
    assert (service.folder / "app-blog/pids.max").read_text() == "7\n"
    groups.remove()
    assert service.children[1].wait(10) < 0
    assert not (service.folder / "app-blog").exists()


def test_a_stranger_in_the_cgroup_is_left_alone(service: Service | None) -> None:
    """Nothing is moved that is not ours."""
    if service is None:
        assert problem_of(own_cgroup())
        return
    ours, stranger = service.child(), service.child()
    groups = AppCgroups("main", own=service.folder, memory=None, is_ours=lambda pid: pid == ours)
    with pytest.raises(HostError, match=f"processes of others .pid {stranger}."):
        groups.apply(APPS)
    assert {where(ours), where(stranger)} == {service.folder.name}
