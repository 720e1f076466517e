"""`python -m tests.support.rootfs SUITE FOLDER`: a root file system of Debian in a folder, for roles to work on.

1. It has an init system and Python, as the smallest host has, and nothing that a role installs.
2. The mark is written last: what was interrupted is made again.
3. Hosts are told whom this machine trusts and which mirror it uses; nothing else of it gets in.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.debian_base import mirror

MARK = ".bootstrapped"
PACKAGES = ("ca-certificates", "dbus", "python3", "systemd")
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")


def bootstrap(suite: str, folder: Path) -> None:
    """Make the tree, if it is not there whole."""
    if (folder / MARK).exists():
        return
    if folder.exists():
        shutil.rmtree(folder)
    done = subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", suite, str(folder), mirror()],
        check=False, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, f"debootstrap {suite} from {mirror()}:\n{done.stdout[-3000:]}{done.stderr}"
    if AUTHORITIES.exists():
        shutil.copy(AUTHORITIES, folder / "etc/ssl/certs/ca-certificates.crt")
    for archive in (folder / "var/cache/apt/archives").glob("*.deb"):
        archive.unlink()
    (folder / MARK).touch()


if __name__ == "__main__":
    bootstrap(sys.argv[1], Path(sys.argv[2]))
