"""Connection to a root file system in a folder: Ansible runs in it as on a host, without booting anything.

1. Each command has mount and process namespaces of its own: what it mounts or leaves running goes with it.
2. Nothing of the controller's environment gets in but the words of CLEAN; the network is the controller's.
3. Files are copied from inside, by a shell in the tree: no link of the tree can lead a write out of it.
4. It needs root: an ordinary user has no right to change the root of a process.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import Any, Final

from ansible.errors import AnsibleConnectionFailure, AnsibleFileNotFound

from ansible.plugins.connection import ConnectionBase

DOCUMENTATION: Final = """
name: rootfs
short_description: Run tasks in a root file system that lies in a folder
description:
  - For tests of roles without container engine or virtual machine. No init system runs; C(systemctl enable) works.
author: Passenger-in-Python
options:
  rootfs_path:
    description: Folder of the root file system.
    type: path
    required: true
    vars:
      - name: rootfs_path
"""

CLEAN: Final = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "SYSTEMD_OFFLINE": "1",
    "DEBIAN_FRONTEND": "noninteractive",
}
MOUNTS: Final = 'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"'


def inside(root: str, command: str) -> list[str]:
    """The argument vector that runs a shell command in the tree."""
    namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    return [*namespaces, "/bin/sh", "-c", MOUNTS, root, "/bin/sh", "-c", command]


class Connection(ConnectionBase):  # type: ignore[misc]  # ansible-core has no types
    """One tree."""

    transport = "rootfs"
    has_pipelining = True

    @property
    def root(self) -> str:
        """Absolute path of the tree. Raises AnsibleConnectionFailure."""
        path = Path(str(self.get_option("rootfs_path")))
        if not (path / "bin/sh").exists():
            raise AnsibleConnectionFailure(f"{path} is no root file system: it has no /bin/sh (rootfs_path)")
        return str(path)

    def _connect(self) -> Connection:
        if os.geteuid() != 0:
            raise AnsibleConnectionFailure("the connection `rootfs` needs root")
        self._connected = True
        return self

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:  # noqa: FBT001, FBT002
        """Status, stdout and stderr of a shell command."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        return self._run(cmd, in_data or b"")

    def put_file(self, in_path: str, out_path: str) -> None:
        """Copy a file of the controller into the tree."""
        super().put_file(in_path, out_path)
        if not Path(in_path).is_file():
            raise AnsibleFileNotFound(f"no such file on the controller: {in_path}")
        self._whole(f"cat > {shlex.quote(out_path)}", Path(in_path).read_bytes())

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Copy a file of the tree to the controller."""
        super().fetch_file(in_path, out_path)
        Path(out_path).write_bytes(self._whole(f"cat {shlex.quote(in_path)}"))

    def close(self) -> None:
        """There is nothing to close."""
        self._connected = False

    def _whole(self, command: str, data: bytes = b"") -> bytes:
        status, stdout, stderr = self._run(command, data)
        if status != 0:
            raise AnsibleConnectionFailure(f"{command} in {self.root}: {stderr.decode(errors='replace').strip()}")
        return stdout

    def _run(self, command: str, data: bytes) -> tuple[int, bytes, bytes]:
        done: subprocess.CompletedProcess[Any] = subprocess.run(
            inside(self.root, command), input=data, capture_output=True, check=False, env=CLEAN
        )
        return done.returncode, done.stdout, done.stderr
