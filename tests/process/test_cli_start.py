"""`passenger start`: what is refused before anything runs, the background, several instances, the hidden resolver."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import clean_environment, passenger
from tests.support.running import free_port

HELLO = """
from wsgiref.validate import validator
@validator
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""


@pytest.fixture
def registry() -> Iterator[str]:
    """A folder for instance directories with a short path."""
    with tempfile.TemporaryDirectory(prefix="pp", dir="/tmp") as folder:
        yield folder


@pytest.fixture
def project() -> Iterator[Path]:
    """A folder with an application and nothing else, which the application's user can reach when we are root."""
    with tempfile.TemporaryDirectory(prefix="pp", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        root = Path(folder, "blog")
        root.mkdir(0o755)
        (root / "passenger_wsgi.py").write_text(HELLO)
        yield root


def configured(project: Path, *ports: int) -> Path:
    """A configuration with one instance per port, each with one application."""
    text = "config_version = 1\n"
    for number, port in enumerate(ports, 1):
        text += f'[instances.i{number}.nginx]\nlisten = ["127.0.0.1:{port}"]\n'
        text += f'[apps.a{number}]\ninstance = "i{number}"\napp_root = "{project}"\npython = "{sys.executable}"\n'
    file = project.parent / "passenger.toml"
    file.write_text(text)
    return file


def ended(pid: int, timeout: float = 30.0) -> bool:
    """Wait until a process that is no child of ours has ended."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        return bool(poll.poll(timeout * 1000))
    finally:
        os.close(pidfd)


@pytest.mark.parametrize(
    ("arguments", "status", "word"),
    [
        (["start"], 78, "nothing to start"),
        (["start", "missing"], 78, "missing"),
        (["start", "--config", "missing.toml"], 78, "E101"),
        (["start", ".", "--config", "x.toml"], 2, "not both"),
        (["start", "--port", "70000"], 2, "70000"),
    ],
)
def test_refused_before_anything_runs(
    arguments: list[str], status: int, word: str, tmp_path: Path, registry: str
) -> None:
    """Nothing to start, a missing file, contradicting options."""
    done = passenger(*arguments, cwd=tmp_path, PASSENGER_INSTANCE_REGISTRY_DIR=registry)
    assert done.returncode == status
    assert word in done.stderr
    assert not list(Path(registry).iterdir())


def test_unknown_instance(project: Path, registry: str) -> None:
    """Exit status 3 and the names there are."""
    file = configured(project, free_port())
    done = passenger("start", "-c", str(file), "-i", "nope", cwd=project, PASSENGER_INSTANCE_REGISTRY_DIR=registry)
    assert done.returncode == 3
    assert "i1" in done.stderr


def test_port_needs_one_instance(project: Path, registry: str) -> None:
    """Two instances cannot share the port of the command line."""
    file = configured(project, free_port(), free_port())
    done = passenger("start", "-c", str(file), "-p", "8080", cwd=project, PASSENGER_INSTANCE_REGISTRY_DIR=registry)
    assert done.returncode == 2
    assert "--instance" in done.stderr


def test_daemonize_returns_when_ready(project: Path, registry: str) -> None:
    """The project folder serves, the command has returned, stop ends it, the files are there."""
    environment = {"PASSENGER_INSTANCE_REGISTRY_DIR": registry}
    port = str(free_port())
    done = passenger("start", "-d", "-p", port, "--pid-file", "pid", cwd=project, **environment)
    assert done.returncode == 0, done.stderr + (project / "passenger.blog.log").read_text()
    pid = int((project / "pid").read_text())
    try:
        assert f"instance blog is ready (pid {pid}" in done.stdout
        assert f"http://127.0.0.1:{port}/" in done.stdout
        status = json.loads(passenger("status", "--format", "json", cwd=project, **environment).stdout)
        assert status["watchdog_pid"] == pid
        assert os.getsid(pid) == pid
        again = passenger("start", "-p", port, cwd=project, **environment)
        assert again.returncode == 1
        assert f"already running (watchdog pid {pid})" in again.stderr
        assert passenger("reload", cwd=project, **environment).returncode == 0
    finally:
        stopped = passenger("stop", cwd=project, **environment)
    assert stopped.returncode == 0, stopped.stderr
    assert ended(pid)
    assert not (project / "pid").exists()


def test_pid_file_of_somebody_else_stays(project: Path, registry: str) -> None:
    """A start that is refused does not touch it, nor does the end of an instance whose file was taken over."""
    environment = {"PASSENGER_INSTANCE_REGISTRY_DIR": registry}
    first = passenger("start", "-d", "-p", str(free_port()), "--pid-file", "pid", cwd=project, **environment)
    assert first.returncode == 0, first.stderr
    try:
        number = (project / "pid").read_text()
        other = configured(project, free_port())
        other.write_text(other.read_text().replace("instances.i1", "instances.blog").replace('"i1"', '"blog"'))
        refused = passenger("start", "-c", str(other), "--pid-file", "pid", cwd=project, **environment)
        assert refused.returncode == 1
        assert "already running" in refused.stdout + refused.stderr
        assert (project / "pid").read_text() == number
        (project / "pid").write_text("4711\n")
    finally:
        assert passenger("stop", cwd=project, **environment).returncode == 0
    assert ended(int(number))
    assert (project / "pid").read_text() == "4711\n"


def test_daemonize_tells_why_it_failed(project: Path, registry: str) -> None:
    """The instance directory cannot be made: the reason is on the terminal, not only in the log."""
    Path(registry, "blog").write_text("in the way")
    done = passenger(
        "start",
        "-d",
        "-p",
        str(free_port()),
        "--log-file",
        "log",
        cwd=project,
        PASSENGER_INSTANCE_REGISTRY_DIR=registry,
    )
    assert done.returncode == 1
    assert "could not be started" in done.stderr
    assert "blog" in done.stderr
    assert str(project / "log") in done.stderr


def test_log_file_that_cannot_be_opened(project: Path, registry: str) -> None:
    """Said before anything is started."""
    done = passenger(
        "start", "-d", "--log-file", "no/such/folder/log", cwd=project, PASSENGER_INSTANCE_REGISTRY_DIR=registry
    )
    assert done.returncode == 1
    assert "cannot open log file" in done.stderr
    assert not list(Path(registry).iterdir())


def test_pid_file_does_not_follow_links(project: Path, registry: str) -> None:
    """A link that somebody else made must not choose what is overwritten."""
    (project / "precious").write_text("keep me")
    (project / "pid").symlink_to("precious")
    port = str(free_port())
    done = passenger("start", "-p", port, "--pid-file", "pid", cwd=project, PASSENGER_INSTANCE_REGISTRY_DIR=registry)
    assert done.returncode == 1
    assert "cannot write PID file" in done.stderr
    assert (project / "precious").read_text() == "keep me"
    assert not list(Path(registry).iterdir())


def test_pid_file_of_several_instances_that_cannot_be_written(project: Path, registry: str) -> None:
    """The parent of several says so, too, and starts nothing."""
    file = configured(project, free_port(), free_port())
    done = passenger(
        "start",
        "-d",
        "-c",
        str(file),
        "--log-file",
        "log",
        "--pid-file",
        "no/such/pid",
        cwd=project,
        PASSENGER_INSTANCE_REGISTRY_DIR=registry,
    )
    assert done.returncode == 1
    assert "cannot write PID file" in done.stderr
    assert not list(Path(registry).iterdir())


def test_several_instances_of_one_file(project: Path, registry: str) -> None:
    """One command starts both; each is stopped by its name; the parent ends with them."""
    environment = {"PASSENGER_INSTANCE_REGISTRY_DIR": registry}
    file = configured(project, free_port(), free_port())
    done = passenger(
        "start", "-d", "-c", str(file), "--pid-file", "pid", "--log-file", "log", cwd=project, **environment
    )
    assert done.returncode == 0, done.stderr + (project / "log").read_text()
    parent = int((project / "pid").read_text())
    try:
        assert "instance i1 is ready" in done.stdout
        assert "instance i2 is ready" in done.stdout
        assert passenger("health", cwd=project, **environment).returncode == 3
        assert passenger("health", "-i", "i2", cwd=project, **environment).returncode == 0
    finally:
        results = [passenger("stop", "-i", name, cwd=project, **environment) for name in ("i1", "i2")]
    assert [result.returncode for result in results] == [0, 0]
    assert ended(parent)


def test_running_instances_of_a_file_are_no_mistake_in_it(project: Path, registry: str) -> None:
    """While both run: each is reloaded, the file is valid, and a stopped one starts again beside its sister."""
    environment = {"PASSENGER_INSTANCE_REGISTRY_DIR": registry}
    file = configured(project, free_port(), free_port())
    start = ["start", "-d", "-c", str(file), "--log-file", "log"]
    steps = [start, ["reload", "-i", "i1"], ["reload", "-i", "i2"], ["validate", str(file)]]
    steps += [["stop", "-i", "i2"], ["validate", str(file)], [*start, "-i", "i2"], ["reload", "-i", "i1"]]
    steps += [["stop", "-i", "i1"], ["stop", "-i", "i2"]]
    done = [passenger(*step, cwd=project, **environment) for step in steps]
    assert [each.returncode for each in done] == [0] * len(steps), [each.stderr for each in done]


def test_running_instance_with_a_registry_of_its_own(project: Path, registry: str) -> None:
    """`registry_dir` in the file: a second start is told who runs, not that the port is in use."""
    file = configured(project, free_port())
    file.write_text(
        file.read_text().replace("[instances.i1", f'[instances.i1]\nregistry_dir = "{registry}"\n[instances.i1')
    )
    done = passenger("start", "-d", "-c", str(file), "--log-file", "log", "--pid-file", "pid", cwd=project)
    assert done.returncode == 0, done.stderr
    try:
        pid = (project / "pid").read_text().strip()
        again = passenger("start", "-d", "-c", str(file), "--log-file", "log2", cwd=project)
        reloaded = passenger("reload", "--registry", registry, cwd=project)
    finally:
        assert passenger("stop", "--registry", registry, cwd=project).returncode == 0
    assert again.returncode == 1
    assert f"already running (watchdog pid {pid})" in again.stderr
    assert reloaded.returncode == 0, reloaded.stderr


def test_modules_of_the_project_are_not_ours(project: Path, registry: str) -> None:
    """A project may call its modules `json` or `select`: none of our programs imports them."""
    environment = {"PASSENGER_INSTANCE_REGISTRY_DIR": registry}
    for name in ("json", "select", "signal", "socket", "asyncio", "passenger"):
        (project / f"{name}.py").write_text("raise SystemExit('a module of the project was imported')\n")
    command = [sys.executable, "-P", "-m", "passenger", "start", "-d", "-p", str(free_port()), "--log-file", "log"]
    done = subprocess.run(
        command,
        cwd=project,
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr + (project / "log").read_text()
    assert passenger("stop", cwd=project.parent, **environment).returncode == 0
    lines = (project / "log").read_text().splitlines()
    assert not [
        line for line in lines if "a module of the project" in line and " app: " not in line and "App " not in line
    ]


def test_modules_of_the_project_are_not_the_parents_either(project: Path, registry: str) -> None:
    """The same for several instances, whose watchdogs are started by a parent; and for each one's reload."""
    environment = {"PASSENGER_INSTANCE_REGISTRY_DIR": registry}
    folder = project / "elsewhere"
    folder.mkdir()
    for name in ("json", "select", "signal", "socket", "asyncio", "passenger"):
        (folder / f"{name}.py").write_text("raise SystemExit('a module of the folder was imported')\n")
    command = [sys.executable, "-P", "-m", "passenger", "start", "-d", "--log-file", "log"]
    command += ["-c", str(configured(project, free_port(), free_port()))]
    done = subprocess.run(
        command,
        cwd=folder,
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr + (folder / "log").read_text()
    reloads = [passenger("reload", "-i", name, cwd=project, **environment) for name in ("i1", "i2")]
    stops = [passenger("stop", "-i", name, cwd=project, **environment) for name in ("i1", "i2")]
    assert [done.returncode for done in (*reloads, *stops)] == [0, 0, 0, 0], [done.stderr for done in reloads]
    assert "a module of the folder" not in (folder / "log").read_text()


def started(project: Path, registry: str, file: Path) -> str:
    """Start in the background; the instance directory."""
    done = passenger(
        "start", "-d", "-c", str(file), "--log-file", "log", cwd=project, PASSENGER_INSTANCE_REGISTRY_DIR=registry
    )
    assert done.returncode == 0, done.stderr
    return f"{registry}/i1"


def test_reload_of_a_changed_or_broken_file(project: Path, registry: str) -> None:
    """A live key is applied; a mistake, or an instance that is gone, changes nothing and says why."""
    environment = {"PASSENGER_INSTANCE_REGISTRY_DIR": registry}
    port = free_port()
    file = configured(project, port)
    good = file.read_text()
    started(project, registry, file)
    try:
        file.write_text(good.replace("[apps.a1]", "[apps.a1]\nmax_request_queue_size = 7"))
        assert passenger("reload", cwd=project, **environment).returncode == 0
        status = json.loads(passenger("status", "--format", "json", cwd=project, **environment).stdout)
        assert status["pool"]["groups"][0]["max_request_queue_size"] == 7
        file.write_text(good.replace("app_root", "app_rot"))
        refused = passenger("reload", cwd=project, **environment)
        assert refused.returncode == 78
        assert refused.stderr.startswith("error[E2")
        file.write_text(good.replace("i1", "other"))
        gone = passenger("reload", cwd=project, **environment)
        assert gone.returncode == 78
        assert "no longer in the configuration" in gone.stderr
        file.write_text(
            good.replace("[instances.i1.nginx]", f'[instances.i1]\nregistry_dir = "{registry}/2"\n[instances.i1.nginx]')
        )
        moved = passenger("reload", cwd=project, **environment)
        assert moved.returncode == 1
        assert "cannot move instance i1" in moved.stderr
        assert passenger("health", cwd=project, **environment).returncode == 0
    finally:
        assert passenger("stop", cwd=project, **environment).returncode == 0


def test_resolver_refuses_a_plan_of_another_version(project: Path) -> None:
    """After an upgrade under a running instance: a sentence, not a traceback."""
    done = passenger("resolve-plan", "--cwd", str(project), "--instance", "blog", cwd=project, stdin='{"name": "blog"}')
    assert done.returncode == 1
    assert done.stdout == ""
    assert "running plan cannot be read" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "word"), [([], 2, "a1, a2"), (["--app", "nope"], 2, "'nope'"), (["--app", "a1"], 0, "")]
)
def test_env_chooses_an_application(arguments: list[str], status: int, word: str, project: Path) -> None:
    """With several, one must be named."""
    file = configured(project, 8080, 8081)
    done = passenger("env", "-c", str(file), *arguments, cwd=project)
    assert done.returncode == status, done.stderr
    assert word in done.stderr


def test_env_explains_and_hides(project: Path) -> None:
    """Origins of variables with their places; a secret is not shown, and a file that holds nothing else not read."""
    file = configured(project, 8080)
    with file.open("a") as stream:
        stream.write('env_files = ["shop.env"]\ninherit.deny = ["DENIED"]\n')
        stream.write('env.COLOUR = "blue"\nenv.KEY = { file = "not-there" }\n')
    (file.parent / "shop.env").write_text("# shop\nTOKEN=sesame\nCOLOUR=red\n")
    done = passenger("env", "-c", str(file), "--explain", "--format", "json", cwd=project, INHERITED="yes", DENIED="x")
    assert done.returncode == 0, done.stderr
    variables = json.loads(done.stdout)
    line = len(file.read_text().splitlines()) - 1
    assert variables["COLOUR"] == {"value": "blue", "origin": "configuration", "where": f"{file}:{line}:14"}
    where = f"{file}:{line + 1}:11 (file not-there)"
    assert variables["KEY"] == {"value": "<secret>", "origin": "configuration", "where": where}
    assert variables["TOKEN"] == {"value": "<secret>", "origin": "env file", "where": f"{file.parent}/shop.env:2"}
    assert variables["INHERITED"] == {"value": "yes", "origin": "inherited", "where": None}
    assert variables["PASSENGER_APP_ENV"] == {"value": "production", "origin": "passenger", "where": None}
    assert "DENIED" not in variables
    shown = passenger("config", "show", "-c", str(file), cwd=project)
    assert "TOKEN" not in shown.stdout
    assert "shop.env" in shown.stdout


def test_env_reveals_when_asked(project: Path) -> None:
    """Then every file is read, and one that is missing is an error."""
    file = configured(project, 8080)
    with file.open("a") as stream:
        stream.write('env_files = ["shop.env"]\nenv.KEY = { file = "key" }\n')
    (file.parent / "shop.env").write_text("TOKEN='sesame open'\n")
    missing = passenger("env", "-c", str(file), "--reveal", cwd=project)
    assert (missing.returncode, "E121" in missing.stderr) == (78, True)
    (file.parent / "key").write_text("mellon\n")
    done = passenger("env", "-c", str(file), "--reveal", "--explain", cwd=project)
    assert done.returncode == 0, done.stderr
    assert f"env file {file.parent}/shop.env:1 " in done.stdout
    assert "TOKEN=sesame open" in done.stdout
    assert "KEY=mellon" in done.stdout
