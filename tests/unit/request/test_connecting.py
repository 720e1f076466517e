"""The name of a connection to a process that can be told of it."""

from __future__ import annotations

import socket
from typing import Any

from passenger.request.connecting import give_name


class Refusing:
    """A host on which no abstract address is to be had."""

    def bind(self, _address: str) -> None:
        raise PermissionError


def test_the_kernel_chooses_a_name() -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        give_name(sock)
        assert sock.getsockname().startswith(b"\0")


def test_a_connection_without_a_name_is_a_connection_all_the_same() -> None:
    nameless: Any = Refusing()
    give_name(nameless)
    assert not hasattr(nameless, "name")
