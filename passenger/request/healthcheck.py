"""Is a new process healthy? One GET of `health_path` over its own socket, as often as it takes, before it serves.

Rules.
1. Healthy is a status of 200 to 399; anything else, and no answer, is tried again until `health_timeout` is over.
2. The process is asked exactly as for a request: same protocol, same check of who is at the other end.
3. The response is read to its end where its head tells its length, so that the process never sees a broken client.
"""

from __future__ import annotations

import asyncio
from typing import Final

from passenger.config.model import App
from passenger.errors import ProtocolError
from passenger.request.connecting import ConnectError, connect
from passenger.spawn.spawner import AppSocket, RunningProcess
from passenger.wire.http1 import head_end, parse_response_head
from passenger.wire.http_request import RequestHeads
from passenger.wire.session import framed

PAUSE: Final = 0.25
"""Seconds between two tries."""
MOST_BODY: Final = 1024 * 1024
PIECE: Final = 65536


async def check_health(running: RunningProcess, app: App) -> str:
    """Wait until the process is healthy; returns "", or why it is not when `health_timeout` is over."""
    place = min(running.sockets, key=lambda announced: announced.concurrency or 1)
    trouble = "no answer"
    try:
        async with asyncio.timeout(app.health_timeout):
            while True:
                trouble = await _ask(running, place, app)
                if not trouble:
                    return ""
                await asyncio.sleep(PAUSE)
    except TimeoutError:
        return f"GET {app.health_path} was not answered well within {app.health_timeout:g} seconds: {trouble}"


async def _ask(running: RunningProcess, place: AppSocket, app: App) -> str:
    """One try: "" for a healthy answer, else what is wrong with it."""
    try:
        sock = connect(running, place)
    except ConnectError as error:
        return str(error)
    reader, writer = await asyncio.open_connection(sock=sock)
    try:
        writer.write(_request(running, place, app))
        status = await _status(reader)
    except (OSError, EOFError, ProtocolError) as error:
        return str(error) or type(error).__name__
    finally:
        writer.close()
    return "" if 200 <= status < 400 else f"status {status}"


def _request(running: RunningProcess, place: AppSocket, app: App) -> bytes:
    pairs = _pairs(app)
    if place.protocol == "http_session":
        return RequestHeads().head(pairs)
    return framed(pairs, running.connect_password.encode())


def _pairs(app: App) -> bytes:
    """The request as the web server would pass it on."""
    base = "" if app.base_uri == "/" else app.base_uri
    path, _, query = (app.health_path or "/").partition("?")
    host = next((name for name in app.server_names if not name.startswith("*")), "localhost")
    pairs = {
        "SCRIPT_NAME": base,
        "PATH_INFO": path,
        "REQUEST_METHOD": "GET",
        "REQUEST_URI": base + (app.health_path or "/"),
        "QUERY_STRING": query,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": host,
        "SERVER_PORT": "80",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "0",
        "REQUEST_SCHEME": "http",
        "HTTP_HOST": host,
        "HTTP_USER_AGENT": "passenger-health-check",
    }
    return b"".join(b"%b\0%b\0" % (name.encode(), value.encode()) for name, value in pairs.items())


async def _status(reader: asyncio.StreamReader) -> int:
    data = b""
    while True:
        while not (end := head_end(data)):
            data += await _more(reader)
        head = parse_response_head(data[:end], bodiless=False)
        data = data[end:]
        if not head.interim:
            break
    left = min(head.length, MOST_BODY) - len(data)
    while left > 0:
        left -= len(await _more(reader))
    return head.status


async def _more(reader: asyncio.StreamReader) -> bytes:
    data = await reader.read(PIECE)
    if not data:
        raise EOFError("the connection ended before the response did")
    return data
