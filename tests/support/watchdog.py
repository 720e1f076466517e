"""A real watchdog over a scripted core: plans, a line reader with deadlines, and questions about processes."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from passenger.config.paths import InstancePaths
from passenger.instance.plan import Listen, Plan, to_memory
from passenger.instance.variables import PLAN_FD_VARIABLE
from passenger.webserver.binary import find
from passenger.wire.control import Decoder, encode

REPOSITORY = Path(__file__).resolve().parents[2]
DEADLINE = 60.0

CORE = r"""
import json, os, socket, subprocess, sys, threading
mode = sys.argv[1]
launch = json.load(os.fdopen(int(os.environ["PASSENGER_LAUNCH_FD"])))
channel = socket.socket(fileno=launch["feedback_fd"])
def say(text):
    os.write(2, (text + "\n").encode())
def send(**message):
    channel.sendall(json.dumps(message).encode() + b"\n")
say(f"core {os.getpid()} started umask={os.umask(0):o} config={json.dumps(launch['config'])}")
marker = launch["instance_dir"] + ".starts"
starts = int(open(marker).read()) + 1 if os.path.exists(marker) else 1
open(marker, "w").write(str(starts))
if mode == "silent":
    sys.exit(3)
if mode == "failed":
    send(event="failed", reason="the moon is full")
    channel.recv(1)
if mode == "hang":
    channel.recv(1)
if mode == "closed":
    channel.close()
    os.read(os.memfd_create("x"), 1)
    import signal; signal.pause()
if mode == "app":
    app = subprocess.Popen([sys.executable, "-c", "import signal,os; os.write(2, b'app %d\\n' % os.getpid()); signal.pause()"], start_new_session=True, stdin=subprocess.DEVNULL)
if mode != "unstarted":
    def beat():
        send(event="beat", late=0.0, started=True, text="1 application, 2 processes, 0 requests queued" if launch["status_wanted"] else "")
        clock = threading.Timer(2, beat)
        clock.daemon = True
        clock.start()
    beat()
send(event="ready")
if mode == "crashing" or (mode == "crash_after_first" and starts > 1):
    os._exit(9)
buffer = b""
while True:
    data = channel.recv(65536)
    if not data:
        say("core sees EOF")
        sys.exit(4)
    buffer += data
    while b"\n" in buffer:
        line, _, buffer = buffer.partition(b"\n")
        message = json.loads(line)
        say("core got " + line.decode())
        if message["command"] == "drain" and mode != "stubborn":
            send(event="drained")
            sys.exit(0)
        if message["command"] == "reload":
            if "bad" in message["config"]:
                send(event="reload_failed", id=message["id"], reason="bad configuration")
            else:
                send(event="reloaded", id=message["id"], report={"got": message["config"]})
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def nginx_conf(root: str, ports: list[int], answer: str) -> str:
    listens = "".join(f"listen 127.0.0.1:{port}; " for port in ports)
    temps = "".join(
        f"{kind}_temp_path {root}/nginx/{kind}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"worker_processes 1; pid {root}/nginx/nginx.pid; error_log stderr notice; events {{}}\n"
        f"http {{ access_log off; {temps}\n"
        f"  server {{ {listens} location / {{ return 200 '{answer}'; }} }} }}\n"
    )


def make_plan(
    registry: str, *, mode: str = "good", name: str = "web", ports: list[int] | None = None, **changes: Any
) -> Plan:
    """A plan whose core is the script above; with ports, a real nginx in front."""
    root = f"{registry}/{name}"
    plan = Plan(
        name=name,
        version="0",
        instance_dir=root,
        core_config={"apps": 1},
        shown_config={"apps": 1},
        config_files=["/etc/x.toml"],
        urls={"blog": f"http://127.0.0.1:{ports[0]}/"} if ports else {"blog": "http://nowhere/"},
        connect_secret="s3cret",
        core_argv=[sys.executable, "-c", CORE, mode],
        reload_argv=[sys.executable, "-c", "import sys; sys.stdout.write(sys.stdin.read())"],
        log_level="debug",
        log_format="text",
        drain_delay=0.0,
        drain_timeout=10.0,
        start_timeout=10.0,
        max_crashes=10,
        crash_window=60.0,
        core_uid=None,
        core_gid=None,
        request_gid=None,
        apps_dir_mode=0o700,
        nginx_mode="managed" if ports else "off",
        nginx_argv=[find(None, search_path=os.environ["PATH"]).path] if ports else [],
        nginx_files={"nginx.conf": nginx_conf(root, ports, "first")} if ports else {},
        nginx_listen=[Listen(host="127.0.0.1", port=port) for port in ports or []],
        allowed_uids=[],
    )
    return dataclasses.replace(plan, **changes)


class Watchdog:
    """A started watchdog; everything it and its children write comes through one pipe."""

    def __init__(self, process: subprocess.Popen[bytes], plan: Plan, output: int, readiness: int | None) -> None:
        self.process = process
        self.plan = plan
        self.paths = InstancePaths(root=plan.instance_dir)
        self.lines: list[str] = []
        self._output = output
        self._readiness = readiness
        self._buffer = b""
        self._seen = 0

    def wait_line(self, pattern: str) -> re.Match[str]:
        """The next line (after those waited for before) that matches; fails with everything seen."""
        ends = time.monotonic() + DEADLINE
        while True:
            while self._seen < len(self.lines):
                self._seen += 1
                if found := re.search(pattern, self.lines[self._seen - 1]):
                    return found
            if not self._more(ends):
                raise AssertionError(f"no line matches {pattern!r} in:\n" + "\n".join(self.lines))

    def everything(self) -> str:
        """All output until its end: the watchdog and all children that hold the pipe are gone."""
        ends = time.monotonic() + DEADLINE
        while self._more(ends):
            pass
        return "\n".join(self.lines)

    def _more(self, ends: float) -> bool:
        if not select.select([self._output], [], [], max(0.0, ends - time.monotonic()))[0]:
            raise AssertionError("nothing more came in time after:\n" + "\n".join(self.lines))
        data = os.read(self._output, 65536)
        self._buffer += data
        *whole, self._buffer = self._buffer.split(b"\n")
        self.lines += [line.decode("utf-8", "replace") for line in whole]
        return bool(data)

    def wait_ready(self) -> dict[str, Any]:
        """The line on the readiness descriptor."""
        assert self._readiness is not None
        assert select.select([self._readiness], [], [], DEADLINE)[0], "\n".join(self.lines)
        answer: dict[str, Any] = json.loads(os.read(self._readiness, 65536))
        return answer

    def wait_exit(self) -> int:
        try:
            return self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired as error:
            raise AssertionError("it did not exit:\n" + "\n".join(self.lines)) from error

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def ask(self, verb: str, **fields: Any) -> dict[str, Any]:
        """One request to watchdog_api."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(DEADLINE)
            client.connect(self.paths.watchdog_api)
            client.sendall(encode({"verb": verb, **fields}))
            decoder = Decoder()
            while True:
                data = client.recv(65536)
                assert data, "closed without an answer"
                if messages := decoder.feed(data):
                    return messages[0]

    def pid_of(self, component: str) -> int:
        found = [c["pid"] for c in self.ask("status")["components"] if c["name"] == component]
        return int(found[0])

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)
        for fd in (self._output, self._readiness):
            if fd is not None:
                os.close(fd)


@contextmanager
def registry() -> Iterator[str]:
    """A short registry path of our own."""
    folder = tempfile.mkdtemp(dir="/tmp", prefix="pp")
    Path(folder).chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running(
    plan: Plan, *, prefix: tuple[str, ...] = (), environ: dict[str, str] | None = None, fds: tuple[int, ...] = ()
) -> Iterator[Watchdog]:
    """Start a watchdog, hand it over, and see that it is gone afterwards."""
    ready_r, ready_w = os.pipe()
    plan_fd = to_memory(dataclasses.replace(plan, readiness_fd=ready_w))
    output_r, output_w = os.pipe()
    process = subprocess.Popen(
        [*prefix, sys.executable, "-m", "passenger.watchdog"],
        env={**os.environ, PLAN_FD_VARIABLE: str(plan_fd), **(environ or {})},
        pass_fds=(plan_fd, ready_w, *fds),
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=output_w,
        stderr=output_w,
    )
    for fd in (ready_w, plan_fd, output_w):
        os.close(fd)
    watchdog = Watchdog(process, plan, output_r, ready_r)
    try:
        yield watchdog
    finally:
        watchdog.close()


def wait_gone(pid: int, seconds: float = DEADLINE) -> None:
    """Until a process that may not be our child has ended."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([fd], [], [], seconds)[0], f"{pid} still runs"
    finally:
        os.close(fd)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
