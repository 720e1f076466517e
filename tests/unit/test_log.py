"""Log lines: one event, one line, and a reader that stands still costs lines, not time."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from passenger.log import Log, printable


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe for log lines: (reader, writer)."""
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        try:
            os.close(fd)
        except OSError:
            continue


def test_text_and_level(pipe: tuple[int, int]) -> None:
    """Lines below the level are not written; fields follow the message."""
    reader, writer = pipe
    log = Log(component="core", fd=writer, level="info")
    log.debug("not this one")
    log.info("process ready", app="blog", how="a b")
    text = os.read(reader, 4096).decode()
    assert text.endswith('info  core: process ready app=blog how="a b"\n')
    assert text.count("\n") == 1


def test_level_changes_for_all_components_at_once(pipe: tuple[int, int]) -> None:
    """A reload of `log_level` reaches the logs that were handed out before."""
    reader, writer = pipe
    log = Log(component="core", fd=writer, level="error")
    pool = log.child("pool")
    pool.info("hidden")
    log.set_level("debug")
    pool.debug("shown")
    assert b"hidden" not in (seen := os.read(reader, 4096))
    assert b"pool: shown" in seen


def test_json_is_one_object_per_line(pipe: tuple[int, int]) -> None:
    """Component, instance, level and fields are members."""
    reader, writer = pipe
    Log(component="core", instance="main", fd=writer, form="json").warn("two\nlines", pid=7)
    record = json.loads(os.read(reader, 4096))
    assert (record["level"], record["instance"], record["message"], record["pid"]) == ("warn", "main", "two\nlines", 7)


@pytest.mark.parametrize("text", ["a\nb", "a\x1b[31mb", "a\u202eb", "a\x00b", "a\u2028b", "a\x9bb"])
def test_no_event_looks_like_two(text: str) -> None:
    """F22: control and direction-changing characters are made visible."""
    shown = printable(text)
    assert shown.startswith("a\\")
    assert shown.isprintable()


def test_reader_that_stands_still_costs_lines_and_is_told(pipe: tuple[int, int]) -> None:
    """Writes return, are counted, and the first one that gets through says how many were lost, on a line of its own."""
    reader, writer = pipe
    log = Log(component="core", fd=writer)
    while not log.lost:
        log.info("x" * 3000)
    log.info("lost as well")
    assert log.lost == 2
    os.set_blocking(reader, False)
    drained = b""
    while True:
        try:
            drained += os.read(reader, 65536)
        except BlockingIOError:
            break
    log.info("through")
    assert log.lost == 0
    lines = (drained + os.read(reader, 65536)).decode().splitlines()
    assert lines[-2] == "(2 writes to the log were lost: its reader stood still)"
    assert lines[-1].endswith("core: through")
    assert not [line for line in lines if "lost as well" in line]


def test_reader_that_went_away_ends_nothing(pipe: tuple[int, int]) -> None:
    """EPIPE is a lost line."""
    reader, writer = pipe
    os.close(reader)
    log = Log(component="core", fd=writer)
    log.info("nobody hears this")
    assert log.lost == 1


def test_json_stays_json_whatever_is_said(pipe: tuple[int, int]) -> None:
    """Names of files that are no UTF-8, marks of direction, and the line about lost lines."""
    reader, writer = pipe
    log = Log(component="core", fd=writer, form="json")
    log.info("caf\udce9 \u202e \U0001f418", path="/srv/\udcff", seconds=1.5)
    (line,) = os.read(reader, 4096).splitlines()
    record = json.loads(line)
    assert (record["message"], record["path"]) == ("caf\\udce9 \u202e \U0001f418", "/srv/\\udcff")
    assert line.isascii()
    while not log.lost:
        log.info("x" * 3000)
    os.set_blocking(reader, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.read(reader, 65536)
    log.info("through")
    lost, through = (json.loads(line) for line in os.read(reader, 65536).splitlines()[-2:])
    assert (lost["level"], lost["message"][:2], through["message"]) == ("warn", "(1", "through")


def test_a_long_line_is_one_write_to_a_file(tmp_path: Path) -> None:
    """Others append to the same file: between two writes there could be a line of theirs."""
    with (tmp_path / "log").open("ab", buffering=0) as file:
        log = Log(component="core", fd=file.fileno())
        sizes: list[int] = []
        written = os.write
        with pytest.MonkeyPatch.context() as patch:

            def noted(fd: int, data: bytes) -> int:
                sizes.append(len(data))
                return written(fd, data)

            patch.setattr(os, "write", noted)
            log.info("x" * 60_000)
    assert len(sizes) == 1
    assert (tmp_path / "log").stat().st_size == sizes[0] > 60_000
