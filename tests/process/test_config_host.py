"""The host stage against the real machine, what loading leaves behind (nothing), and what it costs."""

from __future__ import annotations

import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from passenger.config.access import Access
from passenger.config.host import Person, SystemHost
from passenger.config.load import load
from passenger.config.ports import listening

NOBODY = 65534
STRANGER = Person("stranger", 54321, 54321, frozenset({54321}))

LOADER = """
import json, os, sys
from passenger.config.host import SystemHost
from passenger.config.load import load
def run():
    loaded = load("passenger.toml", environ=dict(os.environ), cwd=os.getcwd(), host=SystemHost())
    return [item.code for item in loaded.diagnostics]
run()  # everything is imported now, whoever may read the libraries
if os.geteuid() == 0:
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
print(json.dumps(run()))
"""

BARE = "pass"
VALIDATE = """
import sys
from passenger.config.host import SystemHost
from passenger.config.load import load
loaded = load(sys.argv[1], environ={}, cwd="/", host=SystemHost())
assert {item.code for item in loaded.diagnostics} <= {"W401", "E415"}, loaded.diagnostics[:3]
"""


@pytest.fixture
def tree() -> Iterator[Path]:
    """A folder that everybody may read and nobody may write, with an application and a configuration."""
    folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="pp"))
    (folder / "blog").mkdir()
    (folder / "blog" / "passenger_wsgi.py").write_text("application = None\n")
    (folder / "passenger.toml").write_text(
        f'config_version = 1\n[instances.main]\nnginx.listen = ["127.0.0.1:{_free_port()}"]\n'
        '[apps.blog]\napp_root = "blog"\n'
    )
    for path in (folder / "blog" / "passenger_wsgi.py", folder / "passenger.toml"):
        path.chmod(0o444)
    for path in (folder / "blog", folder):
        path.chmod(0o555)
    yield folder
    for path in (folder, folder / "blog"):
        path.chmod(0o755)
    shutil.rmtree(folder)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """An empty folder that everybody may pass."""
    folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="pp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def registry() -> Iterator[Path]:
    """An empty folder that the user under test could write to."""
    folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="pp"))
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    yield folder
    shutil.rmtree(folder)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _listing(*folders: Path) -> list[tuple[str, int, int, int, int]]:
    paths = [path for folder in folders for path in (folder, *sorted(folder.rglob("*")))]
    facts = [(path, path.lstat()) for path in paths]
    return [(str(path), fact.st_mode, fact.st_uid, fact.st_size, fact.st_mtime_ns) for path, fact in facts]


def test_nothing_is_left_behind(tree: Path, registry: Path) -> None:
    """Run without root on a tree that may not be written: the same listing before and after, and no complaint."""
    before = _listing(tree, registry)
    result = subprocess.run(
        [sys.executable, "-c", LOADER],
        cwd=tree,
        env={**os.environ, "PASSENGER_INSTANCE_REGISTRY_DIR": str(registry), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    codes = json.loads(result.stdout)
    # E415: the checkout or its interpreter may lie in a folder that is closed to others.
    assert [code for code in codes if code.startswith("E") and code != "E415"] == []
    assert _listing(tree, registry) == before


def test_bound_port_is_seen_and_closed_port_is_free(tree: Path, registry: Path) -> None:
    """A listening socket of somebody else is an error; a closed one is none; nothing is bound to find out."""

    def codes(port: int) -> list[str]:
        text = f'config_version = 1\n[instances.main]\nnginx.listen = ["127.0.0.1:{port}"]\n[apps.blog]\napp_root = "blog"\n'
        environ = {"PASSENGER_INSTANCE_REGISTRY_DIR": str(registry)}
        loaded = load(None, text=text, environ=environ, cwd=str(tree), host=SystemHost())
        return [item.code for item in loaded.diagnostics if item.code == "E411"]

    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        assert ("127.0.0.1", port) in listening(SystemHost())
        assert codes(port) == ["E411"]
    assert codes(port) == []


def test_ipv6_listeners_are_read() -> None:
    """Both tables of the kernel are read."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        assert ("::1", server.getsockname()[1]) in listening(SystemHost())


def test_access_on_real_folders(open_folder: Path) -> None:
    """Permission bits and links of a real file system are read as the kernel would."""
    closed = open_folder / "closed"
    inside = closed / "app"
    inside.mkdir(parents=True)
    link = open_folder / "link"
    link.symlink_to(inside)
    closed.chmod(0o700)
    for path in (inside, link):
        found = Access(SystemHost()).closed(STRANGER, str(path), "list")
        assert found is not None
        assert found.path == str(closed)
    closed.chmod(0o711)
    assert Access(SystemHost()).closed(STRANGER, str(link), "list") is None


def test_this_machine_answers() -> None:
    """Accounts, programs and kernel settings of the real machine."""
    host = SystemHost()
    assert host.person("root") == host.person_by_id(0) == host.person("0")
    assert host.person("no such user") is None
    assert host.person_by_id(4294967290) is None
    assert host.group("root") == host.group("0") == 0
    assert host.group("no such group") is None
    assert host.which("sh") is not None
    assert host.facts("/nowhere/at/all") is None
    assert host.facts("/etc/passwd/x") is None
    assert host.owner("/nowhere") is None
    assert host.names("/nowhere") == []
    assert host.number("/proc/sys/net/core/somaxconn") is not None
    assert host.number("/proc/nowhere") is None
    assert host.may_bind_low_ports() in {True, False}
    assert host.has_acl("/nowhere") is False
    assert Path(host.helper_scripts).is_dir()


def test_a_thousand_applications_cost_little(open_folder: Path) -> None:
    """Reading, judging and checking 1,000 applications costs less than 40 bare interpreters of CPU time."""
    lines = ["config_version = 1", "[instances.main]", 'registry_dir = "/tmp/pp-never-made"', 'nginx.mode = "off"']
    for number in range(1000):
        root = open_folder / f"app{number}"
        root.mkdir()
        (root / "passenger_wsgi.py").touch()
        lines += [
            f"[apps.app{number}]",
            f'app_root = "{root}"',
            f'server_names = ["app{number}.example.com"]',
            'app_env = "staging"',
            'start_timeout = "90s"',
            "min_instances = 0",
            "max_instances = 4",
            f"[apps.app{number}.env]",
            f'SETTINGS = "app{number}.settings"',
        ]
    file = open_folder / "passenger.toml"
    file.write_text("\n".join(lines))
    _cpu(VALIDATE, str(file))  # compiles
    bare = min(_cpu(BARE) for _ in range(10))
    costs = (_cpu(VALIDATE, str(file)) for _ in range(10))  # what others do to the caches makes it more, never less
    assert any(cost < 40 * bare for cost in costs)


def _cpu(program: str, *arguments: str) -> float:
    """User and system CPU seconds of one Python process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    subprocess.run([sys.executable, "-c", program, *arguments], env=environ, check=True, timeout=60)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
