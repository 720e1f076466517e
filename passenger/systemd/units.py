"""The units of systemd, as text. Pure: `passenger install-systemd` and the Ansible role place what is written here.

Rules.
1. One source: the service and the template differ in their names of files and folders only.
2. A unit is never edited on a host: what differs there is a drop-in (`dropins`), ours or the operator's.
3. What applications inherit (system calls, namespaces, devices) is only closed when frameworks were seen to live with
   it; what breaks them, such as MemoryDenyWriteExecute and Node.js, stays open and is listed in docs/systemd.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from passenger.lazy_dataclass import dataclass

MARK: Final = (
    "# Written by Passenger: change it by a drop-in (`systemctl edit`), or it is lost with the next upgrade.\n"
)
"""The first line of every file: what carries it may be replaced and removed."""

STOP: Final = 90.0
"""Seconds; enough for the default `drain_timeout`. A longer one is asked for by the watchdog when a stop begins."""

_HARDENING: Final = """\
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ReadWritePaths=-/srv
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
PrivateMounts=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
UMask=0027
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an operator chooses before the units are written."""

    prefix: str = "/opt/passenger"
    """The virtual environment with Passenger in it."""
    config: str = "/etc/passenger/passenger.toml"
    user: str = "passenger"
    group: str = "passenger"
    stop: float = STOP
    """Seconds after which a stop is ended by force, unless the watchdog asks for more."""


def service(settings: Settings) -> str:
    """`passenger.service`."""
    return _service(settings, description="Passenger application server", config=settings.config, name="passenger")


def template(settings: Settings) -> str:
    """`passenger@.service`: `passenger@shop` runs /etc/passenger/shop/passenger.toml beside everything else.

    A folder for each, because `conf.d` beside a configuration belongs to it: in one folder they would share it.
    """
    folder, _, file = settings.config.rpartition("/")
    return _service(
        settings,
        description="Passenger application server (%i)",
        config=f"{folder}/%i/{file}",
        name="passenger-%i",
    )


def _service(settings: Settings, *, description: str, config: str, name: str) -> str:
    program = f"{settings.prefix}/bin/passenger"
    return f"""{MARK}
[Unit]
Description={description}
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=300
StartLimitBurst=20

[Service]
Type=notify
NotifyAccess=main
User={settings.user}
Group={settings.group}
Environment=PASSENGER_INSTANCE_REGISTRY_DIR=/run/{name}
ExecStart={program} start --config {config}
ExecReload={program} validate --no-environment {config}
ExecReload={program} reload --all
Restart=on-failure
RestartSec=200ms
RestartPreventExitStatus=78
WatchdogSec=30
WatchdogSignal=SIGKILL
KillMode=mixed
TimeoutStartSec=90
TimeoutStopSec={settings.stop:g}
OOMPolicy=continue
LimitNOFILE=65536
Slice=passenger.slice
Delegate=cpu memory pids
RuntimeDirectory={name}
StateDirectory={name}
StateDirectoryMode=0750
CacheDirectory={name}
CacheDirectoryMode=0750
LogsDirectory={name}
LogsDirectoryMode=0750

{_HARDENING}
[Install]
WantedBy=multi-user.target
"""


def socket(addresses: Sequence[str]) -> str:
    """`passenger.socket`: systemd listens, so that the service needs no right to, and its restart refuses nobody."""
    listening = "".join(f"ListenStream={address}\n" for address in addresses)
    return f"""{MARK}
[Unit]
Description=Addresses of the Passenger application server

[Socket]
{listening}BindIPv6Only=ipv6-only
Backlog=65535

[Install]
WantedBy=sockets.target
"""


def slice_of_all() -> str:
    """`passenger.slice`: everything of Passenger's together, for limits and for `systemd-cgtop`."""
    return f"""{MARK}
[Unit]
Description=Passenger application servers and their applications

[Slice]
CPUAccounting=yes
MemoryAccounting=yes
TasksAccounting=yes
"""


PER_APP_USERS: Final = """\
# Applications run as users of their own: the core keeps root, with nothing of it but what switching users takes. It
# sees their processes in spite of ProtectProc=invisible because it is in group root, to which that does not apply.
# AmbientCapabilities: without it systemd 257 takes CAP_SETUID from a service of root's that has a filter of system
# calls. Nobody inherits it: the kernel clears it when root becomes somebody else.
[Service]
User=root
Group=root
AmbientCapabilities=CAP_SETUID
CapabilityBoundingSet=CAP_SETUID CAP_SETGID CAP_CHOWN CAP_KILL CAP_DAC_OVERRIDE
SystemCallFilter=
SystemCallFilter=@system-service
"""

LOW_PORTS: Final = """\
# Ports below 1024 without passenger.socket. The watchdog binds them; nothing that it starts has this right.
[Service]
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
"""

NOTIFY_RELOAD: Final = """\
# systemd 253 and later: `systemctl reload` signals the service and waits for its own word that it is done.
[Service]
Type=notify-reload
ExecReload=
"""

APP_SANDBOXES: Final = """\
# Applications that start sandboxes of their own, such as a headless browser.
[Service]
RestrictNamespaces=no
SystemCallFilter=@mount
"""

_DROPINS: Final = {
    "per-app-users": PER_APP_USERS,
    "low-ports": LOW_PORTS,
    "notify-reload": NOTIFY_RELOAD,
    "app-sandboxes": APP_SANDBOXES,
}
DROPINS: Final = tuple(_DROPINS)
"""Their names; the file is `NAME.conf`."""


def dropin(name: str) -> str:
    """One of DROPINS."""
    return MARK + _DROPINS[name]


def dropin_path(unit: str, name: str) -> str:
    """Where a drop-in of ours goes, below the folder of units; those of the operator come after it by name."""
    return f"{unit}.d/10-{name}.conf"
