"""Who may see what on the dashboard, and who may act."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast

import pytest

from passenger.config.instance import Admin, Instance
from passenger.config.model import InstanceConfig
from passenger.core.dashboard.desk import Dashboard
from passenger.core.dashboard.feed import Feed
from passenger.core.dashboard.troubles import Troubles
from passenger.errors import PassengerError
from passenger.log import Log
from passenger.request.visit import Visit
from passenger.request.webconnection import WebConnection
from passenger.spawn.spawner import SpawnError
from passenger.wire.http1 import END
from passenger.wire.scgi_head import Head

TOKEN = "0123456789abcdef"


class Clock:
    def wall(self) -> float:
        return 1000.0

    def monotonic(self) -> float:
        return 10.0


class Connection:
    """Keeps what is answered, once."""

    def __init__(self) -> None:
        self.answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def answer(self, data: bytes) -> None:
        self.answered.set_result(data)


class FakeFeed:
    may_act = False
    closed = 0
    joined = 0
    shown: list[dict[str, str]]

    def limits(self, limits: list[dict[str, str]]) -> None:
        self.shown = limits

    def close(self) -> None:
        self.closed += 1

    def join(self, visit: Visit) -> None:
        self.joined += 1
        visit.answer(b"HTTP/1.1 200 OK\r\n\r\n")


class Office:
    """A Dashboard, what its verbs were asked, and its log."""

    def __init__(self, **admin: Any) -> None:
        self.asked: list[tuple[str, Mapping[str, Any]]] = []
        self.feed = FakeFeed()
        self.troubles = Troubles(Clock())
        self.log_fd = os.memfd_create("log")
        self.dashboard = Dashboard(
            loop=asyncio.get_running_loop(),
            feed=cast("Feed", self.feed),
            troubles=self.troubles,
            verbs={name: self._verb(name) for name in ("restart", "pause", "resume", "detach")},
            log=Log(component="core", fd=self.log_fd),
        )
        instance = Instance(admin=Admin(**admin))
        self.dashboard.apply(InstanceConfig(name="main", instance=instance, apps=MappingProxyType({})))

    def _verb(self, name: str) -> Any:
        async def verb(question: Mapping[str, Any]) -> dict[str, Any]:
            if question["apps"] == ["nobody"]:
                raise PassengerError("there is no application 'nobody' here", hint="applications: blog")
            self.asked.append((name, question))
            return {}

        return verb

    async def visit(
        self, name: str, *, method: str = "GET", query: str = "", authorization: str = ""
    ) -> tuple[int, str]:
        """Status and text."""
        pairs = b"REMOTE_ADDR\x00192.0.2.7\x00"
        if authorization:
            pairs += b"HTTP_AUTHORIZATION\0" + authorization.encode("latin-1") + b"\0"
        connection = Connection()
        head = Head(b":" + name.encode(), 0, method.encode(), f"/{name}{query}".encode(), pairs)
        self.dashboard.desks()[name](Visit(cast("WebConnection", connection), head))
        answer = await connection.answered
        start, _, body = answer.partition(END)
        return int(start.split()[1]), body.decode()

    async def act(self, query: str, authorization: str = f"Bearer {TOKEN}", method: str = "POST") -> int:
        status, text = await self.visit("dashboard/act", method=method, query=query, authorization=authorization)
        assert TOKEN not in text
        return status

    def log(self) -> str:
        return os.pread(self.log_fd, 65536, 0).decode()


def failure(error_id: str = "aa", output: str = "secret <b>words</b>") -> SpawnError:
    steps = (
        ("prepare work", "done", 0.1),
        ("load the application", "failed", 0.2),
        ("announce the socket", "not started", 0.0),
    )
    return SpawnError("no database", category="load", error_id=error_id, steps=steps, output=output, hint="start it")


def test_switched_off_there_is_nothing() -> None:
    async def go() -> None:
        office = Office(dashboard=False, actions=True, token=TOKEN)
        for name in ("dashboard", "dashboard/events", "dashboard/output"):
            assert (await office.visit(name))[0] == 404
        assert await office.act("?verb=restart&app=blog") == 404
        assert office.feed.closed, "whoever looked has to go"

    asyncio.run(go())


def test_only_a_post_acts_and_only_a_get_shows() -> None:
    async def go() -> None:
        office = Office(actions=True, token=TOKEN)
        assert await office.act("?verb=restart&app=blog", method="GET") == 405
        assert (await office.visit("dashboard", method="POST"))[0] == 405
        assert (await office.visit("dashboard/events", method="HEAD"))[0] == 405
        assert (await office.visit("dashboard"))[0] == 200
        assert not office.asked

    asyncio.run(go())


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        TOKEN,
        f"Basic {TOKEN}",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        "Bearer \u00e9\u00ff",
    ],
)
def test_without_the_token_nobody_acts_or_reads_output(authorization: str) -> None:
    async def go() -> None:
        office = Office(actions=True, token=TOKEN)
        office.troubles.failed("blog", failure())
        assert await office.act("?verb=restart&app=blog", authorization) == 401
        status, text = await office.visit("dashboard/output", query="?id=aa", authorization=authorization)
        assert (status, "secret" in text) == (401, False)
        assert not office.asked
        assert TOKEN not in office.log()

    asyncio.run(go())


def test_without_a_token_in_the_configuration_none_is_right() -> None:
    async def go() -> None:
        office = Office()
        office.troubles.failed("blog", failure())
        for authorization in ("", "Bearer ", "Bearer x"):
            assert (await office.visit("dashboard/output", query="?id=aa", authorization=authorization))[0] == 401
        assert await office.act("?verb=restart&app=blog", "Bearer ") == 403
        assert not office.feed.may_act

    asyncio.run(go())


def test_a_token_without_actions_shows_and_does_not_act() -> None:
    async def go() -> None:
        office = Office(token=TOKEN)
        office.troubles.failed("blog", failure())
        status, text = await office.visit("dashboard/output", query="?id=aa", authorization=f"bearer {TOKEN}")
        assert (status, json.loads(text)) == (200, {"output": "secret <b>words</b>"})
        assert (await office.visit("dashboard/output", query="?id=zz", authorization=f"Bearer {TOKEN}"))[0] == 404
        assert await office.act("?verb=restart&app=blog") == 403
        assert not office.feed.may_act

    asyncio.run(go())


def test_actions_are_what_the_commands_do_and_are_logged() -> None:
    async def go() -> None:
        office = Office(actions=True, token=TOKEN)
        assert office.feed.may_act
        for verb in ("restart", "pause", "resume"):
            assert await office.act(f"?verb={verb}&app=blog%20one") == 200
        told = {name: dict(question) for name, question in office.asked}
        assert told == {
            "restart": {"apps": ["blog one"]},
            "pause": {"apps": ["blog one"], "hold": 60.0},
            "resume": {"apps": ["blog one"]},
        }
        assert office.log().count("somebody acts on the dashboard") == 3
        assert "192.0.2.7" in office.log()
        for query, status in (("?verb=detach&app=blog", 400), ("?verb=restart&app=nobody", 409), ("", 400)):
            assert await office.act(query) == status
        assert await office.act("?" + "&".join(f"a{n}=1" for n in range(50))) == 400
        assert len(office.asked) == 3

    asyncio.run(go())


def test_wrong_tokens_are_told_to_the_log_without_flooding_it() -> None:
    async def go() -> None:
        office = Office(actions=True, token=TOKEN)
        for _ in range(50):
            await office.act("?verb=restart&app=blog", "Bearer guessed-wrongly")
        assert 1 <= office.log().count("a wrong token") < 50
        assert "guessed" not in office.log()

    asyncio.run(go())


def test_failures_are_kept_within_bounds_and_shown_without_their_output() -> None:
    troubles = Troubles(Clock())
    for number in range(30):
        troubles.failed("blog", failure(f"id{number}", "x" * 100_000 + "end"))
    shown = troubles.failures()
    assert [one["id"] for one in shown] == [f"id{number}" for number in range(29, 9, -1)]
    assert "xxx" not in json.dumps(shown)
    assert shown[0]["steps"][1] == ("load the application", "failed", 0.2)
    output = troubles.output("id29")
    assert output is not None
    assert len(output) == 8192
    assert output.endswith("end")
    assert troubles.output("id1") is None


def test_a_crash_loop_is_three_in_a_quarter_of_an_hour_or_a_wait() -> None:
    def group(crashes: int, wait: float = 0.0, name: str = "blog") -> Any:
        return {"name": name, "counters": {"crashes": crashes}, "backing_off_for": wait}

    troubles = Troubles(Clock())
    troubles.look([group(7)])  # what was before somebody looked may be long ago
    assert troubles.loops([group(7)]) == {}
    troubles.look([group(9)])
    assert troubles.loops([group(9)]) == {}
    troubles.failed("blog", failure())
    assert troubles.loops([group(9)]) == {"blog": {"crashes": 2, "failed_starts": 1, "next_start_in": 0.0}}
    assert troubles.loops([group(0, 2.5, "shop")])["shop"]["next_start_in"] == 2.5
    troubles.look([group(1, name="shop")])
    troubles.look([group(0)])  # it was away, or the counters began anew
    assert troubles.loops([group(0)]) == {}
