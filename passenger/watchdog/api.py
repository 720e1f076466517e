"""`watchdog_api`: the socket on which commands ask the watchdog to stop, reload or tell its state.

Rules.
1. Only those whom `admits` knows are answered (SO_PEERCRED), beside the socket's mode (see `passenger.instance.roles`).
2. One line per request, at most MAX_REQUEST bytes, within REQUEST_TIMEOUT seconds; at most MAX_CONNECTIONS at a time.
3. Verbs come from a fixed table; a wrong request gets an error line, never an exception in the loop.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from passenger.instance.roles import BUSY, not_admitted, only_looks
from passenger.log import Log
from passenger.posix.sockets import PeerCredentials, peer_credentials
from passenger.watchdog.channel import Channel
from passenger.watchdog.loop import READ, Loop, Timer
from passenger.wire.control import encode

MAX_REQUEST: Final = 64 * 1024
MAX_CONNECTIONS: Final = 32
REQUEST_TIMEOUT: Final = 10.0
ACCEPT_PAUSE: Final = 1.0

Answer = Callable[[Mapping[str, Any]], None]
Verb = Callable[[dict[str, Any], Answer], None]


class WatchdogApi:
    """Answers on one listening socket at a time, which stays the caller's to close."""

    def __init__(
        self,
        loop: Loop,
        verbs: Mapping[str, Verb],
        *,
        admits: Callable[[socket.socket, PeerCredentials], bool],
        log: Log,
    ) -> None:
        self._loop = loop
        self._listener: socket.socket | None = None
        self._verbs = verbs
        self._admits = admits
        self._log = log
        self._open: set[_Conversation] = set()
        self._refused: set[int] = set()
        self._resume: Timer | None = None

    def listen(self, listener: socket.socket) -> None:
        """Answer on this socket from now on, and no longer on the one before."""
        self._stop_listening()
        self._listener = listener.dup()  # ours alone: its number stays watched whatever its maker closes
        self._watch(self._listener)

    def close(self) -> None:
        """Take no more requests; answers on their way still go out."""
        self._stop_listening()
        for conversation in list(self._open):
            conversation.close_when_sent()

    def _stop_listening(self) -> None:
        if self._resume is not None:
            self._resume.cancel()
        if self._listener is not None:
            self._loop.unwatch(self._listener.fileno())
            self._listener.close()
            self._listener = None

    def _watch(self, listener: socket.socket) -> None:
        self._loop.watch(listener.fileno(), READ, lambda _: self._accept(listener))

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _address = listener.accept()
        except BlockingIOError:
            return
        except OSError as error:  # out of descriptors, mostly: the connection waits in the queue, we do not spin
            self._log.warn("cannot accept on watchdog_api", reason=str(error.strerror))
            self._loop.unwatch(listener.fileno())
            self._resume = self._loop.after(ACCEPT_PAUSE, lambda: self._watch(listener))
            return
        peer = peer_credentials(connection)
        if not self._admits(connection, peer):
            self._note(peer)
            _refuse(connection, not_admitted(peer.uid))
        elif len(self._open) >= MAX_CONNECTIONS:
            _refuse(connection, BUSY)
        else:
            self._open.add(_Conversation(self._loop, connection, self._verbs, on_end=self._open.discard))

    def _note(self, peer: PeerCredentials) -> None:
        """Once for each user: whoever may knock could fill the log."""
        if peer.uid not in self._refused:
            self._refused.add(peer.uid)
            self._log.warn("refused a connection to watchdog_api", uid=peer.uid, pid=peer.pid)


def _refuse(connection: socket.socket, why: Mapping[str, Any]) -> None:
    connection.setblocking(False)
    with contextlib.suppress(OSError):  # it has gone already
        connection.send(encode(why))
    connection.close()


def for_readers(telling: Mapping[str, Verb], others: Iterable[str]) -> dict[str, Verb]:
    """The verbs of a reader's socket: those that are `telling`, and a refusal in place of all others."""

    def refusal(name: str) -> Verb:
        return lambda _, answer: answer(only_looks(name))

    return {**{name: refusal(name) for name in others}, **telling}


class _Conversation:
    """One connection."""

    def __init__(
        self,
        loop: Loop,
        connection: socket.socket,
        verbs: Mapping[str, Verb],
        *,
        on_end: Callable[[_Conversation], None],
    ) -> None:
        self._loop = loop
        self._verbs = verbs
        self._on_end = on_end
        self._unanswered = 0
        self._channel = Channel(
            loop, connection, on_message=self._request, on_end=lambda _: self._ended(), max_line=MAX_REQUEST
        )
        self._timer: Timer = loop.after(REQUEST_TIMEOUT, self._late)

    def close_when_sent(self) -> None:
        self._timer.cancel()
        self._channel.close_when_sent()

    def _request(self, message: dict[str, Any]) -> None:
        self._timer.cancel()
        self._unanswered += 1
        verb = self._verbs.get(str(message.get("verb")))
        if verb is None:
            known = ", ".join(sorted(self._verbs))
            self._answer({"ok": False, "error": f"unknown verb {message.get('verb')!r}", "hint": f"verbs: {known}"})
        else:
            verb(message, self._answer)

    def _answer(self, message: Mapping[str, Any]) -> None:
        self._unanswered -= 1
        self._channel.send(message)
        if not self._unanswered:
            self._timer = self._loop.after(REQUEST_TIMEOUT, self._late)

    def _late(self) -> None:
        self._channel.close()
        self._ended()

    def _ended(self) -> None:
        self._timer.cancel()
        self._on_end(self)
