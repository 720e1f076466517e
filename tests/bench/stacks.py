"""The stacks that are compared: how each is configured and started, and which of its processes belong to which group.

Every stack serves the same application with the same number of single-threaded workers, on a loopback port, with its
access log off. nginx has the same number of workers and the same keep-alive settings in front of all of them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from passenger.webserver.binary import find

WORKERS = 6
NGINX_WORKERS = 1
PASSENGER_ROOT = Path("/usr/lib/ruby/vendor_ruby/phusion_passenger/locations.ini")
APACHE = Path("/usr/sbin/apache2")
PASSENGER_MODULE = Path("/usr/lib/apache2/modules/mod_passenger.so")
DEBIAN_PYTHON = "/usr/bin/python3"

Group = str
"""`web server`, `core`, `application` or `other`."""


@dataclass(slots=True)
class Stack:
    """One way to serve the application."""

    name: str
    commands: list[list[str]]
    port: int
    folder: Path
    group_of: Callable[[psutil.Process, str], Group]
    environ: dict[str, str] = field(default_factory=dict)
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        log = (self.folder / "log").open("ab")
        for command in self.commands:
            self.children.append(
                subprocess.Popen(
                    command,
                    cwd=self.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=os.environ | self.environ,
                )
            )
        log.close()

    def stop(self) -> None:
        everyone = list(self.processes())
        for child in self.children:
            child.terminate()
        for child in self.children:
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait(10)
        _gone, alive = psutil.wait_procs(everyone, timeout=10)
        for process in alive:
            process.kill()
        self.children.clear()

    def processes(self) -> list[psutil.Process]:
        """Every living process of the stack."""
        found: list[psutil.Process] = []
        for child in self.children:
            try:
                parent = psutil.Process(child.pid)
                found += [parent, *parent.children(recursive=True)]
            except psutil.NoSuchProcess:
                continue
        return found

    def groups(self) -> dict[Group, list[psutil.Process]]:
        """The same by group."""
        sorted_: dict[Group, list[psutil.Process]] = {}
        for process in self.processes():
            try:
                line = " ".join(process.cmdline())
            except psutil.Error:
                continue
            sorted_.setdefault(self.group_of(process, line), []).append(process)
        return sorted_


def _nginx(folder: Path, port: int, location: str) -> list[str]:
    """nginx in front of a peer, configured as ours is."""
    user = "user nobody nogroup;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"""{user} worker_processes {NGINX_WORKERS}; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; uwsgi_temp_path {folder}/uwsgi;
scgi_temp_path {folder}/scgi; fastcgi_temp_path {folder}/fastcgi; keepalive_requests 100000;
server {{ listen 127.0.0.1:{port}; location / {{ {location} }} }} }}
"""
    )
    nginx = find(None, search_path=os.environ["PATH"]).path
    return [nginx, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]


def _peer_group(process: psutil.Process, line: str) -> Group:
    return "web server" if "nginx" in line else "application"


def gunicorn(folder: Path, port: int, app: Path) -> Stack:
    """nginx + Gunicorn, sync workers."""
    sock = folder / "gunicorn.sock"
    proxy = f"proxy_pass http://unix:{sock}; proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr;"
    serve = [sys.executable, "-m", "gunicorn", "--chdir", str(app), "--bind", f"unix:{sock}", "--umask", "0"]
    serve += ["--workers", str(WORKERS), "--worker-class", "sync", "--no-control-socket", "passenger_wsgi:application"]
    if "--no-control-socket" not in _help(["-m", "gunicorn", "--help"]):
        serve.remove("--no-control-socket")
    return Stack("nginx + Gunicorn (sync)", [serve, _nginx(folder, port, proxy)], port, folder, _peer_group)


def uwsgi(folder: Path, port: int, app: Path) -> Stack:
    """nginx + uWSGI (pyuwsgi)."""
    sock = folder / "uwsgi.sock"
    names = "QUERY_STRING $query_string|REQUEST_METHOD $request_method|CONTENT_TYPE $content_type|CONTENT_LENGTH $content_length"
    names += (
        "|REQUEST_URI $request_uri|PATH_INFO $document_uri|SERVER_PROTOCOL $server_protocol|REMOTE_ADDR $remote_addr"
    )
    names += "|REMOTE_PORT $remote_port|SERVER_PORT $server_port|SERVER_NAME $server_name"
    parameters = " ".join(f"uwsgi_param {pair};" for pair in names.split("|"))
    serve = [str(Path(sys.executable).with_name("uwsgi")), "--socket", str(sock), "--chmod-socket=666", "--master"]
    serve += ["--processes", str(WORKERS), "--chdir", str(app), "--module", "passenger_wsgi:application"]
    serve += ["--disable-logging", "--die-on-term", "--listen", "100"]
    return Stack(
        "nginx + uWSGI",
        [serve, _nginx(folder, port, f"uwsgi_pass unix:{sock}; {parameters}")],
        port,
        folder,
        _peer_group,
    )


def ours(folder: Path, port: int, app: Path) -> Stack:
    """This product."""
    config = folder / "passenger.toml"
    python = DEBIAN_PYTHON if os.geteuid() == 0 and Path(DEBIAN_PYTHON).exists() else sys.executable
    config.write_text(
        f"""config_version = 1
[instances.bench]
registry_dir = "{folder}/run"
core.max_pool_size = {WORKERS}
nginx = {{ listen = ["127.0.0.1:{port}"], access_log = "off", worker_processes = {NGINX_WORKERS} }}
[apps.bench]
app_root = "{app}"
python = "{python}"
min_instances = {WORKERS}
max_request_queue_size = 0
"""
    )

    def group_of(process: psutil.Process, line: str) -> Group:
        for part, group in (("nginx", "web server"), ("passenger.core", "core"), ("wsgi_", "application")):
            if part in line:
                return group
        return "other"

    command = [sys.executable, "-m", "passenger", "start", "--config", str(config)]
    return Stack("nginx + ours", [command], port, folder, group_of)


def apache_passenger(folder: Path, port: int, app: Path) -> Stack:
    """Debian's Apache + Passenger."""
    modules = "\n".join(
        f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{file}.so"
        for name, file in (("mpm_event", "mpm_event"), ("authz_core", "authz_core"), ("passenger", "passenger"))
    )
    (app / "public").mkdir(exist_ok=True)
    user = "User nobody\nGroup nogroup" if os.geteuid() == 0 else ""
    (folder / "apache.conf").write_text(
        f"""ServerRoot {folder}
{modules}
{user}
Listen 127.0.0.1:{port}
PidFile {folder}/apache.pid
ErrorLog {folder}/error.log
ServerName localhost
StartServers 1
ServerLimit 1
ThreadsPerChild 64
MaxRequestWorkers 64
MaxKeepAliveRequests 0
PassengerRoot {PASSENGER_ROOT}
PassengerInstanceRegistryDir {folder}
PassengerPython {DEBIAN_PYTHON}
PassengerMaxPoolSize {WORKERS}
PassengerMinInstances {WORKERS}
PassengerMaxRequestQueueSize 0
PassengerDisableSecurityUpdateCheck on
PassengerDisableAnonymousTelemetry on
PassengerTurbocaching off
DocumentRoot {app}/public
PassengerAppRoot {app}
PassengerAppType wsgi
PassengerStartupFile passenger_wsgi.py
PassengerPreStart http://127.0.0.1:{port}/
<Directory {app}/public>
  Require all granted
</Directory>
"""
    )

    def group_of(process: psutil.Process, line: str) -> Group:
        if "wsgi-loader" in line or "passenger_wsgi" in line or "Passenger WsgiApp" in line or "python" in line:
            return "application"
        if "apache2" in line:
            return "web server"
        return "core" if "Passenger core" in line or "PassengerAgent core" in line else "other"

    command = [str(APACHE), "-f", str(folder / "apache.conf"), "-DFOREGROUND"]
    return Stack("Apache + Passenger 6.0.17", [command], port, folder, group_of)


def available() -> tuple[list[Callable[[Path, int, Path], Stack]], list[str]]:
    """The stacks this machine can run, ours first, and a line for each that it cannot."""
    stacks: list[Callable[[Path, int, Path], Stack]] = [ours, gunicorn]
    missing = []
    if Path(sys.executable).with_name("uwsgi").exists():
        stacks.append(uwsgi)
    else:
        missing.append("nginx + uWSGI: the package pyuwsgi is not installed")
    if PASSENGER_MODULE.exists() and PASSENGER_ROOT.exists() and APACHE.exists():
        stacks.append(apache_passenger)
    else:
        missing.append("Apache + Passenger: the Debian package libapache2-mod-passenger is not installed")
    return stacks, missing


def _help(arguments: Sequence[str]) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=30)
    return done.stdout


def application_folder(parent: Path) -> Path:
    """The application, where every user can read it."""
    folder = Path(
        shutil.copytree(Path(__file__).with_name("apps"), parent / "app", ignore=shutil.ignore_patterns("__pycache__"))
    )
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder
