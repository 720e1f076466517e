"""Talk to a running instance: one JSON line out, one JSON line back, over a Unix socket of its directory.

Rules.
1. Everything has a deadline; a peer that hangs is reported as that.
2. The operating system's refusals become sentences with the next step: not running, not allowed, not answering.
3. Light imports only: `passenger health` runs every few seconds on every host.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Mapping
from typing import Any

from passenger.config.paths import readers_socket
from passenger.errors import (
    EXIT_INVALID_CONFIGURATION,
    HostError,
    InstanceSelectionError,
    InvalidConfigurationError,
    PassengerError,
    ProtocolError,
)
from passenger.wire.control import Decoder, encode

CHUNK = 65536


def call(path: str, message: Mapping[str, Any], *, timeout: float, what: str) -> dict[str, Any]:
    """The answer of the program behind a socket. `what` names it in errors, such as "the core of instance main".

    Raises InstanceSelectionError when nobody listens, HostError when it may not be reached or does not answer within
    `timeout` seconds, PassengerError with its own words when it refuses: InvalidConfigurationError when the
    configuration is the reason.
    """
    deadline = time.monotonic() + timeout
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        try:
            _connect(connection, path)
            with contextlib.suppress(BrokenPipeError):  # refused before it was asked: the reason is there to be read
                connection.sendall(encode(message))
            answer = _receive(connection, deadline)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise InstanceSelectionError(
                f"{what} is not running: nobody listens on {path}", hint="passenger status shows what runs"
            ) from error
        except PermissionError as error:
            raise HostError(
                f"{what} may not be asked by this user: permission denied for {path}",
                hint="use sudo, become the user that started the instance, or be one of its `admin.readers`",
            ) from error
        except TimeoutError as error:
            raise HostError(
                f"{what} did not answer {message['verb']!r} within {timeout:g} s", hint="look at its log"
            ) from error
        except OSError as error:
            raise HostError(f"{what} could not be asked on {path}: {error.strerror or error}") from error
    if answer is None:
        raise HostError(f"{what} closed the connection without an answer", hint="look at its log")
    if not answer.get("ok"):
        raise _refusal(answer, what)
    return answer


def _connect(connection: socket.socket, path: str) -> None:
    """To the socket of the full role or, for whom it is closed, to that of readers, if there is one."""
    try:
        connection.connect(path)
    except PermissionError as closed:
        try:
            connection.connect(readers_socket(path))
        except OSError:
            raise closed from None


def _refusal(answer: Mapping[str, Any], what: str) -> PassengerError:
    """A rejected configuration is a finished report, and ends every command alike."""
    kind = InvalidConfigurationError if answer.get("exit_status") == EXIT_INVALID_CONFIGURATION else PassengerError
    return kind(str(answer.get("error") or f"{what} refused"), hint=str(answer.get("hint") or ""))


def _receive(connection: socket.socket, deadline: float) -> dict[str, Any] | None:
    decoder = Decoder()
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        data = connection.recv(CHUNK)
        if not data:
            return None
        try:
            messages = decoder.feed(data)
        except ProtocolError as error:
            raise HostError(f"answer that is no control message: {error.message}") from error
        if messages:
            return messages[0]
