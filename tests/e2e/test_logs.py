"""The log of an instance in JSON: every line keeps the schema, whatever is written, rotated, or no longer read."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.support.http import fetch
from tests.support.installation import Installation, hand_over
from tests.support.load import load, wait_until_count
from tests.support.probe import wait_until
from tests.support.running import CHECKOUT, DEADLINE, RunningInstance, environment, free_port, registry

APP = r"""
import os, sys
def application(environ, start_response):
    path, name = environ["PATH_INFO"], environ["HTTP_X_REQUEST_ID"]
    if path == "/load":
        os.write(1, b"served %s \xe2\x80\xae\x1b[31m \xff %s\n" % (name.encode(), b"x" * 4500))
    elif path == "/forge":
        os.write(2, b'{"time":"2000","level":"error","message":"forged"}\r\n\x00\x9b31m\xe2\x80\xa8end\n')
    elif path == "/endless":
        piece = b"y" * 65536
        for _ in range(800):
            os.write(1, piece)
        os.write(1, b"\n")
    elif path == "/die":
        os._exit(3)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [name.encode()]
"""
CANARIES = {name: f"canary-{name}-c0ffee" for name in ("env", "file", "header", "cookie", "auth", "query")}
SCHEMA = json.loads((CHECKOUT / "schema" / "log-line.schema.json").read_text())


class Site:
    """One application; everything in one log file, in JSON."""

    def __init__(self, installation: Installation, place: Path, folder: Path) -> None:
        root = place / "blog"
        root.mkdir()
        (root / "passenger_wsgi.py").write_text(APP)
        hand_over(root)
        (place / "secret").write_text(CANARIES["file"])
        (place / "secret").chmod(0o600)
        self.port, self.admin = free_port(), free_port()
        self.folder = place / "log"
        self.folder.mkdir()
        self.log = self.folder / "passenger.log"
        self.passenger = installation.passenger
        config = place / "passenger.toml"
        config.write_text(
            'config_version = 1\n[instances.main]\nlog_format = "json"\nlog_level = "debug"\n[instances.main.nginx]\n'
            f'listen = ["127.0.0.1:{self.port}"]\naccess_log_format = "json"\n'
            f'[instances.main.admin]\nlisten = "127.0.0.1:{self.admin}"\n'
            f'[apps.blog]\napp_root = "{root}"\nmin_instances = 2\nmax_instances = 2\n'
            f'env.SECRET = "{CANARIES["env"]}"\nenv.FILED = {{ file = "{place}/secret" }}\n'
        )
        self.instance = RunningInstance(
            installation.passenger, config, registry=folder, arguments=("--log-file", str(self.log))
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.passenger, *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            env=environment(self.instance.registry),
            cwd=self.folder,
        )

    def lines(self) -> list[str]:
        """Of all files; the last one is there when its end is."""
        text = "".join(file.read_text("utf-8", "strict") for file in sorted(self.folder.iterdir()))
        return text.split("\n")[:-1]

    def records(self) -> list[Any]:
        """Every line held against the schema."""
        validator = jsonschema.Draft7Validator(SCHEMA)
        found = []
        for line in self.lines():
            record = json.loads(line)
            validator.validate(record)
            found.append(record)
        return found


@pytest.fixture(scope="module")
def site(installation: Installation, shared_place: Path) -> Iterator[Site]:
    """Started once for all tests here."""
    with registry() as folder:
        made = Site(installation, shared_place, folder)
        try:
            wait_until(lambda: made.run("health").returncode == 0, "health", timeout=DEADLINE)
            yield made
        finally:
            made.instance.kill_everything()


def test_ten_rotations_at_200_a_second_lose_and_split_no_line(site: Site) -> None:
    """By command and by USR1 in turn; each request has one line of nginx's and one of 5 KB of the application's (C13)."""
    with load(site.port, "/load", rate=200) as sent:
        for number in range(10):
            wait_until_count(sent, 60 * (number + 1))
            site.log.rename(site.folder / f"passenger.{number}.log")
            if number % 2:
                os.kill(site.instance.process.pid, signal.SIGUSR1)
            else:
                assert site.run("reopen-logs").returncode == 0
            wait_until(site.log.exists, "a new file")
    assert not sent.failed
    asked = {outcome.body.decode() for outcome in sent.outcomes}
    assert len(asked) == len(sent.outcomes)

    def missing() -> dict[str, set[str]]:
        text = "\n".join(site.lines())
        served, logged = r'"message": "served (\w+) ', r'"request_id":"(\w+)"'
        return {
            "lines of the application": asked - set(re.findall(served, text)),
            "lines of the access log": asked - set(re.findall(logged, text)),
            "and it says": set(re.findall(r"dropped \d+ bytes|\d+ writes to the log were lost", text)),
        }

    wait_until(lambda: not any(missing().values()), lambda: f"every line; missing are {missing()}", timeout=DEADLINE)
    records = site.records()
    served = [one["message"].split()[1] for one in records if one["message"].startswith("served ")]
    logged = [one["request_id"] for one in records if one["component"] == "access" and one["uri"] == "/load"]
    assert Counter(served) == Counter(logged) == Counter(asked)
    (one,) = [one for one in records if one["message"].startswith(f"served {served[0]} ")]
    assert (one["app"], one["stream"], one["instance"]) == ("blog", "stdout", "main")
    assert "\u202e" in one["message"], "as it was said: escaping is the reader's business in JSON"
    assert all(line.isascii() for line in site.lines())


def test_no_output_of_an_application_forges_or_breaks_a_line(site: Site) -> None:
    """A15, F22: a line that looks like ours, control characters, 50 MB without an end; nothing of it at a terminal."""
    for path in ("/forge", "/endless"):
        assert fetch(site.port, path).status == 200
    wait_until(lambda: "[cut: the line" in "".join(site.lines()), "the end of the endless line")
    wait_until(lambda: "forged" in "".join(site.lines()), "the line that looks like ours")
    records = site.records()
    (forged,) = [one for one in records if "forged" in one["message"]]
    assert (forged["component"], forged["level"], forged["app"], forged["stream"]) == ("app", "info", "blog", "stderr")
    assert max(len(one["message"]) for one in records) < 70_000
    shown = site.run("logs", "--app", "blog").stdout
    assert "forged" in shown
    assert not [char for char in shown if char != "\n" and not char.isprintable()]


def test_logs_are_chosen_by_application_level_and_time(site: Site) -> None:
    """nginx's lines have an application, too; a time in the machine's zone is compared as what it is."""
    name = fetch(site.port, "/chosen").text
    wait_until(lambda: name in "".join(site.lines()), "the line of nginx")
    of_blog = site.run("logs", "--app", "blog", "--since", "10m").stdout
    assert f'"request_id":"{name}"' in of_blog
    assert name not in site.run("logs", "--app", "shop").stdout
    assert name not in site.run("logs", "--level", "warn").stdout
    assert fetch(site.port, "/die").status == 502
    wait_until(lambda: '"level": "error"' in site.run("logs", "--level", "error").stdout, "the process that ended")
    records = [json.loads(line) for line in site.run("logs", "--level", "error", "--app", "blog").stdout.splitlines()]
    assert {one["level"] for one in records} == {"error"}


def test_an_error_page_leads_to_the_line_of_its_request(site: Site) -> None:
    """The same id on the page and in the access log."""
    page = fetch(site.port, "/die").text
    name = page.partition("Request ID: <code>")[2].partition("<")[0]
    assert len(name) == 32
    wait_until(lambda: any(f'"request_id":"{name}"' in line for line in site.lines()), "the line of nginx")
    (one,) = [one for one in site.records() if one["component"] == "access" and one["request_id"] == name]
    assert (one["status"], one["level"], one["app"], one["uri"]) == (502, "error", "blog", "/die")


def test_canaries_are_nowhere(site: Site) -> None:
    """F21: of environment, files, headers: queries: not in logs, metrics, status, pages, titles."""
    headers = {
        "X-Canary": CANARIES["header"],
        "Cookie": f"a={CANARIES['cookie']}",
        "Authorization": CANARIES["auth"],
        "Referer": f"http://blog.test/reset?token={CANARIES['query']}",
    }
    for path in ("/", "/die", "/load"):
        fetch(site.port, f"{path}?key={CANARIES['query']}", headers=headers)
    page = fetch(site.port, f"/die?key={CANARIES['query']}", headers=headers).text
    wait_until(lambda: sum('"uri":"/die?..."' in line for line in site.lines()) >= 2, "the lines of nginx")
    answers = site.run("status").stdout + site.run("status", "--format", "json").stdout
    effective = site.run("config", "show", "--config", str(site.instance.config)).stdout
    wait_until(lambda: fetch(site.port, "/").status == 200, "a process again, after /die")
    pids = [group["processes"] for group in site.instance.status()["pool"]["groups"]]
    titles = [
        Path(f"/proc/{process['pid']}/cmdline").read_bytes().decode() for processes in pids for process in processes
    ]
    places = {
        "metrics": fetch(site.admin, "/metrics").text,
        "page": page,
        "titles": "".join(titles),
        "answers": answers,
        "configuration": effective.replace(CANARIES["env"], "", 1),  # a literal of the file is no secret there
        "log": "\n".join(site.lines()),
    }
    assert all(places.values())
    found = [(place, name) for place, text in places.items() for name, secret in CANARIES.items() if secret in text]
    assert found == []
    assert sum('"referer":"http://blog.test/reset?..."' in line for line in site.lines()) == 4


def test_an_instance_outlives_the_reader_of_its_output(installation: Installation, place: Path) -> None:
    """C13: stdout and stderr closed at the other end; requests are served, reloads done, and it ends as it should."""
    root = place / "blog"
    root.mkdir()
    (root / "passenger_wsgi.py").write_text(APP)
    hand_over(root)
    port = free_port()
    config = place / "passenger.toml"
    config.write_text(
        f'config_version = 1\n[instances.main.nginx]\nlisten = ["127.0.0.1:{port}"]\n[apps.blog]\napp_root = "blog"\n'
    )
    with registry() as folder:
        child = subprocess.Popen(
            [installation.passenger, "start", "--config", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment(folder),
        )
        try:
            assert child.stdout is not None
            assert any(b"ready" in line for line in child.stdout)
            child.stdout.close()
            for _ in range(50):
                assert fetch(port, "/load").status == 200
            done = subprocess.run(
                [installation.passenger, "reload"],
                check=False,
                capture_output=True,
                timeout=60,
                env=environment(folder),
            )
            assert done.returncode == 0, done.stderr
            assert fetch(port, "/load").status == 200
            child.send_signal(signal.SIGTERM)
            assert child.wait(60) == 0
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
