"""Who looks at a dashboard: bounded in number, in time and in what is kept for somebody who does not take it."""

from __future__ import annotations

import os
from collections.abc import Coroutine
from typing import Any, cast

import pytest

from passenger.core.dashboard.feed import HEAD, LIFETIME, MOST, PATIENCE, Feed
from passenger.core.dashboard.troubles import Troubles
from passenger.core.series import Series
from passenger.log import Log
from passenger.request.visit import Visit
from passenger.request.webconnection import WebConnection
from passenger.wire.scgi_head import Head


class FakeTask:
    def add_done_callback(self, _told: Any) -> None:
        """It never runs, so it is never done."""

    def cancel(self) -> None:
        """Nothing to end."""


class FakeLoop:
    now = 100.0

    def time(self) -> float:
        return self.now

    def create_task(self, work: Coroutine[Any, Any, None]) -> FakeTask:
        work.close()
        return FakeTask()


class FakeSeries:
    points = 0


class Browser:
    """The end of a connection."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.is_streaming = False
        self.is_behind = False
        self.end = ""

    def begin_stream(self, head: bytes) -> None:
        self.is_streaming = True
        self.got.append(head)

    def deliver(self, data: bytes) -> bool:
        assert self.is_streaming, "nothing is said to somebody who has gone"
        self.got.append(data)
        return not self.is_behind

    def answer(self, data: bytes) -> None:
        self.got.append(data)

    def end_stream(self) -> None:
        self.is_streaming, self.end = False, "ended"

    def cut(self) -> None:
        self.is_streaming, self.end = False, "cut"


class House:
    """A Feed in which nothing happens by itself."""

    def __init__(self) -> None:
        self.loop = FakeLoop()
        self.feed = Feed(
            loop=cast("Any", self.loop),
            status=cast("Any", None),
            series=cast("Series", FakeSeries()),
            troubles=cast("Troubles", None),
            log=Log(component="core", fd=os.memfd_create("log")),
        )

    def look(self) -> Browser:
        browser = Browser()
        head = Head(b":dashboard/events", 0, b"GET", b"/dashboard/events", b"")
        self.feed.join(Visit(cast("WebConnection", browser), head))
        return browser


@pytest.fixture(name="house")
def _house() -> House:
    return House()


def test_no_more_than_so_many_look_and_who_leaves_makes_room(house: House) -> None:
    lookers = [house.look() for _ in range(MOST)]
    assert [one.got for one in lookers] == [[HEAD]] * MOST
    assert house.look().got[0].startswith(b"HTTP/1.1 503 ")
    lookers[3].is_streaming = False
    assert house.look().is_streaming
    assert not house.look().is_streaming


def test_whoever_does_not_take_what_was_said_gets_no_more_and_is_cut_off(house: House) -> None:
    slow, quick = house.look(), house.look()
    slow.is_behind = True
    house.feed.limits([])
    assert (len(slow.got), len(quick.got)) == (1, 2)
    house.loop.now += PATIENCE - 1
    house.look()
    assert slow.is_streaming
    house.loop.now += 2
    house.look()
    assert (slow.end, quick.end) == ("cut", "")


def test_slowness_that_passes_is_forgiven(house: House) -> None:
    slow = house.look()
    for is_behind in (True, False, True):
        slow.is_behind = is_behind
        house.loop.now += PATIENCE - 1
        house.look()
    assert slow.is_streaming


def test_a_stream_ends_whole_after_its_time(house: House) -> None:
    early = house.look()
    house.loop.now += LIFETIME - 1
    late = house.look()
    assert early.is_streaming
    house.loop.now += 2
    house.look()
    assert (early.end, late.end) == ("ended", "")


def test_an_instance_that_stops_ends_all_and_takes_nobody(house: House) -> None:
    lookers = [house.look() for _ in range(3)]
    house.feed.leave()
    assert {one.end for one in lookers} == {"ended"}
    refused = house.look()
    assert refused.got[0].startswith(b"HTTP/1.1 503 ")
    assert not refused.is_streaming
    house.feed.limits([])
    assert all(len(one.got) == 1 for one in lookers)
