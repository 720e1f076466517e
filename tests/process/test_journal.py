"""Log lines on their way to a socket that stands for the journal's, and what happens when nobody listens there."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from passenger.journal import Journal
from passenger.log import Log
from tests.support.watchdog import DEADLINE, registry


@pytest.fixture
def place() -> Iterator[str]:
    with registry() as folder:
        yield f"{folder}/journal"


@pytest.fixture
def stderr() -> Iterator[tuple[int, int]]:
    """A pipe in the place of stderr: (reader, writer)."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    yield reader, writer
    os.close(reader)
    os.close(writer)


@pytest.fixture
def journal(place: str) -> Iterator[Journal]:
    with closing(Journal(place)) as ours:
        yield ours


def listen(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(path)
    listener.settimeout(DEADLINE)
    return listener


def nothing_in(reader: int) -> bool:
    try:
        os.read(reader, 65536)
    except BlockingIOError:
        return True
    return False


def test_events_and_output_of_applications_go_there_with_fields(
    place: str, journal: Journal, stderr: tuple[int, int]
) -> None:
    log = Log(component="core", instance="main", fd=stderr[1], journal=journal)
    seen: list[bytes] = []
    log.copy_to(seen.append)
    with listen(place) as reader:
        log.error("process crashed", app="blog", pid=7)
        first = reader.recv(65536)
        log.child("app").forward(
            "App blog[7] stdout: ", ["one", "t\x1bwo"], {"app": "blog", "pid": 7, "stream": "stdout"}
        )
        second, third = reader.recv(65536), reader.recv(65536)
        log.debug("not wanted at this level")
        log.child("nginx").warn("upstream is slow")
        fourth = reader.recv(65536)
    assert b"MESSAGE=core: process crashed app=blog pid=7\nPRIORITY=3\n" in first
    assert b"PASSENGER_INSTANCE=main\nPASSENGER_APP=blog\nPASSENGER_PID=7\n" in first
    assert b"MESSAGE=app: App blog[7] stdout: one\n" in second
    assert b"PASSENGER_COMPONENT=app\n" in second
    assert b"PASSENGER_STREAM=stdout\n" in second
    assert b"MESSAGE=app: App blog[7] stdout: t\\x1bwo\n" in third
    assert b"PASSENGER_COMPONENT=nginx\n" in fourth
    assert b"PRIORITY=4\n" in fourth
    assert nothing_in(stderr[0]), "the journal would have it twice"
    assert b"".join(seen).count(b"\n") == 4, "`passenger logs` sees lines as ever"


def test_an_entry_larger_than_a_datagram_arrives_as_memory(
    place: str, journal: Journal, stderr: tuple[int, int]
) -> None:
    log = Log(component="core", fd=stderr[1], journal=journal)
    with listen(place) as reader:
        log.error("x" * 1_000_000)
        data, (fd,), _, _ = socket.recv_fds(reader, 1024, 1)
        assert data == b""
        with os.fdopen(fd, "rb") as memory:
            assert b"x" * 1_000_000 in os.pread(memory.fileno(), 2_000_000, 0)


def test_without_a_journal_it_is_stderr_that_speaks(place: str, journal: Journal, stderr: tuple[int, int]) -> None:
    """The journal is being restarted: the line is not lost, and the next one finds the new journal."""
    core = Log(component="core", fd=stderr[1], journal=journal)
    core.warn("nobody listens")
    assert os.read(stderr[0], 65536).endswith(b"warn  core: nobody listens\n")
    with listen(place) as reader:
        core.warn("somebody listens")
        assert b"somebody listens" in reader.recv(65536)
    assert nothing_in(stderr[0])


def test_a_journal_that_stands_still_holds_nobody_up(
    place: str, journal: Journal, stderr: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its queue is full: after a moment the line goes to stderr."""
    core = Log(component="core", fd=stderr[1], journal=journal)
    with listen(place):
        for number in range(10_000):
            core.warn("a line", number=number)
            if not nothing_in(stderr[0]):
                break
        else:
            raise AssertionError("a socket that nobody reads took everything")
        asked: list[bytes] = []
        monkeypatch.setattr(journal, "send", asked.append)
        core.warn("the next line")
        assert asked == [], "waiting once is enough for a while"
        assert b"the next line" in os.read(stderr[0], 65536)
