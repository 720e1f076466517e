"""A Debian root file system from the mirror of this machine, as the image that all others are built on.

1. No image registry is asked: `debootstrap` fills a folder, the engine imports it. Like Debian's own `slim` images it has no
   documentation, manual pages and translations, and apt keeps no archives.
2. It is made once for an engine; the image stays there for the next run.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

SUITE = "trixie"  # Debian stable, as in `ARG BASE_IMAGE` of docker/

_SOURCES = ("/etc/apt/sources.list", "/etc/apt/sources.list.d/debian.sources")
_WITHOUT = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/log",
)
_DPKG = "".join(f"path-exclude /{path}/*\n" for path in _WITHOUT[:4]) + "path-include /usr/share/doc/*/copyright\n"
_APT = 'APT::Keep-Downloaded-Packages "false";\nAcquire::Languages "none";\nAPT::Install-Recommends "false";\n'


def tag(suite: str = SUITE) -> str:
    return f"passenger-test/debian:{suite}"


def mirror() -> str:
    """The Debian mirror that apt of this machine uses."""
    for path in _SOURCES:
        text = Path(path).read_text() if Path(path).exists() else ""
        if found := re.search(r"(?m)^(?:URIs:\s*|deb\s+(?:\[[^\]]*\]\s+)?)(\S+/debian/?)(?:\s|$)", text):
            return found.group(1)
    return "http://deb.debian.org/debian"


def bootstrap(archive: Path, suite: str = SUITE) -> None:
    """Write the root file system as a tar archive."""
    with tempfile.TemporaryDirectory(prefix="ppbase", dir="/var/tmp") as folder:
        root = Path(folder) / "root"
        done = subprocess.run(
            ["debootstrap", "--variant=minbase", suite, str(root), mirror()],
            check=False, capture_output=True, text=True, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, f"debootstrap {suite} from {mirror()}:\n{done.stdout[-3000:]}{done.stderr}"
        for path in _WITHOUT:
            _empty(root / path)
        (root / "etc/dpkg/dpkg.cfg.d/slim").write_text(_DPKG)
        (root / "etc/apt/apt.conf.d/slim").write_text(_APT)
        (root / "etc/resolv.conf").unlink(missing_ok=True)
        (root / "etc/hostname").unlink(missing_ok=True)
        subprocess.run(
            ["tar", "--numeric-owner", "-C", str(root), "-cf", str(archive), "."], check=True, timeout=300, cwd="/"
        )


def _empty(folder: Path) -> None:
    """Take the files, but for the licences of packages, out of a folder; what is left without files goes, too."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_symlink() or path.is_file():
            if path.name != "copyright":
                path.unlink()
        elif not any(path.iterdir()):
            path.rmdir()
