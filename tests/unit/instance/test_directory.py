"""The instance directory and the registry: rights, names, races that must not matter, and finding what runs."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from passenger.config.paths import InstancePaths
from passenger.errors import HostError, InstanceSelectionError
from passenger.instance.directory import InstanceDirectory, create
from passenger.instance.plan import Listen
from passenger.instance.registry import find_instances, properties, select

EUID = os.geteuid()


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    """A registry that only we may write to."""
    folder = tmp_path / "registry"
    folder.mkdir(mode=0o700)
    return folder


@contextmanager
def held(registry: Path, name: str = "web", *, finalized: bool = True, pid: int = 4711) -> Iterator[InstanceDirectory]:
    directory = create(InstancePaths(root=f"{registry}/{name}"), euid=EUID, pause=lambda _: None)
    try:
        document = properties(
            name=name,
            version="1",
            watchdog_pid=pid,
            created_at=5.0,
            config_files=["/x.toml"],
            urls={"a": "http://b/"},
            listen=[Listen(host="::1", port=80)],
        )
        directory.write_json("properties.json", document, mode=0o644)
        if finalized:
            directory.finalize()
        yield directory
    finally:
        directory.close()


def test_created_private_and_removed_whole(registry: Path) -> None:
    """Modes are as given; removal takes everything, links themselves and not their targets."""
    outside = registry.parent / "outside"
    outside.mkdir()
    (outside / "precious").write_text("keep")
    with held(registry) as directory:
        root = registry / "web"
        assert stat.S_IMODE(root.stat().st_mode) == (0o711 if EUID == 0 else 0o700)
        assert stat.S_IMODE((root / "lock").stat().st_mode) == 0o600
        directory.make_folder("apps", mode=0o1733)
        assert stat.S_IMODE((root / "apps").stat().st_mode) == 0o1733
        (root / "apps" / "link").symlink_to(outside)
        (root / "apps" / "deep" / "deeper").mkdir(parents=True)
        assert directory.remove() == []
        assert not root.exists()
    assert (outside / "precious").read_text() == "keep"


def test_running_instance_is_refused_with_its_pid(registry: Path) -> None:
    """A held lock is an instance that runs."""
    with held(registry), pytest.raises(HostError, match=r"web is already running \(watchdog pid 4711\)"):
        create(InstancePaths(root=f"{registry}/web"), euid=EUID, pause=lambda _: None)


def test_stale_directory_is_made_anew(registry: Path) -> None:
    """What a dead instance left is removed, not reused: the inode is another."""
    with held(registry):
        (registry / "web" / "old").write_text("x")
        before = (registry / "web").stat().st_ino
        keep = os.open(registry / "web", os.O_RDONLY)
    with held(registry):
        assert not (registry / "web" / "old").exists()
        assert (registry / "web").stat().st_ino != before
    os.close(keep)


@pytest.mark.parametrize("make", ["link", "file", "link to folder"])
def test_something_else_under_the_name_is_refused(registry: Path, make: str) -> None:
    """No symbolic link is followed, no file is replaced."""
    target = registry.parent / "target"
    target.mkdir()
    place = registry / "web"
    if make == "file":
        place.write_text("mine")
    else:
        place.symlink_to(target if make == "link to folder" else "/nowhere")
    with pytest.raises(HostError, match="in the way"):
        create(InstancePaths(root=str(place)), euid=EUID)
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_registry_that_others_may_write_to_is_refused(registry: Path, mode: int) -> None:
    """Group and world writable registries are refused."""
    registry.chmod(mode)
    with pytest.raises(HostError, match="others may write to it"):
        create(InstancePaths(root=f"{registry}/web"), euid=EUID)


def test_registry_below_an_open_door_is_refused(tmp_path: Path) -> None:
    """A world-writable parent without the sticky bit lets anybody swap the registry."""
    parent = tmp_path / "open"
    parent.mkdir()
    parent.chmod(0o777)
    with pytest.raises(HostError, match="could put another folder in its place"):
        create(InstancePaths(root=f"{parent}/registry/web"), euid=EUID)


def test_registry_of_another_user_is_refused(registry: Path) -> None:
    """The owner has to be the user that starts."""
    with pytest.raises(HostError, match=f"belongs to user {EUID}"):
        create(InstancePaths(root=f"{registry}/web"), euid=EUID + 1)


def test_missing_registry_is_made_whatever_the_umask(tmp_path: Path) -> None:
    """Every missing folder gets its final mode."""
    previous = os.umask(0o000)
    try:
        directory = create(InstancePaths(root=f"{tmp_path}/a/b/web"), euid=EUID)
    finally:
        os.umask(previous)
    directory.close()
    wanted = 0o755 if EUID == 0 else 0o700
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == wanted
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == wanted


def test_directory_that_was_replaced_is_not_removed(registry: Path) -> None:
    """Removal is for the directory that was made, not for whatever bears its name now."""
    with held(registry) as directory:
        (registry / "web").rename(registry / "moved")
        (registry / "web").mkdir()
        (registry / "web" / "theirs").write_text("x")
        assert "replaced" in directory.remove()[0]
        assert (registry / "web" / "theirs").exists()


def test_refresh_renews_times(registry: Path) -> None:
    """Cleaners of temporary folders see young files."""
    with held(registry) as directory:
        os.utime(registry / "web" / "lock", (1.0, 1.0))
        directory.refresh()
        assert (registry / "web" / "lock").stat().st_mtime > 1.0


def test_only_living_finalized_instances_are_found(registry: Path) -> None:
    """Half-made, dead, broken and foreign entries are skipped."""
    with held(registry, "dead"):
        pass
    (registry / "broken").mkdir()
    (registry / "broken" / "creation_finalized").write_text("")
    (registry / "broken" / "properties.json").write_text("[]")
    (registry / "file").write_text("")
    (registry / "link").symlink_to(registry / "alive")
    with held(registry, "alive"), held(registry, "half", finalized=False):
        (record,) = find_instances(str(registry), {}, EUID)
    assert (record.name, record.watchdog_pid, record.created_at) == ("alive", 4711, 5.0)
    assert record.paths.root == f"{registry}/alive"
    assert record.config_files == ("/x.toml",)
    assert record.urls == {"a": "http://b/"}
    assert record.listen == (("::1", 80),)
    assert find_instances(str(registry), {}, EUID) == []


def test_registry_comes_from_the_environment(registry: Path) -> None:
    """Without an argument the variable decides; a missing registry has no instances."""
    with held(registry):
        environ = {"PASSENGER_INSTANCE_REGISTRY_DIR": str(registry)}
        assert [record.name for record in find_instances(None, environ, EUID)] == ["web"]
    assert find_instances("/no/such/registry", {}, EUID) == []


def test_select(registry: Path) -> None:
    """Name before prefix; none, several and unknown are errors with the list."""
    with held(registry, "web"), held(registry, "web-2"), held(registry, "mail"):
        records = find_instances(str(registry), {}, EUID)
    assert select(records, "web").name == "web"
    assert select(records, "web-").name == "web-2"
    assert select(records[:1], None).name == "mail"
    with pytest.raises(InstanceSelectionError, match="no instance is running"):
        select([], None)
    with pytest.raises(InstanceSelectionError, match=r"several instances are running:\n  mail .*\n  web .*\n  web-2"):
        select(records, None)
    with pytest.raises(InstanceSelectionError, match="several instances match we"):
        select(records, "we")
    with pytest.raises(InstanceSelectionError, match="no running instance is called blog"):
        select(records, "blog")
