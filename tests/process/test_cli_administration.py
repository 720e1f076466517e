"""Commands of administrators on stand-in instances: passenger-config, logs, memory-stats, completion in a real bash."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import pytest

from tests.support.commands import CHECKOUT, clean_environment, passenger, passenger_status, program
from tests.support.fake_instance import Answer, FakeInstance, fake_instances
from tests.support.running import Lines
from tests.support.statuses import core, group, watchdog

DEADLINE = 30.0
SERVER = {"requests": {}, "states": {"running": 1}, "draining": False, "app_connections": 1, "clients": []}
ANSWERS: dict[tuple[str, str], Answer] = {
    ("core_api", "status"): {"ok": True, "status": core(group())},
    ("core_api", "health"): {"ok": True, "live": True},
    ("core_api", "server"): {"ok": True, "server": SERVER},
    ("core_api", "backtraces"): {"ok": True, "backtraces": "Thread main:\n  File x\x1b[2J\n"},
    ("core_api", "restart"): {"ok": True, "apps": {"blog": None}},
    ("core_api", "detach"): {"ok": True, "pid": 4711, "app": "blog", "how": "withdrawn", "gone": False},
    ("watchdog_api", "status"): watchdog(),
    ("watchdog_api", "reopen_logs"): {"ok": True, "reopened": ["/var/log/p.log", "nginx"]},
}


@pytest.fixture
def main() -> Iterator[FakeInstance]:
    """One running instance."""
    with fake_instances("main", answers=ANSWERS) as (instance,):
        yield instance


def ask(instance: FakeInstance, name: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """One of the programs, in the registry of the instance."""
    return program(
        name, *arguments, cwd=instance.registry, PASSENGER_INSTANCE_REGISTRY_DIR=str(instance.registry), **variables
    )


@pytest.mark.parametrize(
    ("arguments", "asked", "word"),
    [
        (("api-call", "health"), ("core_api", {"verb": "health"}), '"live": true'),
        (("api-call", "get", "/ping.json"), ("core_api", {"verb": "health"}), '"live": true'),
        (("api-call", "GET", "/server.json"), ("core_api", {"verb": "server"}), '"running": 1'),
        (("api-call", "-a", "watchdog_api", "/ping.json"), ("watchdog_api", {"verb": "status"}), '"state": "running"'),
        (
            ("api-call", "POST", "/pool/detach_process.json", "-d", '{"pid": 4711, "verb": "stop"}'),
            ("core_api", {"pid": 4711, "verb": "detach"}),
            "withdrawn",
        ),
        (
            ("reopen-logs",),
            ("watchdog_api", {"verb": "reopen_logs"}),
            "/var/log/p.log: opened anew\nnginx: opened anew",
        ),
    ],
)
def test_passenger_config_asks_the_right_socket(
    main: FakeInstance, arguments: tuple[str, ...], asked: tuple[str, dict[str, Any]], word: str
) -> None:
    """Verbs and Passenger's own paths."""
    done = ask(main, "passenger-config", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert word in done.stdout
    assert main.asked == [asked]


@pytest.mark.parametrize(
    ("arguments", "status", "word"),
    [
        (("api-call", "eval"), 1, "no such verb"),
        (("api-call", "GET", "/etc/passwd"), 2, "there is no path /etc/passwd"),
        (("api-call", "a", "b"), 2, "one VERB or PATH"),
        (("api-call", "health", "-d", "[1]"), 2, "no JSON object"),
        (("api-call", "health", "-d", "{"), 2, "not JSON"),
        (("about", "nothing"), 2, "nothing"),
        (("restart",), 2, "Did you mean `restart-app`?"),
        ((), 2, ""),
    ],
)
def test_passenger_config_refuses(main: FakeInstance, arguments: tuple[str, ...], status: int, word: str) -> None:
    """Mistakes are named."""
    done = ask(main, "passenger-config", *arguments)
    assert done.returncode == status
    assert word in done.stderr


def test_passenger_config_lists_instances(main: FakeInstance, tmp_path: Path) -> None:
    """For people and for programs; none is no error, and may be said by nothing."""
    done = ask(main, "passenger-config", "list-instances")
    assert done.stdout.splitlines()[1].split() == ["main", str(os.getpid()), "/etc/p.toml"]
    (found,) = json.loads(ask(main, "passenger-config", "list-instances", "--json").stdout)
    assert (found["name"], found["instance_dir"]) == ("main", main.paths.root)
    none = {"cwd": tmp_path, "PASSENGER_INSTANCE_REGISTRY_DIR": str(tmp_path)}
    assert "no Passenger instances" in program("passenger-config", "list-instances", **none).stdout  # type: ignore[arg-type]
    assert program("passenger-config", "list-instances", "-q", **none).stdout == ""  # type: ignore[arg-type]


def test_passenger_config_knows_the_machine_and_itself(main: FakeInstance) -> None:
    """Facts that scripts ask for."""
    assert ask(main, "passenger-config", "about", "root").stdout == f"{CHECKOUT}/passenger\n"
    assert ask(main, "passenger-config", "about", "registry").stdout == f"{main.registry}\n"
    properties = json.loads(ask(main, "passenger-config", "system-properties").stdout)
    assert properties["cpus"] >= 1
    metrics = json.loads(ask(main, "passenger-config", "system-metrics", "--format", "json", "--no-cpu").stdout)
    assert set(metrics) == {"time", "general", "memory"}
    text = ask(main, "passenger-config", "system-metrics", "--no-memory").stdout
    assert "Load averages" in text
    assert "CPU 1" in text
    checked = ask(main, "passenger-config", "validate-install")
    assert checked.returncode in {0, 2}
    assert "nginx" in checked.stdout


def test_an_instance_without_log_files(tmp_path: Path) -> None:
    """As Passenger: an error, unless a script says that it does not mind."""
    answers: dict[tuple[str, str], Answer] = {("watchdog_api", "reopen_logs"): {"ok": True, "reopened": []}}
    with fake_instances("main", answers=answers) as (instance,):
        done = ask(instance, "passenger-config", "reopen-logs")
        assert done.returncode == 1
        assert "no log file of its own" in done.stderr
        assert ask(instance, "passenger-config", "reopen-logs", "--ignore-logs-not-available").returncode == 0


@pytest.mark.parametrize(
    ("view", "word"),
    [
        ("server", '"app_connections": 1'),
        ("requests", '"running": 1'),
        ("backtraces", "File x\\x1b[2J"),
        ("xml", "<pid>4711</pid>"),
    ],
)
def test_passenger_status_views(main: FakeInstance, view: str, word: str) -> None:
    """Each from its verb; what the core says cannot drive the terminal."""
    done = passenger_status(f"--show={view}", cwd=main.registry, PASSENGER_INSTANCE_REGISTRY_DIR=str(main.registry))
    assert (done.returncode, done.stderr) == (0, "")
    assert word in done.stdout
    assert done.stdout.startswith("Version : ") == (view == "backtraces")


def test_memory_stats_looks_at_the_processes_themselves(main: FakeInstance) -> None:
    """This process plays the watchdog; what it started is listed below it, whether the core answers or not."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        document = json.loads(ask(main, "passenger-memory-stats", "--format", "json").stdout)
        text = ask(main, "passenger-memory-stats").stdout
        assert child.stdin
        child.stdin.close()
    found = {item["pid"]: item for item in document["processes"]}
    assert found[os.getpid()]["kind"] == "passenger"
    assert (found[child.pid]["name"], found[child.pid]["ppid"]) == ("cat", os.getpid())
    assert found[child.pid]["private"] <= found[child.pid]["rss"]
    assert document["totals"]["processes"] == len(found)
    assert "---------- Nginx processes ----------" in text


class CoreLines:
    """The verb `logs` of a core that says one more line each time, and is replaced after the second."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> Mapping[str, Any]:
        self.asked += 1
        line = f"2031-05-01T12:00:0{self.asked}.000Z info  app: App blog[1] stdout: line {self.asked}"
        return {"ok": True, "lines": [line], "next": self.asked, "pid": 1, "lost": self.asked == 2}


def test_logs_of_an_instance_without_a_file_come_from_the_core() -> None:
    """Chosen by application, level and time; followed until the instance ends."""
    answers = ANSWERS | {("core_api", "logs"): CoreLines()}
    with fake_instances("main", answers=answers) as (instance,):
        assert ask(instance, "passenger", "logs", "--app", "blog").stdout.endswith("line 1\n")
        nothing = ask(instance, "passenger", "logs", "--app", "shop")
        assert (nothing.stdout, "no application 'shop'" in nothing.stderr) == ("", True)
        with subprocess.Popen(
            [sys.executable, "-m", "passenger", "logs", "--follow"],
            env=clean_environment(PASSENGER_INSTANCE_REGISTRY_DIR=str(instance.registry)),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as child:
            lines = Lines(child.stdout)
            lines.wait_for("line 5$", timeout=DEADLINE)
            Path(instance.paths.creation_finalized).unlink()
            assert child.wait(DEADLINE) == 0
            lines.until_end()
    questions = [message for _, message in instance.asked if message["verb"] == "logs"]
    assert [question["after"] for question in questions[2:5]] == [0, 3, 4]


def test_logs_of_an_instance_with_a_file(tmp_path: Path) -> None:
    """The file's own lines; a rotated one is followed into the new one, and nothing in it drives the terminal."""
    file = tmp_path / "p.log"
    file.write_text("one\nevil \x1b[2J\nthree\n")
    answers: dict[tuple[str, str], Answer] = {("watchdog_api", "status"): {**watchdog(), "log_file": str(file)}}
    with fake_instances("main", answers=answers) as (instance,):
        assert ask(instance, "passenger", "logs").stdout == "one\nevil \\x1b[2J\nthree\n"
        assert ask(instance, "passenger", "logs", "-n", "1").stdout == "three\n"
        assert ask(instance, "passenger", "logs", "-n", "0").stdout == ""
        with subprocess.Popen(
            [sys.executable, "-m", "passenger", "logs", "--follow"],
            env=clean_environment(PASSENGER_INSTANCE_REGISTRY_DIR=str(instance.registry)),
            stdout=subprocess.PIPE,
            text=True,
        ) as child:
            lines = Lines(child.stdout)
            lines.wait_for("three")
            with file.open("a") as stream:
                stream.write("fo")
                stream.flush()
                stream.write("ur\n")
            lines.wait_for("^four$", timeout=DEADLINE)
            file.rename(tmp_path / "p.log.1")
            file.write_text("five\n")
            lines.wait_for("^five$", timeout=DEADLINE)
            Path(instance.paths.creation_finalized).unlink()
            assert child.wait(DEADLINE) == 0
            lines.until_end()
    assert lines.seen == ["one", "evil \\x1b[2J", "three", "four", "five"]


def test_a_log_file_that_may_not_be_read(tmp_path: Path) -> None:
    """The reason and the way out."""
    answers: dict[tuple[str, str], Answer] = {("watchdog_api", "status"): {**watchdog(), "log_file": str(tmp_path)}}
    with fake_instances("main", answers=answers) as (instance,):
        done = ask(instance, "passenger", "logs")
    assert done.returncode == 1
    assert f"cannot read log file {tmp_path}" in done.stderr


def test_top_needs_a_terminal(main: FakeInstance) -> None:
    """Into a pipe, and on a terminal that cannot draw: a hint, status 1."""
    done = ask(main, "passenger", "top")
    assert done.returncode == 1
    assert "passenger status --watch" in done.stderr
    with Terminal(main, TERM="dumb") as terminal:
        terminal.wait_for("this is no terminal")
        assert terminal.child.wait(DEADLINE) == 1


class Terminal:
    """`passenger top` on a pseudo terminal."""

    def __init__(self, instance: FakeInstance, **variables: str) -> None:
        self._master, slave = pty.openpty()
        self.text = ""
        environ = clean_environment(PASSENGER_INSTANCE_REGISTRY_DIR=str(instance.registry), TERM="xterm", LINES="24")
        self.child = subprocess.Popen(
            [sys.executable, "-m", "passenger", "top", "--interval", "0.3"],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environ | variables,
            start_new_session=True,
        )
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait(DEADLINE)
        os.close(self._master)

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def wait_for(self, word: str) -> None:
        """Read on until it is written."""
        ends = time.monotonic() + DEADLINE
        while word not in self.text:
            assert select.select([self._master], [], [], max(0.0, ends - time.monotonic()))[0], self.text
            self.text += os.read(self._master, 65536).decode("utf-8", "replace")
        self.text = self.text.partition(word)[2]


def test_top_on_a_terminal(main: FakeInstance) -> None:
    """It draws, asks before it acts, acts, and gives the terminal back."""
    with Terminal(main) as terminal:
        terminal.wait_for("q quit")
        terminal.press("r")
        terminal.wait_for("restart blog? y/n")
        terminal.press("n")
        terminal.wait_for("nothing was done")
        terminal.press("jd")
        terminal.wait_for("detach process 4711? y/n")
        terminal.press("y")
        terminal.wait_for("process 4711 finishes its requests and ends")
        terminal.press("kry")
        terminal.wait_for("blog is being restarted")
        terminal.press("q")
        terminal.wait_for("\x1b[?1049l")
        assert terminal.child.wait(DEADLINE) == 0
    changing = [message for _, message in main.asked if message["verb"] != "status"]
    assert changing == [
        {"verb": "detach", "pid": 4711, "wait": 0},
        {"verb": "restart", "apps": ["blog"], "method": "", "wait": 0},
    ]


COMPLETE = """
eval "$(python -m passenger completion bash)"
passenger() { python -m passenger "$@"; }
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_passenger
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("passenger", "restart"), ["restart-app"]),
        (("passenger", "config", "sh"), ["show"]),
        (("passenger", "status", "--form"), ["--format"]),
        (("passenger", "status", "--format", ""), ["text", "json"]),
        (("passenger", "status", "--instance", ""), ["main"]),
        (("/usr/bin/passenger", "health", "-i", "ma"), ["main"]),
        (("passenger", "logs", "--app", ""), ["blog"]),
        (("passenger", "restart-app", "bl"), ["blog"]),
        (("passenger-status", "m"), ["main"]),
        (("passenger-status", "--show", "=", "x"), ["xml"]),
        (("passenger-status", "--show=x"), ["xml"]),
        (("passenger-config", "list"), ["list-instances"]),
        (("passenger", "completion", "z"), ["zsh"]),
        (("passenger", "nothing", "x"), [""]),
        (("passenger", "validate", "x"), [""]),
    ],
)
def test_bash_completes(words: tuple[str, ...], found: list[str]) -> None:
    """The real shell, with our script: commands, options, values, names from the registry."""
    with fake_instances("main", answers={}) as (instance,):
        properties = json.loads(Path(instance.paths.properties).read_text())
        Path(instance.paths.properties).write_text(json.dumps({**properties, "urls": {"blog": "http://x/"}}))
        environ = clean_environment(PASSENGER_INSTANCE_REGISTRY_DIR=str(instance.registry))
        done = subprocess.run(
            ["bash", "-c", COMPLETE.replace("python", sys.executable), "bash", *words],
            env=environ,
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.stderr == ""
    assert done.stdout.splitlines() == found


def test_scripts_for_other_shells_ask_the_same_command(tmp_path: Path) -> None:
    """zsh and fish get theirs."""
    for shell in ("zsh", "fish"):
        done = passenger("completion", shell, cwd=tmp_path)
        assert done.returncode == 0
        assert "passenger complete" in done.stdout
    assert passenger("completion", "csh", cwd=tmp_path).returncode == 2
