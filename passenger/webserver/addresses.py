"""Addresses on which nginx accepts clients: read from the configuration, and as the watchdog binds them.

Rules.
1. Addresses are numeric. `*` is every IPv4 address; an IPv6 socket takes IPv6 clients only.
2. nginx finds an inherited socket by its address, so `listen` lines and bound addresses are made here, from one value.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final

from passenger.config.model import InstanceConfig
from passenger.instance.plan import Listen
from passenger.webserver.tree import UnrenderableValueError

EVERY_IPV4: Final = "0.0.0.0"  # noqa: S104 - the user asked for every address
EVERY_IPV6: Final = "::"


def parse(address: str) -> Listen:
    """`127.0.0.1:8080`, `[::1]:8080` or `*:8080` as a numeric host and a port. Raises UnrenderableValueError."""
    host, _, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if host == "*":
        host = EVERY_IPV4
    try:
        numeric = ipaddress.IPv6Address(host[1:-1]) if bracketed else ipaddress.IPv4Address(host)
    except ValueError as error:
        raise _unusable(address) from error
    if getattr(numeric, "scope_id", None) is not None:
        raise _unusable(address)
    if not (port.isascii() and port.isdecimal() and 1 <= int(port) <= 65535):
        raise _unusable(address)
    return Listen(host=numeric.compressed, port=int(port))


def text(listen: Listen) -> str:
    """The address as nginx and URLs write it."""
    return f"[{listen.host}]:{listen.port}" if ":" in listen.host else f"{listen.host}:{listen.port}"


def listens(config: InstanceConfig) -> list[Listen]:
    """What the watchdog binds for nginx: every listener and the admin listener; empty unless mode is managed.

    An address that another one covers (`127.0.0.1:80` beside `0.0.0.0:80`) is left out: nginx takes its clients from
    the covering socket and tells them apart by the address they came to. Raises UnrenderableValueError.
    """
    if config.instance.nginx.mode != "managed":
        return []
    wanted = [parse(listener.address) for listener in config.instance.nginx.listen]
    if config.instance.admin.listen is not None:
        wanted.append(parse(config.instance.admin.listen))
    refuse_twins(wanted)
    return [listen for listen in wanted if _is_wildcard(listen) or _covering(listen) not in wanted]


def refuse_twins(wanted: Sequence[Listen]) -> None:
    """Raises UnrenderableValueError when one address is wanted twice."""
    for index, listen in enumerate(wanted):
        if listen in wanted[:index]:
            raise UnrenderableValueError(
                f"the address {text(listen)} is listened on twice",
                hint="give every entry of `nginx.listen`, and `admin.listen`, an address of its own",
            )


def _is_wildcard(listen: Listen) -> bool:
    return listen.host in {EVERY_IPV4, EVERY_IPV6}


def _covering(listen: Listen) -> Listen:
    return Listen(host=EVERY_IPV6 if ":" in listen.host else EVERY_IPV4, port=listen.port)


def _unusable(address: str) -> UnrenderableValueError:
    return UnrenderableValueError(
        f"{address!r} is no address to listen on",
        hint="write ADDRESS:PORT with a numeric address, such as `0.0.0.0:8080` or `[::]:8080`",
    )
