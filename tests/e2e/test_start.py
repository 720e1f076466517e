"""`passenger start` as its users meet it: configured, without configuration, wrong, twice, stopped, reloaded."""

from __future__ import annotations

import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.support import projects
from tests.support.http import fetch
from tests.support.installation import Installation, hand_over
from tests.support.running import Lines, RunningInstance, environment, free_port, registry, running

HELLO = """
from wsgiref.validate import validator
@validator
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""


def hello(folder: Path, *, name: str = "hello", text: str = HELLO) -> Path:
    """A one-file application."""
    root = folder / name
    root.mkdir()
    (root / "passenger_wsgi.py").write_text(text)
    return hand_over(root)


def configuration(folder: Path, port: int, apps: str, instance: str = "") -> Path:
    """A configuration file with one listener."""
    file = folder / "passenger.toml"
    file.write_text(
        f'config_version = 1\n[instances.main]\n{instance}\n[instances.main.nginx]\nlisten = ["127.0.0.1:{port}"]\n'
        f"{apps}"
    )
    return file


def test_project_folder_without_configuration_just_works(installation: Installation, place: Path) -> None:
    """`passenger start` in a folder with an application serves it."""
    root, port = hello(place), free_port()
    with registry() as folder:
        child = subprocess.Popen(
            [installation.passenger, "start", "--port", str(port)],
            cwd=root,
            env=environment(folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        lines = Lines(child.stdout)
        try:
            lines.wait_for(r"\bready\b")
            assert fetch(port).text == "hello"
        finally:
            child.send_signal(signal.SIGINT)
            assert child.wait(30) == 0
            lines.until_end()


@pytest.mark.parametrize(
    ("code", "step", "what"),
    [
        ("def application(:\n", "load the application", "SyntaxError"),
        ("import sys\nprint('about to leave')\nsys.exit(3)\n", "load the application", "about to leave"),
        ("import time, threading\nthreading.Event().wait()\n", "load the application", "2"),
        ("print('x' * 100000)\nraise RuntimeError('no database')\n", "load the application", "no database"),
    ],
    ids=["syntax error", "exits", "hangs", "raises"],
)
def test_broken_application_is_explained_and_leaves_the_rest_alone(
    installation: Installation, place: Path, code: str, step: str, what: str
) -> None:
    """The log and the page name the step, the output and an id; the other application keeps working."""
    good, bad, port = hello(place), hello(place, name="bad", text=code), free_port()
    config = configuration(
        place,
        port,
        f"""
[apps.good]
app_root = "{good}"
server_names = ["good.test"]
[apps.bad]
app_root = "{bad}"
server_names = ["bad.test"]
app_env = "development"
start_timeout = "2s"
""",
    )
    with running(installation.passenger, config) as instance:
        page = fetch(port, host="bad.test")
        assert page.status in {500, 503}
        assert step in page.text
        assert what in page.text
        assert fetch(port, host="good.test").text == "hello"
        groups = {group["name"]: group for group in instance.status()["pool"]["groups"]}
        assert groups["bad"]["last_error"]["id"]
        (bad / "passenger_wsgi.py").write_text(HELLO)


def test_production_error_page_tells_the_client_nothing(installation: Installation, place: Path) -> None:
    """The id joins the page to the log; path, code and output stay inside."""
    root, port = hello(place, text="raise RuntimeError('the password is sesame')\n"), free_port()
    config = configuration(place, port, f'[apps.bad]\napp_root = "{root}"\n')
    with running(installation.passenger, config) as instance:
        page = fetch(port)
        assert page.status in {500, 503}
        assert "sesame" not in page.text
        assert str(root) not in page.text
        instance.lines.wait_for("the password is sesame")


def test_invalid_configuration_starts_nothing(installation: Installation, place: Path) -> None:
    """Exit status 78, a caret, and no instance directory."""
    root = hello(place)
    config = configuration(place, free_port(), f'[apps.a]\napp_root = "{root}"\nspwan_method = "direct"\n')
    with running(installation.passenger, config, ready=False) as instance:
        assert instance.wait_exit() == 78
        assert "^^^^" in instance.lines.text()
        assert "spawn_method" in instance.lines.text()
        assert list(instance.registry.iterdir()) == []


def test_second_start_names_the_pid_of_the_first(installation: Installation, place: Path) -> None:
    """One instance of a name at a time."""
    root, port = hello(place), free_port()
    config = configuration(place, port, f'[apps.a]\napp_root = "{root}"\n')
    with running(installation.passenger, config) as first:
        second = RunningInstance(installation.passenger, config, registry=first.registry)
        try:
            assert second.wait_exit() != 0
            assert str(first.process.pid) in second.lines.text()
        finally:
            second.kill_everything()
        assert fetch(port).text == "hello"


def test_stale_directory_is_cleaned(installation: Installation, place: Path) -> None:
    """C16: after kill -9 of everything, the next start works."""
    root, port = hello(place), free_port()
    config = configuration(place, port, f'[apps.a]\napp_root = "{root}"\n')
    with running(installation.passenger, config) as first:
        first.process.kill()
        first.wait_exit()
        again = RunningInstance(installation.passenger, config, registry=first.registry)
        try:
            again.wait_ready()
            assert fetch(port).text == "hello"
            assert again.stop() == 0
        finally:
            again.kill_everything()


def test_stop_command(installation: Installation, place: Path) -> None:
    """`passenger stop` ends the instance; a second one finds none (exit 3)."""
    root, port = hello(place), free_port()
    config = configuration(place, port, f'[apps.a]\napp_root = "{root}"\n')
    with running(installation.passenger, config) as instance:
        instance.wait_started()
        done = instance.run("stop")
        assert done.returncode == 0, done.stderr
        assert instance.wait_exit() == 0
        assert instance.run("stop").returncode == 3


def test_reload_applies_live_keys_and_rolls_changed_apps(installation: Installation, place: Path) -> None:
    """Unchanged applications keep their pids; an invalid file changes nothing."""
    one, two, port = hello(place), projects.copy("flask_app", place), free_port()
    apps = """
[apps.one]
app_root = "{one}"
server_names = ["one.test"]
[apps.two]
app_root = "{two}"
server_names = ["two.test"]
env.FLASK_SECRET = "{secret}"
env.COLOUR = "{secret}"
"""
    config = configuration(place, port, apps.format(one=one, two=two, secret="red"))
    with running(installation.passenger, config) as instance:

        def pids() -> dict[str, list[int]]:
            groups = instance.status()["pool"]["groups"]
            return {group["name"]: [process["pid"] for process in group["processes"]] for group in groups}

        for host in ("one.test", "two.test"):
            assert fetch(port, host=host).status == 200
        before = pids()
        config.write_text(config.read_text().replace("server_names", "sever_names"))
        refused = instance.run("reload")
        assert refused.returncode != 0
        assert "server_names" in refused.stderr
        assert pids() == before
        configuration(place, port, apps.format(one=one, two=two, secret="blue"))
        mark = len(instance.lines.seen)
        done = instance.run("reload")
        assert done.returncode == 0, done.stderr + instance.lines.text()
        instance.lines.wait_for(r"application restarted.*app=two|app=two.*application restarted", after=mark)
        assert '"COLOUR":"blue"' in fetch(port, "/osenviron", host="two.test").text.replace(" ", "")
        after = pids()
        assert after["one"] == before["one"]
        assert after["two"] != before["two"]


def test_access_log_reaches_a_stdout_that_is_a_socket(installation: Installation, place: Path) -> None:
    """As under systemd, whose journal is a socket that nobody can open by name."""
    root, port = hello(place), free_port()
    config = configuration(place, port, f'[apps.a]\napp_root = "{root}"\n')
    ours, theirs = socket.socketpair()
    with registry() as folder, theirs:
        child = subprocess.Popen(
            [installation.passenger, "start", "--config", str(config)],
            env=environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=theirs.fileno(),
            stderr=subprocess.STDOUT,
        )
        theirs.close()
        lines = Lines(ours.makefile("r", errors="replace"))
        ours.close()
        try:
            lines.wait_for(r"\bready\b")
            assert fetch(port, "/logged").text == "hello"
            lines.wait_for(r"GET /logged")
        finally:
            child.terminate()
            assert child.wait(30) == 0
            lines.until_end()
