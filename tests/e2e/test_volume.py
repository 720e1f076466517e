"""Large and many: 1 GiB both ways, 10,000 requests at once, memory at rest (budgets of design section 8)."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support import projects
from tests.support.http import fetch
from tests.support.installation import Installation
from tests.support.load import judge
from tests.support.running import RunningInstance, free_port, running

MIB = 1024 * 1024
GIB_IN_MIB = 1024
BLOCK = bytes(range(256)) * 4096


@pytest.fixture(scope="module")
def shop(installation: Installation, shared_place: Path) -> Iterator[tuple[RunningInstance, int]]:
    """The Flask application on two processes, bodies of any size allowed."""
    folder = shared_place
    root, port = projects.copy("flask_app", folder), free_port()
    config = folder / "passenger.toml"
    config.write_text(
        f"""
config_version = 1
[instances.main]
core.max_pool_size = 2
nginx = {{ listen = ["127.0.0.1:{port}"], worker_connections = 25000, access_log = "off" }}
[apps.shop]
app_root = "{root}"
python = "{installation.python}"
min_instances = 2
max_request_queue_size = 1000
env.FLASK_SECRET = "x"
nginx = {{ client_max_body_size = "2GiB", request_buffering = false, response_buffering = false }}
"""
    )
    with running(installation.passenger, config) as instance:
        yield instance, port


def pid_of(instance: RunningInstance, name: str) -> int:
    """The pid of a component, or of the watchdog."""
    status = instance.status()
    if name == "watchdog":
        return int(status["watchdog_pid"])
    return next(int(part["pid"]) for part in status["components"] if part["name"] == name)


def private(pid: int) -> int:
    """Bytes that would be freed with the process."""
    return int(psutil.Process(pid).memory_full_info().uss)


def test_memory_at_rest(shop: tuple[RunningInstance, int]) -> None:
    """Watchdog <= 8 MB, core <= 30 MB private."""
    instance, port = shop
    assert fetch(port).status == 200
    assert private(pid_of(instance, "watchdog")) <= 8 * 10**6
    assert private(pid_of(instance, "core")) <= 30 * 10**6


def test_one_gib_up(shop: tuple[RunningInstance, int]) -> None:
    """E5: streamed through, checksum equal, core grows by less than 32 MB."""
    instance, port = shop
    core = pid_of(instance, "core")
    before = private(core)
    sha = hashlib.sha256()
    for _ in range(GIB_IN_MIB):
        sha.update(BLOCK)
    headers = {"Content-Length": str(GIB_IN_MIB * MIB), "Content-Type": "application/octet-stream"}
    body = (BLOCK for _ in range(GIB_IN_MIB))
    answer = fetch(port, "/digest", method="POST", body=body, headers=headers, timeout=120)
    assert json.loads(answer.text) == {"sha256": sha.hexdigest(), "size": GIB_IN_MIB * MIB}
    assert private(core) - before < 32 * 10**6


def test_one_gib_down(shop: tuple[RunningInstance, int]) -> None:
    """The same the other way."""
    instance, port = shop
    core = pid_of(instance, "core")
    before = private(core)
    expected, sha, size = hashlib.sha256(), hashlib.sha256(), 0
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("GET", f"/download/{GIB_IN_MIB}")
    response = connection.getresponse()
    highest = before
    while chunk := response.read(16 * MIB):
        sha.update(chunk)
        size += len(chunk)
        highest = max(highest, private(core))
    connection.close()
    for _ in range(GIB_IN_MIB):
        expected.update(BLOCK)
    assert (size, sha.hexdigest()) == (GIB_IN_MIB * MIB, expected.hexdigest())
    assert highest - before < 32 * 10**6


async def _burst(port: int, count: int) -> list[int]:
    """Open `count` connections, then send a request on each; the status of each (0 = no whole answer)."""
    gate = asyncio.Semaphore(500)

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with gate:
            return await asyncio.open_connection("127.0.0.1", port)

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        try:
            writer.write(b"GET /slow/5 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            data = await reader.read(-1)
            return judge(data, None)[0]
        except OSError:
            return 0
        finally:
            writer.close()

    async with asyncio.timeout(100):
        streams = await asyncio.gather(*(connect() for _ in range(count)))
        return list(await asyncio.gather(*(ask(*pair) for pair in streams)))


def test_ten_thousand_at_once(shop: tuple[RunningInstance, int]) -> None:
    """E1: answered 200 or 503, never 502; core below 200 MB; normal service afterwards."""
    instance, port = shop
    core = pid_of(instance, "core")
    statuses = Counter(asyncio.run(_burst(port, 10_000)))
    assert set(statuses) <= {200, 503}, statuses
    assert statuses[200] >= 1000
    assert private(core) < 200 * 10**6
    assert fetch(port).status == 200
