"""Hooks of a container, run for real: order, environment, failures, time, signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from passenger.cli.container_hooks import find_hooks, run_hooks
from passenger.errors import HostError

RUN = "import sys; from passenger.cli.main import guarded; from passenger.cli.container_hooks import *; sys.exit(guarded(lambda: run_hooks(find_hooks(sys.argv[1]), os.environ) and 0))"


def _hook(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def _environ(**more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], **more}


def test_what_envsh_exports_is_seen_by_all_that_follow(tmp_path: Path) -> None:
    """Also values with line ends and quotes; what is not exported, and what `.sh` exports, is not."""
    _hook(tmp_path, "1.envsh", 'export A="two\nlines \' \\""; PRIVATE=x; echo talk')
    _hook(tmp_path, "2.sh", f'printf %s "$A" > {tmp_path}/seen; export B=lost')
    _hook(tmp_path, "3.envsh", 'export C="$A!"; unset OLD')
    left = run_hooks(find_hooks(str(tmp_path)), _environ(OLD="1"))
    assert (tmp_path / "seen").read_text() == "two\nlines ' \""
    assert left["C"] == "two\nlines ' \"!"
    assert not {"OLD", "B", "PRIVATE"} & set(left)


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("a.sh", "exit 7", "exited with status 7"),
        ("a.envsh", "exit 7", "exited with status 7"),
        ("a.envsh", "false && true; export A=1; no-such-program || return 3", "exited with status 3"),
        ("a.sh", "kill -SEGV $$", "was killed by SIGSEGV"),
    ],
)
def test_a_hook_that_fails_ends_the_boot(tmp_path: Path, name: str, text: str, why: str) -> None:
    _hook(tmp_path, name, text)
    _hook(tmp_path, "b.sh", f": > {tmp_path}/ran")
    with pytest.raises(HostError, match=why):
        run_hooks(find_hooks(str(tmp_path)), _environ())
    assert not (tmp_path / "ran").exists()


def test_a_hook_without_an_interpreter_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.sh").write_text("#!/no/such/shell\n")
    (tmp_path / "a.sh").chmod(0o755)
    with pytest.raises(HostError, match="status 126"):
        run_hooks(find_hooks(str(tmp_path)), _environ())
    assert "No such file or directory" in capfd.readouterr().err


def test_a_hook_that_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    _hook(tmp_path, "a.sh", f"sh -c 'echo $$ > {tmp_path}/child; read x' < /dev/zero & wait")
    with pytest.raises(HostError, match="did not end in time") as raised:
        run_hooks(find_hooks(str(tmp_path)), _environ(PASSENGER_HOOK_TIMEOUT="0.5"))
    assert "PASSENGER_HOOK_TIMEOUT" in raised.value.hint


def test_a_time_that_is_no_number(tmp_path: Path) -> None:
    _hook(tmp_path, "a.sh", "")
    with pytest.raises(HostError, match="PASSENGER_HOOK_TIMEOUT is 'soon'"):
        run_hooks(find_hooks(str(tmp_path)), _environ(PASSENGER_HOOK_TIMEOUT="soon"))


def test_a_background_process_of_a_hook_does_not_hold_the_boot(tmp_path: Path) -> None:
    """It keeps every descriptor open, the one for the environment too."""
    _hook(tmp_path, "a.envsh", f"cat {tmp_path}/.gate > /dev/null & export A=1")
    os.mkfifo(tmp_path / ".gate")
    assert run_hooks(find_hooks(str(tmp_path)), _environ())["A"] == "1"
    with (tmp_path / ".gate").open("w"):
        pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_ends_the_boot_while_a_hook_runs(tmp_path: Path, number: signal.Signals) -> None:
    _hook(tmp_path, "a.sh", "echo running; exec cat")
    with subprocess.Popen(
        [sys.executable, "-c", f"import os; {RUN}", str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "running\n"
        process.send_signal(number)
        assert process.wait(60) == 128 + number
        assert process.stderr
        assert f"stopped by {number.name} while a hook ran" in process.stderr.read()
