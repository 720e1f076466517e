"""Which ports are taken on this machine: read from the kernel's socket table, never by binding.

Rules.
1. An address that an instance of this configuration holds already, or that the service manager hands over
   (`own_ports`), is free for that instance alone, whatever its number.
2. A listener on every IPv6 address may or may not hold the port on IPv4 too; the table does not say: a warning.
3. Below the kernel's limit of privileged ports only root and holders of CAP_NET_BIND_SERVICE may bind.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import Final

from passenger.config.addresses import is_every, overlap
from passenger.config.build import Built
from passenger.config.cross import addresses
from passenger.config.diagnostics import Path
from passenger.config.findings import Findings
from passenger.config.host import Host
from passenger.config.model import Config

TABLES: Final = ("/proc/net/tcp", "/proc/net/tcp6")
PRIVILEGED_LIMIT: Final = "/proc/sys/net/ipv4/ip_unprivileged_port_start"
_LISTEN: Final = "0A"
_WORD: Final = 8

Address = tuple[str, int]

OwnPorts = Callable[[Config], Mapping[str, frozenset[Address]]]
"""Instance name -> what that instance has already: it runs, or the service manager listens for it."""


def check_ports(built: Built, findings: Findings, *, host: Host, own_ports: OwnPorts | None) -> None:
    """Report listeners that cannot be bound."""
    used = listening(host)
    own = own_ports(built.config) if own_ports is not None and used else {}
    limit = host.number(PRIVILEGED_LIMIT)
    limit = 1024 if limit is None else limit
    for path, address in addresses(built):
        has = own.get(str(path[1]), frozenset())
        _taken(findings, path, address, used - has)
        if address[1] < limit and address not in has and not host.may_bind_low_ports():
            findings.add(
                "E412",
                path,
                f"{host.myself.name} may not listen on port {address[1]}",
                label=f"ports below {limit} need root or CAP_NET_BIND_SERVICE",
                help=f"use a port from {limit} up, start Passenger as root, or give its service the capability",
            )


def _taken(findings: Findings, path: Path, address: Address, taken: frozenset[Address]) -> None:
    for other in sorted(taken):
        if overlap(address, other):
            findings.add(
                "E411",
                path,
                f"port {address[1]} is in use",
                label=f"another program listens on {_text(other)}",
                help=f"stop it (`ss -ltnp 'sport = :{address[1]}'` shows which), or use another port",
            )
            return
    if ":" not in address[0] and ("::", address[1]) in taken:
        findings.add(
            "W402",
            path,
            f"port {address[1]} may be in use",
            label=f"another program listens on [::]:{address[1]}, perhaps for IPv4 too",
            help=f"`ss -ltnp 'sport = :{address[1]}'` shows which",
        )


def listening(host: Host) -> frozenset[Address]:
    """(numeric host, port) of every listening TCP socket."""
    found = set()
    for table in TABLES:
        for line in host.text(table).splitlines()[1:]:
            fields = line.split()
            if len(fields) > 3 and fields[3] == _LISTEN:
                found.add(_address(fields[1]))
    return frozenset(found)


def _address(text: str) -> Address:
    """`0100007F:1F90` -> ("127.0.0.1", 8080): words in the machine's order (little-endian), ports in the network's."""
    words, _, port = text.partition(":")
    octets = b"".join(bytes.fromhex(words[start : start + _WORD])[::-1] for start in range(0, len(words), _WORD))
    numeric = ipaddress.ip_address(octets)
    mapped = getattr(numeric, "ipv4_mapped", None)
    return str(mapped or numeric), int(port, 16)


def _text(address: Address) -> str:
    name = "every address, " if is_every(address[0]) else ""
    shown = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"{name}{shown}:{address[1]}"
