"""A Docker engine for tests: the one that answers, else a private one of our own; images and containers on it.

1. An engine that answers at `DOCKER_HOST` or at its usual socket is used and left as it is; a private one (own data folder, own
   bridge, own socket) is started only when none answers, and ended by who started it.
2. Containers carry our label and are removed at the end of their `with` block; ports are published on loopback only.
3. Nothing sleeps: every wait is on a line of the log, an exit or an answer, with a deadline.
4. Builds use the classic builder, which is the least that docker/ has to work with.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import debian_base
from tests.support.bridge import bridge
from tests.support.http import Answer, fetch

USUAL_SOCKET = "unix:///var/run/docker.sock"
LABEL = "passenger-test"
DEADLINE = 90.0


def client() -> str:
    """Debian's client when it is there: it fits Debian's engine; a newer one elsewhere in PATH may not."""
    return "/usr/bin/docker" if Path("/usr/bin/docker").exists() else shutil.which("docker") or "docker"


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that answers."""

    host: str

    def docker(
        self, *arguments: str, check: bool = True, timeout: float = DEADLINE, stdin: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """One command of the client; fails with all it printed."""
        with contextlib.ExitStack() as stack:
            source = stack.enter_context(stdin.open("rb")) if stdin else subprocess.DEVNULL
            done = subprocess.run(
                [client(), *arguments], stdin=source, capture_output=True, text=True, errors="replace",
                check=False, timeout=timeout, env=self.environment(),
            )  # fmt: skip
        assert not check or done.returncode == 0, (
            f"docker {' '.join(arguments)}:\n{done.stdout[-8000:]}{done.stderr[-8000:]}"
        )
        return done

    def environment(self) -> dict[str, str]:
        return {**os.environ, "DOCKER_HOST": self.host, "DOCKER_BUILDKIT": "0"}

    def answers(self) -> bool:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            return self.docker("version", check=False, timeout=20).returncode == 0
        return False

    def has_image(self, tag: str) -> bool:
        return self.docker("image", "inspect", tag, check=False).returncode == 0

    def base(self, suite: str = debian_base.SUITE) -> str:
        """The tag of the bootstrapped Debian (tests/support/debian_base.py); made when this engine has none yet."""
        tag = debian_base.tag(suite)
        if not self.has_image(tag):
            with tempfile.TemporaryDirectory(prefix="ppbase", dir="/var/tmp") as folder:
                archive = Path(folder) / "base.tar"
                debian_base.bootstrap(archive, suite)
                self.docker("import", str(archive), tag, timeout=300)
        return tag

    def build(
        self, tag: str, context: Path, *, dockerfile: str = "Dockerfile", build_args: Mapping[str, str] | None = None
    ) -> str:
        """Build a folder, or a tar archive, with the classic builder; returns what it printed."""
        arguments = [word for name, value in (build_args or {}).items() for word in ("--build-arg", f"{name}={value}")]
        options = ["build", "--network", "host", "-t", tag, *arguments]
        if context.is_dir():
            return self.docker(*options, "-f", str(context / dockerfile), str(context), timeout=900).stdout
        return self.docker(*options, "-f", dockerfile, "-", stdin=context, timeout=900).stdout

    def once(
        self, image: str, *command: str, options: Sequence[str] = (), timeout: float = DEADLINE
    ) -> subprocess.CompletedProcess[str]:
        """Run a container to its end; its exit status and both streams."""
        return self.docker("run", "--rm", "--label", LABEL, *options, image, *command, check=False, timeout=timeout)

    @contextlib.contextmanager
    def running(self, image: str, *command: str, options: Sequence[str] = (), port: int = 8080) -> Iterator[Container]:
        """A container in the background for the time of a `with` block, with `port` published on loopback."""
        publish = ("-p", f"127.0.0.1::{port}") if port else ()
        started = self.docker("run", "-d", "--label", LABEL, *publish, *options, image, *command)
        container = Container(self, started.stdout.strip(), port)
        try:
            yield container
        finally:
            self.docker("rm", "-f", "-v", container.id, check=False)


@dataclass(frozen=True, slots=True)
class Container:
    """A container that was started, running or not."""

    engine: Engine
    id: str
    inner_port: int

    def inspect(self) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(self.engine.docker("inspect", self.id).stdout)
        return found[0]

    @property
    def port(self) -> int:
        """Where the published port is reachable on loopback."""
        return int(self.inspect()["NetworkSettings"]["Ports"][f"{self.inner_port}/tcp"][0]["HostPort"])

    def logs(self) -> str:
        done = self.engine.docker("logs", self.id)
        return done.stdout + done.stderr

    def wait_for(self, pattern: str, *, timeout: float = DEADLINE) -> re.Match[str]:
        """The first line of the log that matches; fails with the whole log when the container ends without one."""
        with subprocess.Popen(
            [client(), "logs", "-f", self.id], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", env=self.engine.environment(),
        ) as follower:  # fmt: skip
            assert follower.stdout
            timer = threading.Timer(timeout, follower.kill)
            timer.start()
            try:
                for line in follower.stdout:
                    if found := re.search(pattern, line):
                        return found
            finally:
                timer.cancel()
                follower.kill()
        raise AssertionError(f"no line matches {pattern!r}:\n{self.logs()}")

    def wait_ready(self, timeout: float = DEADLINE) -> Container:
        self.wait_for(r"\bready\b", timeout=timeout)
        return self

    def fetch(self, path: str = "/", **options: Any) -> Answer:
        return fetch(self.port, path, **options)

    def exec(self, *command: str, options: Sequence[str] = (), check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.engine.docker("exec", *options, self.id, *command, check=check)

    def signal(self, name: str) -> None:
        self.engine.docker("kill", "--signal", name, self.id)

    def wait_exit(self, timeout: float = DEADLINE) -> int:
        """The exit status of the container."""
        return int(self.engine.docker("wait", self.id, timeout=timeout).stdout)

    def stop(self, grace: int = 60) -> int:
        self.engine.docker("stop", "-t", str(grace), self.id, timeout=grace + 30)
        return self.wait_exit()

    def health(self, wanted: str, timeout: float = DEADLINE) -> None:
        """Until the engine says this of the container's health (`starting`, `healthy`, `unhealthy`)."""
        if self.inspect()["State"]["Health"]["Status"] == wanted:
            return
        with subprocess.Popen(
            [client(), "events", "--since", "0", "--filter", f"container={self.id}", "--format", "{{.Status}}"],
            stdout=subprocess.PIPE, text=True, env=self.engine.environment(),
        ) as events:  # fmt: skip
            assert events.stdout
            timer = threading.Timer(timeout, events.kill)
            timer.start()
            try:
                for line in events.stdout:
                    if line.strip() == f"health_status: {wanted}":
                        return
            finally:
                timer.cancel()
                events.kill()
        raise AssertionError(f"never {wanted}: {json.dumps(self.inspect()['State'])}\n{self.logs()}")


@contextlib.contextmanager
def an_engine() -> Iterator[Engine]:
    """The engine that answers, or a private one for the time of the block."""
    for host in dict.fromkeys((os.environ.get("DOCKER_HOST", USUAL_SOCKET), USUAL_SOCKET)):
        if Engine(host).answers():
            yield Engine(host)
            return
    with _private() as engine:
        yield engine


@contextlib.contextmanager
def _private() -> Iterator[Engine]:
    """`dockerd` with everything of its own, so that no other engine of this machine notices."""
    data = Path("/var/tmp/passenger-test-engine")  # kept: the bootstrapped base and the build cache of the last run
    data.mkdir(mode=0o711, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ppdk", dir="/tmp") as folder, bridge("ppdk0") as name:
        place = Path(folder)
        engine = Engine(f"unix://{place / 'docker.sock'}")
        with (place / "log").open("wb") as log:
            daemon = subprocess.Popen(
                ["dockerd", "--data-root", str(data), "--exec-root", str(place / "exec"), "--bridge", name,
                 "--pidfile", str(place / "pid"), "--host", engine.host],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            deadline = time.monotonic() + DEADLINE
            while not engine.answers():
                text = (place / "log").read_text(errors="replace")
                assert daemon.poll() is None, f"dockerd ended:\n{text[-8000:]}"
                assert time.monotonic() < deadline, f"dockerd does not answer:\n{text[-8000:]}"
            yield engine
        finally:
            daemon.terminate()
            daemon.wait(60)
            for mounted in place.glob("exec/netns/*"):  # dockerd leaves these behind, and a mount cannot be removed
                subprocess.run(["umount", str(mounted)], check=False, capture_output=True)
