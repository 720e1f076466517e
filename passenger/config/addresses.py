"""`ADDRESS:PORT` texts and the pairs they stand for, and networks.

`*` is every IPv4 address; IPv6 addresses stand in brackets. Names are not resolved: a listener must not depend on DNS.
"""

from __future__ import annotations

import ipaddress

LARGEST_PORT = 65535


def parse_address(text: str) -> tuple[str, int]:
    """Numeric host (`0.0.0.0` for `*`, IPv6 without brackets) and port. Raises ValueError with the reason."""
    host, _, port_text = text.rpartition(":")
    port = int(port_text)
    if not 1 <= port <= LARGEST_PORT:
        raise ValueError(f"ports go from 1 to {LARGEST_PORT}")
    if host == "*":
        return "0.0.0.0", port  # noqa: S104 - the user asked for every address
    try:
        bracketed = host.startswith("[") and host.endswith("]")
        numeric = ipaddress.IPv6Address(host[1:-1]) if bracketed else ipaddress.IPv4Address(host)
    except ValueError:
        raise ValueError(f"`{host}` is not an address: IPv4 stands as it is, IPv6 in brackets") from None
    return str(numeric), port


def check_network(text: str) -> None:
    """Raises ValueError with the reason unless the text is an address or a network, such as `10.0.0.0/8`."""
    address, slash, length = text.partition("/")
    try:
        if "%" in address or (slash and not length.isdecimal()):
            address = text = ""  # nginx knows neither zones nor masks
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError("expected an address or a network, such as `10.0.0.0/8` or `fd00::/8`") from None
    if ipaddress.ip_address(address) != network.network_address:
        raise ValueError(f"the network is called `{network}`")


def is_everybody(text: str) -> bool:
    """Whether a network holds every address of its family."""
    _, slash, length = text.partition("/")
    return bool(slash) and not length.strip("0")


def address_guess(text: str) -> str:
    """What a malformed address was probably meant to be, or ""."""
    host, _, port = text.strip().rpartition(":")
    if not (port.isascii() and port.isdigit()):
        return ""
    if host in {"", "0"}:
        return f"0.0.0.0:{port}"
    return f"127.0.0.1:{port}" if host == "localhost" else ""


def overlap(one: tuple[str, int], other: tuple[str, int]) -> bool:
    """Whether two listeners exclude each other: same port, and the same address or one of them is every address."""
    if one[1] != other[1] or (":" in one[0]) != (":" in other[0]):
        return False
    return one[0] == other[0] or is_every(one[0]) or is_every(other[0])


def is_every(host: str) -> bool:
    """Whether a host stands for every address of its family."""
    return host in {"0.0.0.0", "::"}  # noqa: S104
