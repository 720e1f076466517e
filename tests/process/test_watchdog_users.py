"""Started as root: the core drops its rights, the directory can be passed but not listed, orphans end with us."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from passenger.posix.sockets import BACKLOG, bind_unix, peer_credentials, usable_backlog
from tests.support.watchdog import free_port, make_plan, registry, running

NOBODY = 65534
AS_PID_1 = (
    *("unshare", "--pid", "--fork", "--kill-child", "--mount", "--propagation", "unchanged"),
    *("sh", "-c", 'mount --make-rprivate /proc && mount -t proc proc /proc && exec "$@"', "sh"),
)
"""With a /proc of its own; also where "/" is no mount point (a chroot), which `unshare --mount-proc` refuses."""
PYTHON = "/usr/bin/python3"
"""An interpreter that every user can reach."""


@pytest.mark.root("the core becomes another user")
def test_core_runs_as_the_given_user_and_no_other() -> None:
    """uid, gid and groups are exactly those of the plan; `apps` belongs to it; the api stays root's."""
    with registry() as folder:
        plan = make_plan(folder, core_uid=NOBODY, core_gid=NOBODY, request_gid=NOBODY, allowed_uids=[NOBODY])
        plan = dataclasses.replace(plan, core_argv=[PYTHON, *plan.core_argv[1:]])
        marker = Path(f"{plan.instance_dir}.starts")  # the scripted core counts its starts beside the directory
        marker.write_text("0")
        os.chown(marker, NOBODY, NOBODY)
        with running(plan) as watchdog:
            assert watchdog.wait_ready() == {"ready": True}
            status = Path(f"/proc/{watchdog.pid_of('core')}/status").read_text()
            assert f"Uid:\t{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}" in status
            assert f"Gid:\t{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}" in status
            apps = Path(watchdog.paths.apps).stat()
            assert (apps.st_uid, apps.st_gid) == (NOBODY, NOBODY)
            request = Path(watchdog.paths.request).stat()
            assert (request.st_uid, request.st_gid, request.st_mode & 0o777) == (0, NOBODY, 0o660)
            assert as_nobody(lambda: list(Path(watchdog.paths.root).iterdir())) == "PermissionError"
            assert as_nobody(lambda: Path(watchdog.paths.config).read_text()) == "PermissionError"
            assert as_nobody(lambda: connect(watchdog.paths.watchdog_api)) == "PermissionError"
            assert as_nobody(lambda: connect(watchdog.paths.request)) == ""
            assert json.loads(Path(watchdog.paths.properties).read_text())["name"] == "web"
            watchdog.signal(signal.SIGTERM)
            assert watchdog.wait_exit() == 0


def connect(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


def as_nobody(attempt: Callable[[], object]) -> str:
    """The name of the exception that another user gets; "" when it works."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        name = ""
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            attempt()
        except BaseException as error:
            name = type(error).__name__
        finally:
            os.write(writer, name.encode())
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        name = answer.read()
    os.waitpid(pid, 0)
    return name


@pytest.mark.root("unshare makes a process namespace")
def test_pid_1_of_a_container() -> None:
    """As PID 1 signals act, orphans are reaped, and the exit status is that of the instance."""
    script = "import os\nfor i in range(200):\n    if os.fork() == 0:\n        os._exit(0 if os.fork() else 7)\n    os.wait()\n"
    with registry() as folder:
        python, _, core, mode = make_plan(folder).core_argv
        plan = make_plan(folder, core_argv=[python, "-c", script + core, mode])
        with running(plan, prefix=AS_PID_1) as watchdog:
            assert watchdog.wait_ready() == {"ready": True}
            assert watchdog.ask("status")["watchdog_pid"] == 1
            unshare = watchdog.process.pid
            (inner,) = Path(f"/proc/{unshare}/task/{unshare}/children").read_text().split()
            left = Path(f"/proc/{inner}/task/{inner}/children").read_text().split()
            assert len(left) == 1, "only the core is left"
            os.kill(int(inner), signal.SIGTERM)
            watchdog.wait_line(r'core got .*"drain"')
            assert watchdog.wait_exit() == 0
            assert not Path(watchdog.paths.root).exists()


@pytest.mark.root("only root may lower its OOM score")
def test_children_get_the_oom_score_that_we_were_started_with() -> None:
    """The watchdog protects itself where it may, and never passes that on."""
    with registry() as folder, running(make_plan(folder)) as watchdog:
        watchdog.wait_ready()
        mine = Path("/proc/self/oom_score_adj").read_text()
        assert Path(f"/proc/{watchdog.pid_of('core')}/oom_score_adj").read_text() == mine


def test_careless_parent_does_not_matter() -> None:
    """Ignored signals and a closed stdin are not inherited: exits are seen, children start with defaults."""
    shell = "trap '' CHLD USR1 HUP TERM; exec \"$@\" <&-"
    with registry() as folder, running(make_plan(folder), prefix=("sh", "-c", shell, "sh")) as watchdog:
        assert watchdog.wait_ready() == {"ready": True}
        core = watchdog.pid_of("core")
        rows = Path(f"/proc/{core}/status").read_text().splitlines()
        ignored = int(next(row.split()[1] for row in rows if row.startswith("SigIgn")), 16)
        for number in (signal.SIGCHLD, signal.SIGUSR1, signal.SIGHUP, signal.SIGTERM):
            assert not ignored & (1 << (number - 1)), number
        assert Path(f"/proc/{core}/fd/0").readlink() == Path("/dev/null")
        os.kill(core, signal.SIGKILL)
        watchdog.wait_line("core is back")
        watchdog.signal(signal.SIGTERM)
        assert watchdog.wait_exit() == 0


def test_core_gets_only_the_descriptors_it_is_meant_to_have() -> None:
    """Standard streams, four sockets of ours and that to UstRouter; the launch document is read and closed."""
    with registry() as folder, running(make_plan(folder, ports=[free_port()])) as watchdog:
        assert watchdog.wait_ready() == {"ready": True}
        folder_of_core = Path(f"/proc/{watchdog.pid_of('core')}/fd")
        kinds = sorted(str(fd.readlink()).partition(":")[0] for fd in folder_of_core.iterdir())
        assert kinds == ["/dev/null", "pipe", "pipe", *["socket"] * 5]


def test_api_survives_nonsense() -> None:
    """Wrong verbs are answered, wrong bytes disconnected, too much disconnected; the next request works."""
    with registry() as folder, running(make_plan(folder)) as watchdog:
        watchdog.wait_ready()
        assert "unknown verb 'dance'" in watchdog.ask("dance")["error"]
        for nonsense in (b"\x00\xff\n", b"[]\n", b"{" * 70000):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(10)
                client.connect(watchdog.paths.watchdog_api)
                with contextlib.suppress(ConnectionResetError):
                    client.sendall(nonsense)
                    assert client.recv(100) == b""
        assert watchdog.ask("status")["state"] == "running"


def test_unix_socket_rights_and_peer() -> None:
    """The socket has its mode from the first moment, a long queue, and tells who connects."""
    with registry() as folder:
        path = f"{folder}/socket"
        with bind_unix(path, mode=0o600) as listener, socket.socket(socket.AF_UNIX) as client:
            assert Path(path).stat().st_mode & 0o777 == 0o600
            client.connect(path)
            connection, _ = listener.accept()
            with connection:
                assert peer_credentials(connection) == (os.getpid(), os.getuid(), os.getgid())


def test_backlog_is_the_kernels_limit(tmp_path: Path) -> None:
    """somaxconn bounds it; an unreadable one gives a sane figure."""
    limit = tmp_path / "somaxconn"
    limit.write_text("128\n")
    assert usable_backlog(str(limit)) == 128
    limit.write_text("99999999\n")
    assert usable_backlog(str(limit)) == BACKLOG
    assert usable_backlog("/no/such/file") == 4096
