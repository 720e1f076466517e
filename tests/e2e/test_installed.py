"""The wheel, installed away from the checkout: as root with applications of other users, and as an ordinary user."""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.support.http import fetch
from tests.support.installation import Installation
from tests.support.running import Lines, free_port, registry, running

WHOAMI = """
import os, json
from wsgiref.validate import validator
@validator
def application(environ, start_response):
    groups = sorted(os.getgroups())
    body = json.dumps([os.getuid(), os.getgid(), groups, os.environ["HOME"], os.environ["USER"]]).encode()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]
"""


@pytest.fixture
def site(place: Path) -> Path:
    """A folder with an application of root's in it."""
    root = place / "app"
    root.mkdir()
    (root / "passenger_wsgi.py").write_text(WHOAMI)
    (root / "public").mkdir()
    (root / "public" / "hello.txt").write_text("static")
    return place


def users(pid: int) -> dict[str, set[int]]:
    """Real uids of the descendants of a process, by what they are."""
    found: dict[str, set[int]] = {}
    for process in psutil.Process(pid).children(recursive=True):
        line = " ".join(process.cmdline())
        kind = next((k for k in ("nginx: worker", "nginx: master", "passenger.core", "wsgi_") if k in line), "other")
        found.setdefault(kind, set()).add(process.uids().real)
    return found


@pytest.mark.root("applications run as other users")
def test_root_runs_each_application_as_its_user(installation: Installation, site: Path) -> None:
    """Two users; no worker is root; the core keeps root because it has to switch."""
    port, daemon, nobody = free_port(), pwd.getpwnam("daemon"), pwd.getpwnam("nobody")
    config = site / "passenger.toml"
    config.write_text(
        f"""
config_version = 1
[instances.main]
nginx.listen = ["127.0.0.1:{port}"]
[apps.one]
app_root = "app"
server_names = ["one.test"]
user = "daemon"
[apps.two]
app_root = "app"
server_names = ["two.test"]
load_shell_envvars = true
"""
    )
    with running(installation.passenger, config) as instance:
        one, two = fetch(port, host="one.test"), fetch(port, host="two.test")
        assert one.text == f'[{daemon.pw_uid}, {daemon.pw_gid}, [{daemon.pw_gid}], "{daemon.pw_dir}", "daemon"]'
        assert two.text == f'[{nobody.pw_uid}, {nobody.pw_gid}, [{nobody.pw_gid}], "{nobody.pw_dir}", "nobody"]'
        assert fetch(port, "/hello.txt", host="one.test").text == "static"
        seen = users(instance.process.pid)
        assert seen["wsgi_"] == {daemon.pw_uid, nobody.pw_uid}
        assert 0 not in seen["nginx: worker"]
        assert seen["passenger.core"] == {0}
        assert instance.stop() == 0


@pytest.mark.root("there is root to be dropped")
def test_core_drops_root_when_it_can(installation: Installation, site: Path) -> None:
    """All applications run as the core's own user: nothing but watchdog and nginx's master keeps root."""
    port, nobody = free_port(), pwd.getpwnam("nobody")
    config = site / "passenger.toml"
    config.write_text(
        f'config_version = 1\n[instances.main.nginx]\nlisten = ["127.0.0.1:{port}"]\n[apps.one]\napp_root = "app"\n'
    )
    with running(installation.passenger, config) as instance:
        assert str(nobody.pw_uid) in fetch(port).text
        seen = users(instance.process.pid)
        assert seen["passenger.core"] == seen["wsgi_"] == {nobody.pw_uid}
        assert instance.run("status").returncode == 0
        assert instance.stop() == 0


@pytest.mark.root("the test becomes somebody else")
def test_ordinary_user_runs_everything_as_himself(installation: Installation, site: Path) -> None:
    """No root anywhere; `user =` is a configuration error."""
    port, daemon = free_port(), pwd.getpwnam("daemon")
    config = site / "passenger.toml"
    text = f'config_version = 1\n[instances.main.nginx]\nlisten = ["127.0.0.1:{port}"]\n[apps.one]\napp_root = "app"\n'
    config.write_text(text)
    with registry() as folder:
        os.chown(folder, daemon.pw_uid, daemon.pw_gid)
        environ = {"PATH": "/usr/bin:/bin", "PASSENGER_INSTANCE_REGISTRY_DIR": str(folder), "PYTHONUNBUFFERED": "1"}

        def start() -> subprocess.Popen[str]:
            return subprocess.Popen(
                [installation.passenger, "start", "--config", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env=environ,
                cwd="/",
                user=daemon.pw_uid,
                group=daemon.pw_gid,
                extra_groups=[],
            )

        child = start()
        lines = Lines(child.stdout)
        try:
            lines.wait_for(r"\bready\b")
            assert fetch(port).text.startswith(f"[{daemon.pw_uid}, {daemon.pw_gid}")
            assert {uid for uids in users(child.pid).values() for uid in uids} == {daemon.pw_uid}
        finally:
            child.terminate()
            assert child.wait(60) == 0
            lines.until_end()
        config.write_text(text + 'user = "nobody"\n')
        refused = start()
        lines = Lines(refused.stdout)
        assert refused.wait(60) == 78
        lines.until_end()
        assert "user" in lines.text()
