"""The `core_api` socket: one JSON object per line in, one per line out, for the command line and the health check.

Rules.
1. Only root and the user the core runs as may ask (SO_PEERCRED); the file is 0600 besides (fault matrix F11).
2. Two fixed tables of verbs, those that tell and those that change something; no attribute walking, no evaluation.
3. A question is at most 64 KiB and must come within 10 s; an answer that is not taken within 10 s is dropped.
4. At most 32 questioners at a time: administration can never starve the request path of descriptors.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from passenger.errors import PassengerError, ProtocolError
from passenger.log import Log
from passenger.posix.sockets import peer_credentials
from passenger.wire.control import Decoder, encode

MAX_QUESTION: Final = 64 * 1024
TIME_LIMIT: Final = 10.0
MAX_QUESTIONERS: Final = 32

_LEAVE_THE_FILE: Final[dict[str, Any]] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
"""From Python 3.13 on asyncio removes a socket's file, even one that it did not make. This one is the watchdog's: the
next core inherits it, and this one may not even be allowed to reach its folder."""

Verb = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]


class CoreApi:
    """Serves verbs on an inherited listening socket. `telling` ones change nothing, `changing` ones do."""

    def __init__(self, *, telling: Mapping[str, Verb], changing: Mapping[str, Verb], log: Log) -> None:
        self._verbs = {**telling, **changing}
        self._log = log
        self._questioners = 0
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
        uid = peer_credentials(writer.get_extra_info("socket")).uid
        if uid not in (0, os.geteuid()):
            await self._answer(writer, {"ok": False, "error": f"uid {uid} may not administer this instance"})
            return
        while line := await asyncio.wait_for(reader.readline(), TIME_LIMIT):
            for question in Decoder(max_line=MAX_QUESTION).feed(line):
                await self._answer(writer, await self._reply(question))

    async def _reply(self, question: Mapping[str, Any]) -> dict[str, Any]:
        verb = self._verbs.get(str(question.get("verb")))
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
