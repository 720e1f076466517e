"""An instance that serves the probe application (tests/e2e/apps/probe), and the ledger in which it notes what it did."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import projects
from tests.support.http import fetch
from tests.support.installation import Installation, hand_over
from tests.support.running import RunningInstance, free_port, running

DEADLINE = 30.0


@dataclass(frozen=True, slots=True)
class ProbeSite:
    """The running instance, its port, and the folder of everything that belongs to it."""

    instance: RunningInstance
    port: int
    place: Path

    def ask(self, path: str, body: object = None, *, host: str = "localhost") -> Any:
        """What the application answers, decoded."""
        data = None if body is None else json.dumps(body).encode()
        answer = fetch(self.port, path, method="GET" if data is None else "POST", body=data, host=host)
        assert answer.status == 200, f"{path}: {answer.status} {answer.text}"
        return json.loads(answer.text)

    def ledger(self) -> list[str]:
        return (self.place / "ledger").read_text().splitlines()

    def wait_ledger(self, line: str, count: int = 1) -> None:
        """Until the application has noted `line` `count` times."""
        wait_until(lambda: self.ledger().count(line) >= count, f"{line!r} in the ledger")

    def pids(self, app: str) -> list[int]:
        """The application's processes."""
        groups = self.instance.status()["pool"]["groups"]
        return [process["pid"] for group in groups if group["name"] == app for process in group["processes"]]

    def group(self, app: str) -> Any:
        return next(group for group in self.instance.status()["pool"]["groups"] if group["name"] == app)

    def component(self, name: str) -> int:
        """The pid of `core` or `nginx`."""
        return next(int(part["pid"]) for part in self.instance.status()["components"] if part["name"] == name)

    def gate(self, name: str) -> Path:
        """A FIFO that requests to /do/gate wait at until it was opened for writing and closed."""
        path = self.place / name
        os.mkfifo(path)
        path.chmod(0o666)
        return path


def wait_until(condition: Any, what: str | Callable[[], str], *, timeout: float = DEADLINE) -> None:
    """Return once `condition()` holds; asks again every 10 ms. `what`: words for a failure, made then if need be."""
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout} s: {what if isinstance(what, str) else what()}"
        pause.wait(0.01)


def open_gate(path: Path) -> None:
    """Let everybody through who waits at a gate."""
    os.close(os.open(path, os.O_WRONLY))


@contextlib.contextmanager
def probe_site(installation: Installation, place: Path, apps: str, *, instance: str = "") -> Iterator[ProbeSite]:
    """Run a configuration; ROOT in `apps` stands for the application's folder, PLACE for the folder around it."""
    root, port = projects.copy("probe", place), free_port()
    (place / "ledger").touch()
    hand_over(place / "ledger")
    config = place / "passenger.toml"
    config.write_text(
        f"config_version = 1\n[instances.main]\n{instance}\n"
        f'nginx.listen = ["127.0.0.1:{port}"]\n'
        f'[defaults]\nenv.LEDGER = "{place}/ledger"\n' + apps.replace("ROOT", str(root)).replace("PLACE", str(place))
    )
    with running(installation.passenger, config) as started:
        started.wait_started()
        yield ProbeSite(started, port, place)
