"""Three hosts of a fleet: Debian 12, 12 and 13, each with systemd as PID 1 and a real sshd, in containers of their own network.

1. An engine that answers is used (DOCKER_HOST or the usual socket). Images are made from bootstrapped Debian and kept.
2. Nothing is published: whoever is on this machine reaches a host by its own address, which a reboot does not change.
3. `python -m tests.support.hosts up|down|reboot HOST` is what the playbooks of Molecule call; up is done when all of it is there already.
4. What belongs to a run (key, wheels, sources, inventory) lies in one folder, `FOLDER`; it goes with the hosts.
"""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support import fleet_apps, wheelhouse
from tests.support.engine import LABEL, USUAL_SOCKET, Engine
from tests.support.probe import wait_until

HOSTS = {"one": "bookworm", "two": "bookworm", "three": "trixie"}
NETWORK = "passenger-test-hosts"
FOLDER = Path(sys.prefix) / "hosts"
PATIENCE = 120.0
_FIRST_ADDRESS = 10

_DOCKERFILE = """\
FROM {base}
RUN echo force-unsafe-io > /etc/dpkg/dpkg.cfg.d/tests \\
 && apt-get update -qq \\
 && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \\
    ca-certificates dbus openssh-server python3 sudo systemd systemd-sysv >/dev/null \\
 && rm -rf /var/lib/apt/lists/* \\
 && useradd --create-home --shell /bin/bash admin \\
 && install -d -o admin -g admin -m 700 ~admin/.ssh \\
 && echo 'admin ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/admin \\
 && printf '[safe]\\n\\tdirectory = *\\n' > /etc/gitconfig
STOPSIGNAL SIGRTMIN+3
CMD ["/lib/systemd/systemd"]
"""
"""A fresh host: an administrator who may become root, and nothing of Passenger. Git may read what root has mounted."""

_OPTIONS = (
    "--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined",
    "--cgroupns", "host", "-v", "/sys/fs/cgroup:/sys/fs/cgroup:rw", "-e", "container=docker",
    "--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp",
)  # fmt: skip
"""What systemd needs to be PID 1 of a container; not --privileged."""


def name_of(host: str) -> str:
    return f"passenger-test-host-{host}"


def image(engine: Engine, suite: str) -> str:
    """The tag of a fresh host, built with what it stands on; the engine's cache makes the second time cheap."""
    tag = f"passenger-test/host:{suite}"
    with tempfile.TemporaryDirectory(prefix="pphost", dir="/var/tmp") as folder:
        (Path(folder) / "Dockerfile").write_text(_DOCKERFILE.format(base=engine.base(suite)))
        engine.build(tag, Path(folder))
    return tag


def up(engine: Engine) -> bool:
    """Hosts, and everything that playbooks need to reach and fill them; whether anything had to be made."""
    if all_running(engine) and (FOLDER / "hosts.json").exists():
        return False
    down(engine)
    FOLDER.mkdir(mode=0o755)
    wheelhouse.fill(FOLDER / "wheels", *fleet_apps.REQUIREMENTS)
    wheelhouse.fill_with_next_version(FOLDER / "wheels-next", FOLDER / "wheels", next_version())
    fleet_apps.write(FOLDER / "sources")
    _make_key()
    addresses = _network(engine)
    for (host, suite), address in zip(HOSTS.items(), addresses, strict=False):
        engine.docker(
            "run", "-d", "--name", name_of(host), "--label", LABEL, "--hostname", host, "--network", NETWORK,
            "--ip", address, *_OPTIONS, "-v", f"{FOLDER}/wheels:/wheels:ro", "-v", f"{FOLDER}/sources:/sources:ro",
            image(engine, suite),
        )  # fmt: skip
    known = [wait_booted(engine, host) for host in HOSTS]
    (FOLDER / "known_hosts").write_text("".join(known))
    (FOLDER / "hosts.json").write_text(json.dumps(_inventory(engine), indent=2))
    return True


def next_version() -> str:
    """A number that comes after that of this checkout."""
    return f"{wheelhouse.current_version()}.post1"


def down(engine: Engine) -> None:
    """Take everything away that `up` made, but for the images."""
    engine.docker("rm", "-f", "-v", *(name_of(host) for host in HOSTS), check=False)
    engine.docker("network", "rm", NETWORK, check=False)
    shutil.rmtree(FOLDER, ignore_errors=True)


def all_running(engine: Engine) -> bool:
    found = engine.docker("ps", "--format", "{{.Names}}").stdout.split()
    return all(name_of(host) in found for host in HOSTS)


def wait_booted(engine: Engine, host: str) -> str:
    """Until systemd has started everything; the line of `known_hosts` for its sshd."""
    address = address_of(engine, host)

    def is_up() -> bool:  # the first moments have no bus yet
        return command(engine, host, "systemctl", "is-system-running", "--wait").stdout.strip() == "running"

    wait_until(is_up, f"host {host} is running", timeout=PATIENCE)
    key = command(engine, host, "cat", "/etc/ssh/ssh_host_ed25519_key.pub").stdout.split()
    public = (FOLDER / "key.pub").read_text()
    authorized = 'cd ~admin/.ssh && printf %s "$0" > authorized_keys && chown admin: authorized_keys'
    engine.docker("exec", name_of(host), "sh", "-c", authorized, public)
    return f"{address} {key[0]} {key[1]}\n"


def reboot(engine: Engine, host: str) -> None:
    """Stop and boot a host; returns when systemd has started everything."""
    engine.docker("restart", "-t", "60", name_of(host), timeout=PATIENCE)
    wait_booted(engine, host)


def command(engine: Engine, host: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run as root on a host, beside Ansible; the caller judges the status."""
    return engine.docker("exec", name_of(host), *words, check=False)


def address_of(engine: Engine, host: str) -> str:
    form = f'{{{{(index .NetworkSettings.Networks "{NETWORK}").IPAddress}}}}'
    return engine.docker("inspect", "-f", form, name_of(host)).stdout.strip()


def _network(engine: Engine) -> list[str]:
    """A network of our own in a range that the engine found free, and addresses in it that we may give by hand."""
    engine.docker("network", "create", "--label", LABEL, NETWORK)
    (found,) = json.loads(engine.docker("network", "inspect", NETWORK).stdout)
    subnet = found["IPAM"]["Config"][0]["Subnet"]
    engine.docker("network", "rm", NETWORK)
    engine.docker("network", "create", "--label", LABEL, "--subnet", subnet, NETWORK)
    first = ipaddress.ip_network(subnet).network_address
    return [str(first + _FIRST_ADDRESS + number) for number in range(len(HOSTS))]


def _make_key() -> None:
    done = subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "passenger-test", "-f", str(FOLDER / "key")],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def _inventory(engine: Engine) -> object:
    """How to reach the hosts; what they are to become is in the inventory beside it."""
    options = (
        f"-o UserKnownHostsFile={FOLDER}/known_hosts -o IdentitiesOnly=yes -o ControlMaster=auto -o ControlPersist=300s"
    )
    return {
        "passenger": {
            "hosts": {host: {"ansible_host": address_of(engine, host)} for host in HOSTS},
            "vars": {
                "ansible_user": "admin",
                "ansible_ssh_private_key_file": str(FOLDER / "key"),
                "ansible_ssh_common_args": options,
                "ansible_python_interpreter": "/usr/bin/python3",
                "fleet_folder": str(FOLDER),
            },
        }
    }


def main(arguments: list[str]) -> None:
    engine = Engine(os.environ.get("DOCKER_HOST", USUAL_SOCKET))
    assert engine.answers(), "no Docker engine answers: start one, or set DOCKER_HOST"
    match arguments:
        case ["up"]:
            print("made" if up(engine) else "there already")
        case ["down"]:
            down(engine)
        case ["reboot", host]:
            reboot(engine, host)
        case _:
            raise SystemExit("usage: python -m tests.support.hosts up|down|reboot HOST")


if __name__ == "__main__":
    main(sys.argv[1:])
