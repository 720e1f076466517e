"""The core's two channels on real sockets: feedback to the watchdog, the API to the command line."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from passenger.core.api import MAX_QUESTION, CoreApi
from passenger.core.feedback import Feedback
from passenger.errors import HostError
from passenger.instance.roles import Roles
from passenger.log import Log

LIMIT = 10.0


def quiet_log() -> tuple[Log, int]:
    """A log whose lines can be read back from the descriptor."""
    fd = os.memfd_create("log")
    return Log(component="test", fd=fd), fd


def test_feedback_carries_messages_both_ways_and_notices_death() -> None:
    """A command split over writes arrives once; EOF is death."""

    async def scenario() -> tuple[list[dict[str, Any]], bytes]:
        ours, theirs = socket.socketpair()
        log, fd = quiet_log()
        commands: list[dict[str, Any]] = []
        dead = asyncio.Event()
        came = asyncio.Event()

        def on_command(message: dict[str, Any]) -> None:
            commands.append(message)
            came.set()

        feedback = Feedback(ours, loop=asyncio.get_running_loop(), log=log, on_command=on_command, on_death=dead.set)
        feedback.send({"event": "ready"})
        theirs.sendall(b'{"command":"dr')
        theirs.sendall(b'ain","timeout":1}\n')
        async with asyncio.timeout(LIMIT):
            await came.wait()
            got = theirs.recv(4096)
            theirs.close()
            await dead.wait()
        feedback.send({"event": "drained"})
        os.close(fd)
        return commands, got

    commands, got = asyncio.run(scenario())
    assert commands == [{"command": "drain", "timeout": 1}]
    assert json.loads(got) == {"event": "ready"}


async def _ask(path: str, data: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(data)
        writer.write_eof()
        async with asyncio.timeout(LIMIT):
            return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


async def _serve(questions: list[bytes]) -> tuple[list[bytes], str]:
    async def echo(question: Mapping[str, Any]) -> dict[str, Any]:
        return {"echo": question["text"]}

    async def refuse(_question: Mapping[str, Any]) -> dict[str, Any]:
        raise HostError("no disk", hint="buy one")

    log, fd = quiet_log()
    with tempfile.TemporaryDirectory(prefix="pp", dir="/tmp") as folder:
        path = str(Path(folder) / "api")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        api = CoreApi(telling={"echo": echo, "refuse": refuse}, changing={}, roles=Roles(owner=os.geteuid()), log=log)
        await api.listen(listener)
        answers = [await _ask(path, question) for question in questions]
        api.close()
        left = Path(path).exists()  # noqa: ASYNC240 - nobody else waits for this loop
        assert left, "the file belongs to the watchdog, and the next core inherits it"
    text = os.pread(fd, 65536, 0).decode()
    os.close(fd)
    return answers, text


def test_api_answers_each_line() -> None:
    """Known verbs, unknown verbs and refusals, each with one JSON object."""
    answers, _ = asyncio.run(
        _serve(
            [b'{"verb":"echo","text":"a"}\n{"verb":"echo","text":"b"}\n', b'{"verb":"eval"}\n', b'{"verb":"refuse"}\n']
        )
    )
    first = [json.loads(line) for line in answers[0].splitlines()]
    assert first == [{"ok": True, "echo": "a"}, {"ok": True, "echo": "b"}]
    assert json.loads(answers[1])["hint"] == "known are: echo, refuse"
    assert json.loads(answers[2]) == {"ok": False, "error": "no disk", "hint": "buy one"}


def test_api_survives_garbage_and_floods() -> None:
    """What is no question closes that connection and no other."""
    answers, log = asyncio.run(
        _serve(
            [b"GET / HTTP/1.1\r\n\r\n", b"x" * (MAX_QUESTION * 3), b"[]\n", b'{"verb":"echo","text":"still here"}\n']
        )
    )
    assert answers[:3] == [b"", b"", b""]
    assert json.loads(answers[3]) == {"ok": True, "echo": "still here"}
    assert log.count("core_api connection closed") == 3


def test_feedback_hands_over_a_descriptor() -> None:
    """As `reopen_logs` brings it: the file is there before the command is carried out."""

    async def scenario() -> list[object]:
        ours, theirs = socket.socketpair()
        log, fd = quiet_log()
        got: list[object] = []
        came = asyncio.Event()

        def on_command(message: dict[str, Any]) -> None:
            got.append(message)
            came.set()

        def on_descriptor(descriptor: int) -> None:
            got.append(os.path.samestat(os.fstat(descriptor), os.fstat(fd)))
            os.close(descriptor)

        loop = asyncio.get_running_loop()
        feedback = Feedback(
            ours, loop=loop, log=log, on_command=on_command, on_death=came.set, on_descriptor=on_descriptor
        )
        socket.send_fds(theirs, [b'{"command":"reopen_logs"}\n'], [fd])
        async with asyncio.timeout(LIMIT):
            await came.wait()
        feedback.close()
        theirs.close()
        os.close(fd)
        return got

    assert asyncio.run(scenario()) == [True, {"command": "reopen_logs"}]
