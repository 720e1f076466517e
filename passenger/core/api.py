"""The control sockets of the core: one JSON object per line in, one per line out, for commands and health checks.

Rules.
1. Who asks is known from the kernel (SO_PEERCRED, SO_PEERGROUPS) and has a role, or is refused; the files' modes say
   the same besides (fault matrix F11). See `passenger.instance.roles`.
2. Fixed tables of verbs; no attribute walking, no evaluation. Readers get those that are `telling`; `private` ones
   change nothing either, but may tell what an application wrote, and are for root and the owner.
3. A question is at most 64 KiB and must come within 10 s; an answer that is not taken within 10 s is dropped.
4. At most 32 questioners at a time on each socket: administration can never starve the request path of descriptors, and
   readers never keep root waiting.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

from passenger.errors import PassengerError, ProtocolError
from passenger.instance.roles import BUSY, Roles, not_admitted, only_looks
from passenger.log import Log
from passenger.posix.sockets import peer_credentials, peer_groups
from passenger.wire.control import Decoder, encode

MAX_QUESTION: Final = 64 * 1024
TIME_LIMIT: Final = 10.0
MAX_QUESTIONERS: Final = 32

_LEAVE_THE_FILE: Final[dict[str, Any]] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
"""From Python 3.13 on asyncio removes a socket's file, even one that it did not make. This one is the watchdog's: the
next core inherits it, and this one may not even be allowed to reach its folder."""

Verb = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]


class CoreApi:
    """Serves verbs on inherited listening sockets: `listen` for the full role, `listen_to_readers` for the other."""

    def __init__(
        self,
        *,
        telling: Mapping[str, Verb],
        changing: Mapping[str, Verb],
        roles: Roles,
        log: Log,
        private: Mapping[str, Verb] | None = None,
    ) -> None:
        self._telling = dict(telling)
        self._all = {**telling, **(private or {}), **changing}
        self._roles = roles
        self._log = log
        self._sockets: list[_ApiSocket] = []

    async def listen(self, listener: socket.socket) -> None:
        """For root and the owner of the instance."""
        await self._serve(listener, self._all, (), lambda uid, _: self._roles.may_change(uid))

    async def listen_to_readers(self, listener: socket.socket) -> None:
        """For those who may look."""
        await self._serve(listener, self._telling, self._all.keys() - self._telling.keys(), self._roles.may_look)

    def close(self) -> None:
        for served in self._sockets:
            served.close()

    async def _serve(
        self,
        listener: socket.socket,
        verbs: Mapping[str, Verb],
        forbidden: Iterable[str],
        admits: Callable[[int, Iterable[int]], bool],
    ) -> None:
        served = _ApiSocket(verbs, frozenset(forbidden), admits, self._log)
        await served.listen(listener)
        self._sockets.append(served)


class _ApiSocket:
    """One listening socket with what may be asked there."""

    def __init__(
        self,
        verbs: Mapping[str, Verb],
        forbidden: frozenset[str],
        admits: Callable[[int, Iterable[int]], bool],
        log: Log,
    ) -> None:
        self._verbs = verbs
        self._forbidden = forbidden
        self._admits = admits
        self._log = log
        self._questioners = 0
        self._refused: set[int] = set()
        self._server: asyncio.AbstractServer | None = None

    async def listen(self, listener: socket.socket) -> None:
        self._server = await asyncio.start_unix_server(
            self._connected, sock=listener, limit=MAX_QUESTION, **_LEAVE_THE_FILE
        )

    def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._questioners >= MAX_QUESTIONERS:
            writer.write(encode(BUSY))
            writer.close()
            return
        self._questioners += 1
        try:
            await self._talk(reader, writer)
        except (OSError, TimeoutError, ProtocolError, asyncio.LimitOverrunError, ValueError) as error:
            self._log.warn("core_api connection closed", reason=str(error) or type(error).__name__)
        finally:
            self._questioners -= 1
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("socket")
        peer = peer_credentials(connection)
        if not self._admits(peer.uid, {peer.gid, *peer_groups(connection)}):
            if peer.uid not in self._refused:  # once: whoever may knock could fill the log
                self._refused.add(peer.uid)
                self._log.warn("refused a connection to core_api", uid=peer.uid, pid=peer.pid)
            await self._answer(writer, not_admitted(peer.uid))
            return
        while line := await asyncio.wait_for(reader.readline(), TIME_LIMIT):
            for question in Decoder(max_line=MAX_QUESTION).feed(line):
                await self._answer(writer, await self._reply(question))

    async def _reply(self, question: Mapping[str, Any]) -> dict[str, Any]:
        name = str(question.get("verb"))
        if name in self._forbidden:
            return only_looks(name)
        verb = self._verbs.get(name)
        if verb is None:
            known = ", ".join(sorted(self._verbs))
            return {"ok": False, "error": f"no such verb: {question.get('verb')!r}", "hint": f"known are: {known}"}
        try:
            return {"ok": True, **await verb(question)}
        except PassengerError as error:
            return {"ok": False, "error": error.message, "hint": error.hint}

    async def _answer(self, writer: asyncio.StreamWriter, answer: Mapping[str, Any]) -> None:
        writer.write(encode(answer))
        await asyncio.wait_for(writer.drain(), TIME_LIMIT)
