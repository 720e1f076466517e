"""The lines that the core keeps for `passenger logs`."""

from __future__ import annotations

import asyncio
import os

from passenger.core.recent import RecentLines
from passenger.log import Log


def test_a_follower_gets_each_line_once() -> None:
    """By the number that came with the answer before."""
    recent = RecentLines()
    recent.add(b"one\ntwo\n")
    first = recent.since(0)
    assert first == {"lines": ["one", "two"], "next": 1, "lost": False}
    assert recent.since(1) == {"lines": [], "next": 1, "lost": False}
    recent.add("drei \u2028\n".encode())
    assert recent.since(1)["lines"] == ["drei \u2028"]


def test_what_is_too_much_goes_first_in_first_out() -> None:
    """And a follower who was too slow is told."""
    recent = RecentLines(kept=10)
    for word in (b"aaaa\n", b"bbbb\n", b"cccc\n"):
        recent.add(word)
    assert recent.since(0) == {"lines": ["bbbb", "cccc"], "next": 3, "lost": False}
    recent.add(b"dddd\n")
    assert recent.since(1) == {"lines": ["cccc", "dddd"], "next": 4, "lost": True}
    recent.add(b"x" * 20 + b"\n")
    assert recent.since(4) == {"lines": [], "next": 5, "lost": True}


def test_numbers_of_another_core_mean_nothing() -> None:
    """A core that took its place begins anew; odd questions are answered like a first one."""
    recent = RecentLines()
    recent.add(b"one\n")
    for question in ({"after": 1, "pid": 1}, {"after": "1"}, {"after": -1, "pid": os.getpid()}, {}):
        assert asyncio.run(recent.logs(question))["lines"] == ["one"]
    assert asyncio.run(recent.logs({"after": 1, "pid": os.getpid()}))["lines"] == []


def test_the_log_copies_what_it_writes() -> None:
    """Of every component of the process, whether anybody reads the other end or not."""
    fd = os.memfd_create("log")
    log, recent = Log(component="core", fd=fd), RecentLines()
    log.copy_to(recent.add)
    log.child("pool").info("process ready", app="blog")
    log.debug("nobody asked")
    os.close(fd)
    log.child("app").forward("App blog[1] stdout: ", ["a", "b"], {})
    lines = recent.since(0)["lines"]
    assert [line.partition("Z ")[2] for line in lines] == [
        "info  pool: process ready app=blog",
        "info  app: App blog[1] stdout: a",
        "info  app: App blog[1] stdout: b",
    ]
