"""A TCP port for a program that will listen on it by itself.

Rules.
1. Below the range from which the kernel takes ports for outgoing connections, so that none takes ours in between.
2. Free on every address, of both families: a program may ignore HOST.
3. Between this look and the program's own bind somebody may be faster: who listens is checked afterwards.
"""

from __future__ import annotations

import random
import socket

from passenger_loader.talk import Explanation

LOWEST = 10240
TRIES = 200


def free_port(following: int = 0, *, avoid: frozenset[int] = frozenset()) -> int:
    """A free port with so many free ones after it. Raises Explanation."""
    highest = first_ephemeral() - 1 - following
    if highest <= LOWEST:
        highest = 65535 - following
    draw = random.SystemRandom()
    for _ in range(TRIES):
        port = draw.randint(LOWEST, highest)
        if port not in avoid and all(is_free(number) for number in range(port, port + following + 1)):
            return port
    raise Explanation("no free TCP port was found between %d and %d" % (LOWEST, highest))


def first_ephemeral() -> int:
    """Where the kernel's own range begins."""
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
            return int(file.read().split()[0])
    except (OSError, ValueError, IndexError):
        return 32768


def is_free(port: int) -> bool:
    """Whether a wildcard socket could be bound now: it conflicts with one on any address."""
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104 - bound, never listening
        try:
            with socket.socket(family, socket.SOCK_STREAM) as sock:
                if family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.bind((address, port))
        except OSError:
            if family == socket.AF_INET or has_ipv6():
                return False
    return True


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True
