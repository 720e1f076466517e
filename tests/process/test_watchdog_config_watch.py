"""`reload_on_change`: a file that changes, a link that is switched, a file that comes; and what is no change (E7)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from passenger.watchdog.config_watch import watched
from tests.support.watchdog import make_plan, registry, running


@pytest.fixture
def place() -> Iterator[Path]:
    with registry() as folder:
        yield Path(folder)


def config_map(folder: Path) -> Path:
    """A folder as the kubelet makes it; returns the file that the configuration is read from."""
    version(folder, "..1")
    (folder / "..data").symlink_to("..1")
    (folder / "passenger.toml").symlink_to("..data/passenger.toml")
    return folder / "passenger.toml"


def version(folder: Path, name: str) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "passenger.toml").write_text(f"# {name}\n")


def switch(folder: Path, name: str) -> None:
    """As the kubelet does it: a new folder, a link to it, renamed over the old link; then the old folder goes."""
    version(folder, name)
    old = folder / (folder / "..data").readlink()
    (folder / "..data_tmp").symlink_to(name)
    (folder / "..data_tmp").rename(folder / "..data")
    (old / "passenger.toml").unlink()
    old.rmdir()


def test_a_config_map_is_switched_again_and_again(place: Path) -> None:
    """The link `..data` is what changes; the name of the file, and the link of that name, stay as they are."""
    file = config_map(place / "etc")
    with running(make_plan(str(place), config_files=[str(file)], reload_on_change=True)) as watchdog:
        watchdog.wait_ready()
        for name in ("..2", "..3", "..4"):
            switch(place / "etc", name)
            watchdog.wait_line("the configuration has changed: reloading")
            watchdog.wait_line("reloaded")


def test_the_folder_itself_may_be_a_link(place: Path) -> None:
    """`current` of a folder of releases, above the file; and the file in the new one is watched afterwards."""
    for name in ("one", "two"):
        (place / name).mkdir()
        (place / name / "passenger.toml").write_text("# one\n")
    (place / "current").symlink_to("one")
    plan = make_plan(str(place), config_files=[f"{place}/current/passenger.toml"], reload_on_change=True)
    with running(plan) as watchdog:
        watchdog.wait_ready()
        (place / "new").symlink_to("two")
        (place / "new").rename(place / "current")
        watchdog.wait_line("reloaded")
        (place / "two" / "passenger.toml").write_text("# changed in place\n")
        watchdog.wait_line("reloaded")


def test_files_of_conf_d_come_and_go(place: Path) -> None:
    (place / "passenger.toml").write_text("")
    (place / "conf.d").mkdir()
    plan = make_plan(str(place), config_files=[f"{place}/passenger.toml"], reload_on_change=True)
    with running(plan) as watchdog:
        watchdog.wait_ready()
        (place / "conf.d" / "10-app.toml").write_text("# new\n")
        watchdog.wait_line("reloaded")
        (place / "conf.d" / "10-app.toml").unlink()
        watchdog.wait_line("reloaded")


def test_what_is_no_change_is_no_reload(place: Path) -> None:
    """Other files beside it, those of editors, and everything while the key is off; many changes are one reload."""
    file = place / "passenger.toml"
    file.write_text("")
    for is_on in (False, True):
        plan = make_plan(str(place), config_files=[str(file)], reload_on_change=is_on)
        with running(plan) as watchdog:
            watchdog.wait_ready()
            (place / "other.toml").write_text("")
            (place / ".passenger.toml.swp").write_text("")
            if is_on:
                for number in range(20):
                    file.write_text(f"# {number}\n")
                watchdog.wait_line("reloaded")
            else:
                file.write_text("# changed\n")
                assert watchdog.ask("reload")["ok"] is True
            watchdog.signal(15)
            assert watchdog.wait_exit() == 0
            assert watchdog.everything().count("reloading") == (2 if is_on else 1), "its announcement, and itself"


def test_an_invalid_configuration_changes_nothing_and_the_next_one_counts(place: Path) -> None:
    file = place / "passenger.toml"
    file.write_text("good")
    script = (
        f"import sys; 'good' in open({str(file)!r}).read() or sys.exit('no good'); sys.stdout.write(sys.stdin.read())"
    )
    plan = make_plan(str(place), config_files=[str(file)], reload_on_change=True)
    plan = make_plan(
        str(place), config_files=[str(file)], reload_on_change=True, reload_argv=[plan.core_argv[0], "-c", script]
    )
    with running(plan) as watchdog:
        watchdog.wait_ready()
        file.write_text("bad")
        watchdog.wait_line("the reload changed nothing.*no good")
        file.write_text("good again")
        watchdog.wait_line("reloaded")


def test_ways_that_lead_nowhere_are_still_watched(place: Path) -> None:
    """Loops end; of a path that is missing, the place where it would appear is watched."""
    (place / "a").symlink_to("b")
    (place / "b").symlink_to("a")
    found = watched([f"{place}/a/passenger.toml", f"{place}/none/deep/passenger.toml"])
    real = os.path.realpath(place)
    assert {"a", "b", "none"} <= found[real]
    assert not any(name.endswith("none") for name in found)
