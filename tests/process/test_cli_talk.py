"""Commands that talk to a running instance: status, health, stop, reload, passenger-status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.support.commands import clean_environment, passenger, passenger_status
from tests.support.fake_instance import Answer, fake_instances
from tests.support.statuses import core, group, watchdog

HEALTHY: dict[tuple[str, str], Answer] = {
    ("core_api", "status"): {"ok": True, "status": core(group())},
    ("watchdog_api", "status"): watchdog(),
    ("core_api", "health"): {"ok": True, "live": True, "ready": True, "started": False, "reasons": ["blog starting"]},
}


def test_status_as_text(tmp_path: Path) -> None:
    """Components, then the pool; no colour without a terminal."""
    with fake_instances("main", answers=HEALTHY) as (instance,):
        done = passenger("status", cwd=tmp_path, PASSENGER_INSTANCE_REGISTRY_DIR=str(instance.registry))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Instance main: running")
    assert "Max pool size : 6" in done.stdout
    assert "\x1b" not in done.stdout


def test_status_as_json(tmp_path: Path) -> None:
    """One document for programs."""
    with fake_instances("main", answers=HEALTHY) as (instance,):
        done = passenger("status", "--format", "json", "--registry", str(instance.registry), cwd=tmp_path)
    document = json.loads(done.stdout)
    assert document["pool"]["groups"][0]["processes"][0]["pid"] == 4711
    assert document["components"][0]["name"] == "core"


def test_status_while_the_core_is_away(tmp_path: Path) -> None:
    """What the watchdog knows is shown; the exit status says that it is not all."""
    answers = HEALTHY | {("core_api", "status"): b""}
    with fake_instances("main", answers=answers) as (instance,):
        done = passenger("status", "--registry", str(instance.registry), cwd=tmp_path)
    assert done.returncode == 1
    assert "closed the connection without an answer" in done.stdout


def test_watch_shows_it_again_until_the_reader_leaves(tmp_path: Path) -> None:
    """JSON lines; a closed pipe ends it without a traceback."""
    with fake_instances("main", answers=HEALTHY) as (instance,):
        child = subprocess.Popen(
            [sys.executable, "-m", "passenger", "status", "--watch", "0.1", "--format", "json"],
            cwd=tmp_path,
            env=clean_environment(PASSENGER_INSTANCE_REGISTRY_DIR=str(instance.registry)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert child.stdout
        assert child.stderr
        assert json.loads(child.stdout.readline())["name"] == "main"
        assert json.loads(child.stdout.readline())["name"] == "main"
        child.stdout.close()
        assert child.wait(30) == 1
        assert child.stderr.read() == ""
        child.stderr.close()


@pytest.mark.parametrize(
    ("probe", "status", "text"),
    [
        ([], 0, "instance main is ready"),
        (["--ready"], 0, "instance main is ready"),
        (["--live"], 0, "instance main is live"),
        (["--startup"], 1, "instance main is not started: blog starting"),
    ],
)
def test_health(probe: list[str], status: int, text: str, tmp_path: Path) -> None:
    """The exit status is the answer, the text is for people."""
    with fake_instances("main", answers=HEALTHY) as (instance,):
        done = passenger("health", *probe, "--registry", str(instance.registry), cwd=tmp_path)
    assert done.returncode == status
    assert text in done.stdout + done.stderr


def test_health_of_a_core_that_hangs(tmp_path: Path) -> None:
    """It ends in time and says who did not answer."""
    over = threading.Event()

    def hang() -> bytes:
        over.wait(60)
        return b""

    with fake_instances("main", answers={("core_api", "health"): hang}) as (instance,):
        done = passenger("health", "--timeout", "0.2", "--registry", str(instance.registry), cwd=tmp_path)
        over.set()
    assert done.returncode == 1
    assert "the core of instance main did not answer 'health' within 0.2 s" in done.stderr


@pytest.mark.parametrize("answer", [b"this is no JSON\n", b"[1]\n"])
def test_answer_that_is_no_message(answer: bytes, tmp_path: Path) -> None:
    """A sentence, not a traceback."""
    with fake_instances("main", answers={("core_api", "health"): answer}) as (instance,):
        done = passenger("health", "--registry", str(instance.registry), cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["status", "health", "stop", "reload"])
def test_nothing_runs(command: str, tmp_path: Path) -> None:
    """Exit status 3 and the next step."""
    done = passenger(command, "--registry", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 3
    assert "no instance is running" in done.stderr
    assert "passenger start" in done.stderr


@pytest.mark.parametrize("command", ["status", "health", "stop", "reload"])
def test_several_run(command: str, tmp_path: Path) -> None:
    """They are listed; nothing is chosen for the user."""
    with fake_instances("blue", "green", answers=HEALTHY) as instances:
        done = passenger(command, "--registry", str(instances[0].registry), cwd=tmp_path)
        assert [instance.asked for instance in instances] == [[], []]
    assert done.returncode == 3
    assert "blue" in done.stderr
    assert "green" in done.stderr
    assert "--instance" in done.stderr


def test_one_of_several_is_chosen(tmp_path: Path) -> None:
    """By its name."""
    with fake_instances("blue", "green", answers=HEALTHY) as (blue, green):
        done = passenger("health", "--instance", "green", "--registry", str(blue.registry), cwd=tmp_path)
        assert (blue.asked, len(green.asked)) == ([], 1)
    assert done.returncode == 0


def test_dead_socket_means_not_running(tmp_path: Path) -> None:
    """A directory whose core socket nobody listens on."""
    with fake_instances("main", answers=HEALTHY) as (instance,):
        Path(instance.paths.core_api).unlink()
        done = passenger("health", "--registry", str(instance.registry), cwd=tmp_path)
    assert done.returncode == 3
    assert "the core of instance main is not running" in done.stderr


@pytest.mark.root("an ordinary user asks about root's instance")
def test_permission_denied_says_sudo(tmp_path: Path) -> None:
    """An ordinary user finds root's instance but may not ask it."""
    with fake_instances("main", answers=HEALTHY) as (instance,):
        instance.registry.chmod(0o755)
        Path(instance.paths.root).chmod(0o711)
        Path(instance.paths.core_api).chmod(0o600)
        Path(instance.paths.lock).chmod(0o600)
        script = (
            "import os, sys; os.setgroups([]); os.setgid(65534); os.setuid(65534); "
            "from passenger.cli.main import main; sys.argv = ['passenger', 'health', '--registry', sys.argv[1]]; main()"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, str(instance.registry)],
            cwd="/",
            env=clean_environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 1, done.stderr
    assert "permission denied" in done.stderr
    assert "sudo" in done.stderr


class Ending:
    """A process that plays the watchdog: it ends when told."""

    def __init__(self) -> None:
        self.child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)

    def end(self) -> dict[str, bool]:
        self.close()
        return {"ok": True}

    def close(self) -> None:
        if self.child.stdin:
            self.child.stdin.close()
        self.child.wait(30)


@pytest.mark.parametrize(("arguments", "fast"), [([], False), (["--now"], True)])
def test_stop_waits_for_the_end(arguments: list[str], fast: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a table
    """It returns when the watchdog is gone."""
    ending = Ending()
    answers: dict[tuple[str, str], Answer] = {("watchdog_api", "stop"): ending.end}
    with fake_instances("main", answers=answers, pid=ending.child.pid) as (instance,):
        done = passenger("stop", *arguments, "--registry", str(instance.registry), cwd=tmp_path)
        assert instance.asked == [("watchdog_api", {"verb": "stop", "fast": fast})]
    assert (done.returncode, done.stdout) == (0, "instance main stopped\n")
    assert ending.child.returncode == 0


def test_stop_does_not_wait_for_ever(tmp_path: Path) -> None:
    """After the timeout it says that the instance is still draining."""
    ending = Ending()
    answers: dict[tuple[str, str], Answer] = {("watchdog_api", "stop"): {"ok": True}}
    with fake_instances("main", answers=answers, pid=ending.child.pid) as (instance,):
        done = passenger("stop", "--timeout", "0.1", "--registry", str(instance.registry), cwd=tmp_path)
    ending.close()
    assert done.returncode == 1
    assert "still finishing requests" in done.stderr
    assert "--now" in done.stderr


def test_reload_prints_what_it_did(tmp_path: Path) -> None:
    """Kinds of change without any are left out."""
    report = {"core": {"added": [], "rolling": ["blog", "shop"]}, "restart_needed": ["nginx.mode"]}
    answers: dict[tuple[str, str], Answer] = {("watchdog_api", "reload"): {"ok": True, "report": report}}
    with fake_instances("main", answers=answers) as (instance,):
        done = passenger("reload", "--registry", str(instance.registry), cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout == "instance main reloaded\n  rolling: blog, shop\n  restart needed: nginx.mode\n"


def test_refused_reload(tmp_path: Path) -> None:
    """The watchdog's reason, unchanged."""
    answers: dict[tuple[str, str], Answer] = {("watchdog_api", "reload"): {"ok": False, "error": "error[E204]: no"}}
    with fake_instances("main", answers=answers) as (instance,):
        done = passenger("reload", "--registry", str(instance.registry), cwd=tmp_path)
    assert done.returncode == 1
    assert "error[E204]: no" in done.stderr


@pytest.mark.parametrize(
    ("names", "arguments", "status", "word"),
    [
        (("main",), (), 0, "Max pool size : 6"),
        (("main",), ("ma",), 0, "Instance: main"),
        (("main",), ("--show=json",), 0, '"blog"'),
        ((), (), 1, "doesn't seem to be running"),
        (("main",), ("other",), 1, "'other'"),
        (("blue", "green"), (), 1, "multiple Passenger instances"),
        (("blue", "blueish"), ("blue",), 0, "Instance: blue "),
        (("blue1", "blue2"), ("blue",), 1, "multiple Passenger instances"),
    ],
)
def test_passenger_status(
    names: tuple[str, ...], arguments: tuple[str, ...], status: int, word: str, tmp_path: Path
) -> None:
    """Passenger's own behaviour: prefix of the name, exit status 1 for every doubt."""
    with fake_instances(*names, answers=HEALTHY) as instances:
        registry = str(instances[0].registry) if instances else str(tmp_path)
        done = passenger_status(*arguments, cwd=tmp_path, PASSENGER_INSTANCE_REGISTRY_DIR=registry)
    assert done.returncode == status, done.stderr
    assert word in done.stdout + done.stderr


def test_passenger_status_that_gets_no_answer(tmp_path: Path) -> None:
    """Exit status 2."""
    with fake_instances("main", answers={("core_api", "status"): b""}) as (instance,):
        done = passenger_status(cwd=tmp_path, PASSENGER_INSTANCE_REGISTRY_DIR=str(instance.registry))
    assert done.returncode == 2
    assert "*** ERROR" in done.stderr


def test_passenger_status_colours_on_request(tmp_path: Path) -> None:
    """`--force-colors` also into a pipe; `--no-header` starts with the pool."""
    with fake_instances("main", answers=HEALTHY) as (instance,):
        registry = str(instance.registry)
        done = passenger_status("--force-colors", "--no-header", cwd=tmp_path, PASSENGER_INSTANCE_REGISTRY_DIR=registry)
    assert done.stdout.startswith("\x1b[1;34m----------- General")


def test_full_disk_is_no_traceback(tmp_path: Path) -> None:
    """One line, exit status 1."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "passenger", "config", "keys"],
            cwd=tmp_path,
            env=clean_environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 1
    assert done.stderr == "error: the output cannot be written: no space left on device\n"


def test_locale_that_cannot_show_a_name(tmp_path: Path) -> None:
    """The name is escaped."""
    (tmp_path / "passenger.toml").write_text('config_version = 1\n[apps.a]\napp_root = "."\nenv.X = "\u20ac"\n')
    done = passenger("config", "show", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "\\u20ac" in done.stdout


def test_closed_stdout_is_no_traceback(tmp_path: Path) -> None:
    """A reader that is gone before the first byte."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "passenger", "config", "keys"],
        cwd=tmp_path,
        env=clean_environment(),
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")
