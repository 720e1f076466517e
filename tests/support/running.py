"""A real instance under test: `passenger start` as a child, its lines, its pids, its end.

Rules: nothing here sleeps; every wait is on a line of output, an exit or an answer, with a deadline.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

DEADLINE = 60.0
CHECKOUT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    """A TCP port on loopback that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(registry: Path) -> dict[str, str]:
    """The environment of a command under test: ours, with a registry of its own and without colour."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PASSENGER")}
    return clean | {
        "PASSENGER_INSTANCE_REGISTRY_DIR": str(registry),
        "NO_COLOR": "1",
        "PYTHONUNBUFFERED": "1",
    }


class Lines:
    """What a child prints, collected by a thread; `wait_for` blocks until a line matches."""

    def __init__(self, stream: Any) -> None:
        self.seen: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._collect, args=(stream,), daemon=True)
        self._thread.start()

    def _collect(self, stream: Any) -> None:
        with stream:
            for line in stream:
                with self._changed:
                    self.seen.append(line.rstrip("\n"))
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_for(self, pattern: str, *, after: int = 0, timeout: float = DEADLINE) -> re.Match[str]:
        """The first line from index `after` on that matches. Fails with everything printed so far."""
        deadline = time.monotonic() + timeout
        position = after
        with self._changed:
            while True:
                while position < len(self.seen):
                    if found := re.search(pattern, self.seen[position]):
                        return found
                    position += 1
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    why = "output ended" if self._ended else f"not within {timeout} s"
                    raise AssertionError(f"no line matches {pattern!r} ({why}):\n" + self.text())
                self._changed.wait(left)

    def until_end(self, timeout: float = DEADLINE) -> None:
        self._thread.join(timeout)
        assert not self._thread.is_alive(), "output has not ended:\n" + self.text()

    def text(self) -> str:
        return "\n".join(self.seen)


class RunningInstance:
    """`passenger start` on a configuration file."""

    def __init__(self, passenger: str, config: Path, *, registry: Path, arguments: Sequence[str] = ()) -> None:
        self.config = config
        self.registry = registry
        self.command = [passenger]
        self.process = subprocess.Popen(
            [*self.command, "start", "--config", str(config), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment(registry),
            cwd=config.parent,
        )
        self.lines = Lines(self.process.stdout)

    def wait_ready(self, timeout: float = DEADLINE) -> None:
        self.lines.wait_for(r"\bready\b", timeout=timeout)

    def wait_started(self, timeout: float = DEADLINE) -> None:
        """Until every application has its `min_instances`; the command itself is what we ask with."""
        deadline = time.monotonic() + timeout
        while self.run("health", "--ready").returncode != 0:
            assert time.monotonic() < deadline, "not started:\n" + self.lines.text()

    def run(self, *arguments: str, timeout: float = DEADLINE) -> subprocess.CompletedProcess[str]:
        """Another `passenger` command beside it."""
        return subprocess.run(
            [*self.command, *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=environment(self.registry),
            cwd=self.config.parent,
        )

    def status(self) -> dict[str, Any]:
        done = self.run("status", "--format", "json")
        assert done.returncode == 0, done.stderr + self.lines.text()
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def wait_exit(self, timeout: float = DEADLINE) -> int:
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError("still running:\n" + self.lines.text()) from None
        self.lines.until_end()
        return status

    def stop(self, number: int = signal.SIGTERM, timeout: float = DEADLINE) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait_exit(timeout)

    def kill_everything(self) -> None:
        """Last resort of a failed test: end the watchdog; its children notice."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        self.lines.until_end(20)


@contextlib.contextmanager
def registry() -> Iterator[Path]:
    """A registry with a short path that other users can pass through."""
    with tempfile.TemporaryDirectory(prefix="pp", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextlib.contextmanager
def running(
    passenger: str, config: Path, *, arguments: Sequence[str] = (), ready: bool = True
) -> Iterator[RunningInstance]:
    """An instance for the time of a `with` block, in a registry of its own."""
    with registry() as folder:
        instance = RunningInstance(passenger, config, registry=folder, arguments=arguments)
        try:
            if ready:
                instance.wait_ready()
            yield instance
        finally:
            instance.kill_everything()
