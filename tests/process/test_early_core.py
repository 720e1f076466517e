"""A core that was started before there was a configuration: who uses it, and what becomes of it when nobody does."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from passenger.cli.early_core import begin_core
from passenger.instance.variables import EARLY_CORE_VARIABLE, EARLY_FD_VARIABLE
from passenger.watchdog.early_core import early_core
from tests.support.commands import clean_environment
from tests.support.watchdog import kill, make_plan, registry, running, wait_gone

ORDINARY = 1000

EARLY = r"""
import os, socket
from passenger.instance.early_launch import receive_launch
channel = socket.socket(fileno=int(os.environ["PASSENGER_EARLY_FD"]))
def say(text):
    os.write(2, (text + "\n").encode())
say(f"early core {os.getpid()} waits session={os.getsid(0)}")
launch = receive_launch(channel)
if launch is None:
    say("early core is not needed")
    raise SystemExit
for name, number in launch.sockets.items():
    say(f"socket {name} {os.path.basename(socket.socket(fileno=number).getsockname())}")
say(f"early core {os.getpid()} runs config={launch.config}")
channel = socket.socket(fileno=launch.feedback_fd)
channel.sendall(b'{"event": "ready"}\n')
while b"drain" not in channel.recv(65536):
    pass
"""
"""Stands in for `passenger.core`: says what it gets."""

BEGIN = """
import os, sys
from passenger.cli.early_core import begin_core
code, how = sys.argv[1], sys.argv[2]
begin_core([], os.environ, euid=1000, command=[sys.executable, "-c", code])
if how == "forked" and os.fork():
    os.close(int(os.environ["PASSENGER_EARLY_CORE"].split()[1]))
    os.wait()
    sys.exit()
os.execv(sys.argv[3], sys.argv[3:])
"""
"""What `passenger start` does: it becomes the watchdog; `forked` as with --daemonize, where it is another process."""


def test_the_watchdog_hands_the_waiting_core_what_every_core_gets() -> None:
    """The same process runs, with the sockets under the names it was told; a second core is started as usual."""
    prefix = (sys.executable, "-c", BEGIN, EARLY, "directly")
    with registry() as folder, running(make_plan(folder), prefix=prefix) as watchdog:
        pid = int(watchdog.wait_line(r"early core (\d+) waits session=\1").group(1))
        for name in ("request", "request_http", "core_api"):
            watchdog.wait_line(f"socket {name} {name}")
        watchdog.wait_line(rf"early core {pid} runs config=.'apps': 1")
        watchdog.wait_ready()
        assert watchdog.pid_of("core") == pid
        kill(pid)
        other = int(watchdog.wait_line(r"core (\d+) started").group(1))
        watchdog.wait_line("core is back")
        assert watchdog.pid_of("core") == other != pid
        watchdog.signal(signal.SIGTERM)
        assert watchdog.wait_exit() == 0


def test_a_core_that_is_no_child_of_the_watchdog_is_not_believed() -> None:
    """It ends when its channel does; the watchdog starts one of its own."""
    prefix = (sys.executable, "-c", BEGIN, EARLY, "forked")
    with registry() as folder, running(make_plan(folder), prefix=prefix) as watchdog:
        pid = int(watchdog.wait_line(r"early core (\d+) waits").group(1))
        assert int(watchdog.wait_line(r"^core (\d+) started").group(1)) != pid
        watchdog.wait_ready()
        wait_gone(pid)


@pytest.mark.parametrize("code", ["raise SystemExit(3)", "import os; os.close(int(os.environ['PASSENGER_EARLY_FD']))"])
def test_a_waiting_core_that_dies_costs_nothing_but_itself(code: str) -> None:
    """Whether or not its death is seen in time, a core runs in the end."""
    prefix = (sys.executable, "-c", BEGIN, code, "directly")
    with registry() as folder, running(make_plan(folder), prefix=prefix) as watchdog:
        watchdog.wait_line(r"^core (\d+) started")
        assert watchdog.wait_ready() == {"ready": True}


def test_the_core_itself_waits_and_goes_when_nobody_needs_it() -> None:
    """The real one, with everything that it imports, and no word about it."""
    environ: dict[str, str] = clean_environment()
    begin_core([], environ, euid=ORDINARY)
    pid, number = map(int, environ[EARLY_CORE_VARIABLE].split())
    note = early_core(environ[EARLY_CORE_VARIABLE])
    assert note is not None
    assert note.is_alive()
    assert not os.get_inheritable(number)
    note.channel.close()
    assert os.waitpid(pid, 0) == (pid, 0)
    assert not note.is_alive()


@pytest.mark.parametrize(
    ("arguments", "variable", "euid"),
    [([], "", 0), (["-d"], "", ORDINARY), (["--help"], "", ORDINARY), ([], "LISTEN_FDS", ORDINARY)],
)
def test_no_core_is_started_early_where_it_could_not_be_used(arguments: list[str], variable: str, euid: int) -> None:
    """As root, in the background, for a page of help, with sockets that a service manager handed over."""
    environ = {variable: "1"} if variable else {}
    begin_core(arguments, environ, euid=euid, command=["/nowhere"])
    assert EARLY_CORE_VARIABLE not in environ


def test_a_core_that_cannot_be_started_early_is_no_mistake() -> None:
    """It will be one when it is really needed."""
    environ: dict[str, str] = {}
    begin_core([], environ, euid=ORDINARY, command=["/nowhere"])
    assert environ == {}


@pytest.mark.parametrize("note", ["", "12", "x 3", "-1 3", "1 99999"])
def test_a_note_that_tells_nothing_is_passed_over(note: str) -> None:
    """It comes from the environment, which anybody can have set."""
    assert early_core(note) is None


def test_private_variables_reach_no_early_core(tmp_path: Path) -> None:
    """It is started with the environment that the watchdog would give it."""
    found = tmp_path / "found"
    code = "import os, sys; open(sys.argv[1], 'w').write(' '.join(os.environ))"
    environ = {"NOTIFY_SOCKET": "/nowhere", "PASSENGER_PLAN_FD": "3", "SHOWN": "1"}
    begin_core([], environ, euid=ORDINARY, command=[sys.executable, "-c", code, str(found)])
    pid, number = map(int, environ[EARLY_CORE_VARIABLE].split())
    socket.socket(fileno=number).close()
    assert os.waitpid(pid, 0)[1] == 0
    seen = set(found.read_text().split())
    assert {"SHOWN", EARLY_FD_VARIABLE} <= seen
    assert not {"NOTIFY_SOCKET", "PASSENGER_PLAN_FD"} & seen


def test_a_mistake_in_the_configuration_ends_the_waiting_core_without_a_word(tmp_path: Path) -> None:
    """Nothing but the report is on the terminal, and all who could write to it are gone."""
    (tmp_path / "passenger.toml").write_text("config_version = 1\n[apps.blog]\nnothing = 1\n")
    run = (
        "import os, sys\nfrom passenger.cli import early_core\nfrom passenger.cli.main import guarded, dispatch\n"
        "early_core.begin_core([], os.environ, euid=1000)\nsys.exit(guarded(lambda: dispatch(['start'])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", run], cwd=tmp_path, env={**clean_environment(), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 78
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "nothing" in done.stderr
