"""systemd's own opinion of the units: they are understood, and closed as far as applications let them be."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from passenger.cli.install_systemd import UNIT_DIR
from passenger.systemd import units
from tests.support import commands

SINGLE, PER_APP = 2.0, 3.0
"""The most exposure that `systemd-analyze security` may find, of one user and of users of applications."""


def passenger(*arguments: str) -> subprocess.CompletedProcess[str]:
    return commands.passenger(*arguments, cwd=Path("/"))


def placed(tmp_path: Path, *options: str) -> Path:
    """The folder of units that `install-systemd` fills for these options."""
    done = passenger("install-systemd", "--root", str(tmp_path), "--prefix", "/usr", *options)
    assert done.returncode == 0, done.stderr
    return tmp_path / UNIT_DIR.lstrip("/")


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], check=False, capture_output=True, text=True, timeout=60)


def whole(folder: Path) -> Path:
    """A service with its drop-ins in one file: `security --offline` reads no drop-ins."""
    text = (folder / "passenger.service").read_text()
    text += "".join(path.read_text() for path in sorted(folder.glob("passenger.service.d/*.conf")))
    file = folder / "whole.service"
    file.write_text(text)
    return file


def exposure(file: Path) -> float:
    done = analyze("security", "--offline=true", "--no-pager", str(file))
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    return float(found[1])


@pytest.mark.parametrize("dropins", [(), *((name,) for name in units.DROPINS if name != "notify-reload")])
def test_systemd_understands_every_unit(tmp_path: Path, dropins: tuple[str, ...]) -> None:
    """`verify` follows drop-ins; programs are replaced by one that is there."""
    (tmp_path / "etc/passenger").mkdir(parents=True)
    (tmp_path / "etc/passenger/passenger.toml").write_text(
        'config_version = 1\n[instances.main.nginx]\nlisten = ["*:80", "[::]:80"]\n[apps.a]\napp_root = "/srv/a"\n'
        'app_start_command = "a"\n[instances.main.watchdog]\ndrain_timeout = "300s"\n'
    )
    folder = placed(tmp_path, "--socket", *(word for name in dropins for word in ("--with", name)))
    for name in ("passenger.service", "passenger@.service"):
        text = (folder / name).read_text()
        assert "TimeoutStopSec=310\n" in text
        (folder / name).write_text(text.replace("/usr/bin/passenger", "/bin/true"))
    assert "ListenStream=0.0.0.0:80\nListenStream=[::]:80\n" in (folder / "passenger.socket").read_text()
    files = [
        str(folder / name)
        for name in ("passenger.service", "passenger@.service", "passenger.socket", "passenger.slice")
    ]
    done = analyze("verify", "--man=no", *files)
    said = [line for line in done.stderr.splitlines() if "passenger" in line]
    assert (done.returncode, said) == (0, [])


def test_a_mistake_in_a_unit_would_be_seen(tmp_path: Path) -> None:
    """The test above could not fail otherwise."""
    folder = placed(tmp_path)
    file = folder / "passenger.service"
    file.write_text(
        file.read_text().replace("/usr/bin/passenger", "/bin/true").replace("KillMode=mixed", "KilMode=mixed")
    )
    assert "KilMode" in analyze("verify", "--man=no", str(file)).stderr


@pytest.mark.parametrize(
    ("options", "most"),
    [
        ((), SINGLE),
        (("--with", "low-ports"), SINGLE),
        (("--with", "per-app-users"), PER_APP),
        (("--with", "app-sandboxes"), 2.8),
    ],
)
def test_exposure_stays_low(tmp_path: Path, options: tuple[str, ...], most: float) -> None:
    assert exposure(whole(placed(tmp_path, *options))) <= most


def test_the_template_is_closed_as_well(tmp_path: Path) -> None:
    folder = placed(tmp_path)
    assert exposure(folder / "passenger@.service") <= SINGLE


def test_it_installs_changes_and_leaves(tmp_path: Path) -> None:
    """Says what it does; a second run has nothing to do; what is not ours stays."""
    folder = placed(tmp_path, "--with", "low-ports")
    again = passenger("install-systemd", "--root", str(tmp_path), "--prefix", "/usr", "--with", "low-ports")
    assert again.stdout == "nothing to change\n"
    dry = passenger("install-systemd", "--root", str(tmp_path), "--prefix", "/opt/x", "--dry-run")
    assert f"would be changed: {folder}/passenger.service" in dry.stdout
    assert "  | ExecStart=/opt/x/bin/passenger start" in dry.stdout
    assert f"would be removed: {folder}/passenger.service.d/10-low-ports.conf" in dry.stdout
    assert "/usr/bin/passenger" in (folder / "passenger.service").read_text()
    (folder / "passenger.service.d" / "mine.conf").write_text("[Service]\n")
    left = passenger("install-systemd", "--root", str(tmp_path), "--uninstall")
    assert left.returncode == 0
    assert [str(path.relative_to(folder)) for path in folder.rglob("*.*")] == [
        "passenger.service.d",
        "passenger.service.d/mine.conf",
    ]


def test_files_of_others_and_masks_are_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / UNIT_DIR.lstrip("/")
    folder.mkdir(parents=True)
    (folder / "passenger.service").write_text("[Service]\nExecStart=/bin/mine\n")
    done = passenger("install-systemd", "--root", str(tmp_path))
    assert done.returncode == 1
    assert "was not written by Passenger" in done.stderr
    assert [path.name for path in folder.iterdir()] == ["passenger.service"]
    (folder / "passenger.service").unlink()
    (folder / "passenger.service").symlink_to("/dev/null")
    masked = passenger("install-systemd", "--root", str(tmp_path))
    assert masked.returncode == 1
    assert "unmask" in masked.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--user", "a b"), "no name of a user"),
        (("--prefix", "/opt/%i"), "give an absolute path"),
        (("--config", "relative.toml"), "give an absolute path"),
        (("--with", "nonsense"), "nonsense"),
    ],
)
def test_what_systemd_would_read_otherwise_is_refused(tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    done = passenger("install-systemd", "--root", str(tmp_path), *options)
    assert done.returncode == 2
    assert words in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_socket_needs_addresses_and_a_valid_configuration(tmp_path: Path) -> None:
    done = passenger("install-systemd", "--root", str(tmp_path), "--socket")
    assert done.returncode == 1
    assert "which addresses" in done.stderr
    (tmp_path / "etc/passenger").mkdir(parents=True)
    (tmp_path / "etc/passenger/passenger.toml").write_text("config_version = 1\nbogus = 1\n")
    assert passenger("install-systemd", "--root", str(tmp_path)).returncode == 78
    assert not (tmp_path / "etc/systemd").exists()
