"""Output of processes: lines, cuts, replacements, allowances."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passenger.log import Log
from passenger.spawn.output import (
    CAPTURE_LIMIT,
    CUT_MARK,
    LOGGED_AT_ONCE,
    LOGGED_PER_TICK,
    MAX_LINE,
    Capture,
    Lines,
    LogStream,
)


@pytest.fixture(name="memory")
def _memory() -> Iterator[int]:
    fd = os.memfd_create("log")
    yield fd
    os.close(fd)


def written(fd: int) -> list[str]:
    return os.pread(fd, 100_000_000, 0).decode().splitlines()


def stream(fd: int, form: str = "text") -> LogStream:
    return LogStream(log=Log(component="core", fd=fd, form=form, level="error"), app="blog", pid=7, stream="stdout")


@given(st.lists(st.binary(max_size=20), max_size=10))
def test_lines_do_not_depend_on_the_reads(pieces: list[bytes]) -> None:
    """The same bytes in other pieces make the same lines."""
    whole, split = Lines(), Lines()
    expected = whole.feed(b"".join(pieces)) + whole.rest()
    assert [line for piece in pieces for line in split.feed(piece)] + split.rest() == expected


def test_a_line_that_is_too_long_is_cut_with_a_mark() -> None:
    """Fault matrix A15: fifty megabytes without a line end are one line, and cost no memory."""
    lines = Lines()
    found = [line for _ in range(800) for line in lines.feed(b"x" * 65536)]
    found += lines.feed(b"end\nnext\n")
    assert found == ["x" * MAX_LINE + CUT_MARK, "next"]


def test_a_whole_line_that_is_too_long_in_one_read_is_cut_too() -> None:
    """Its line end may come in the same read."""
    assert Lines().feed(b"y" * (MAX_LINE + 1) + b"\nz\n") == ["y" * MAX_LINE + CUT_MARK, "z"]


def test_invalid_utf8_is_replaced_and_cr_removed() -> None:
    """Whatever comes, a line is text."""
    assert Lines().feed(b"\xff\xfe a\r\n") == ["\ufffd\ufffd a"]


def test_lines_are_logged_at_every_level_and_escaped(memory: int) -> None:
    """Fault matrix F22: one line of output is one line of log."""
    stream(memory).feed("one\x1b[31m\rtwo\u202e\n".encode())
    (line,) = written(memory)
    assert line.endswith("core: App blog[7] stdout: one\\x1b[31m\\rtwo\\u202e")


def test_json_carries_app_pid_and_stream(memory: int) -> None:
    """For machines."""
    stream(memory, "json").feed(b"hello\nworld\n")
    records = [json.loads(line) for line in written(memory)]
    assert [record["message"] for record in records] == ["hello", "world"]
    assert {(r["app"], r["pid"], r["stream"]) for r in records} == {("blog", 7, "stdout")}


def test_a_flood_is_dropped_counted_and_told(memory: int) -> None:
    """Nothing is queued; the next tick says how much is missing."""
    flooded = stream(memory)
    piece = b"z" * 99 + b"\n"
    for _ in range(10 * LOGGED_AT_ONCE // len(piece)):
        flooded.feed(piece)
    assert sum(len(line) for line in written(memory)) < 3 * LOGGED_AT_ONCE
    assert flooded.dropped > 8 * LOGGED_AT_ONCE
    flooded.tick()
    assert f"[dropped {flooded.dropped} bytes" in written(memory)[-1]
    flooded.feed(b"after\n")
    flooded.end()
    assert written(memory)[-1].endswith("stdout: after")


def test_what_is_not_used_is_saved_for_a_burst_and_no_more(memory: int) -> None:
    """After a burst, and after any rest, a stream has what it has in each tick; after quiet ticks a whole burst again."""
    piece = b"z" * 1023 + b"\n"
    bursting = stream(memory)

    def burst() -> int:
        before = bursting.dropped
        for _ in range(2 * LOGGED_AT_ONCE // len(piece)):
            bursting.feed(piece)
        return 2 * LOGGED_AT_ONCE - (bursting.dropped - before)

    assert burst() == LOGGED_AT_ONCE
    bursting.tick()
    assert burst() == LOGGED_PER_TICK
    for _ in range(100):
        bursting.tick()
    assert burst() == LOGGED_AT_ONCE


def test_the_last_line_needs_no_line_end(memory: int) -> None:
    """A process may die in the middle of a line."""
    ended = stream(memory)
    ended.feed(b"last words")
    ended.end()
    assert written(memory)[-1].endswith("stdout: last words")


def test_a_capture_keeps_the_end() -> None:
    """The traceback comes last."""
    capture = Capture()
    capture.add(b"x" * CAPTURE_LIMIT)
    capture.add(b"the end\n")
    assert capture.text().endswith("xthe end")
    assert len(capture.text()) < CAPTURE_LIMIT
    capture.close()
    capture.add(b"more")
    assert capture.text() == ""
