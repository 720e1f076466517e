"""nginx's error lines on their way into our log."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from passenger.clock import SystemClock
from passenger.log import Log
from passenger.watchdog.errorlog import MAX_LINE, ErrorLog
from passenger.watchdog.loop import Loop


@dataclass
class Scene:
    """An error log and the file that our log goes to."""

    error_log: ErrorLog
    target: int

    def lines(self) -> list[str]:
        """Everything that was written, after nginx has gone."""
        self.error_log.close()
        return os.pread(self.target, 1 << 20, 0).decode().splitlines()


@pytest.fixture
def scene() -> Iterator[Scene]:
    target, loop = os.memfd_create("log"), Loop(SystemClock())
    yield Scene(ErrorLog(loop, Log(component="watchdog", fd=target, level="info")), target)
    loop.close()
    os.close(target)


def test_lines_get_our_form_and_level_and_nothing_a_terminal_obeys(scene: Scene) -> None:
    """F22: what a client sent is shown, not acted on; nginx's own time is left out."""
    os.write(
        scene.error_log.writer,
        b'2026/11/22 10:45:29 [error] 6#6: *1 invalid chunked body, request: "GET /\xe2\x80\xae", referrer: "\x1b[2J\xff"\n'
        b"2026/11/22 10:45:29 [warn] 6#6: slow\nnginx: [emerg] no such thing\nsomething else\n\n"
        b"2026/11/22 10:45:29 [debug] 6#6: unwanted\n2026/11/22 10:45:29 [notice] 6#6: without an end",
    )
    lines = [line.split(maxsplit=1)[1] for line in scene.lines()]
    assert lines == [
        'error nginx: 6#6: *1 invalid chunked body, request: "GET /\\u202e", referrer: "\\x1b[2J\\xff"',
        "warn  nginx: 6#6: slow",
        "error nginx: no such thing",
        "error nginx: something else",
        "info  nginx: 6#6: without an end",
    ]


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ('request: "GET /a?SECRET HTTP/1.1", host: "h"', 'request: "GET /a?... HTTP/1.1", host: "h"'),
        ('request: "GET /a HTTP/1.1", upstream: "http://unix:/s:/a?SECRET"', None),
        ('request: "GET /a?q="b", "c"&SECRET HTTP/1.1", host: "h", referrer: "http://h/x?t=SECRET"', None),
        ('request: "GET /a?SECRET and no end', 'request: "GET /a?...'),
        ('request: "GET /a?x SECRET"', 'request: "GET /a?..."'),
        ('request: "GET /a HTTP/1.1", host: "h"', 'request: "GET /a HTTP/1.1", host: "h"'),
        ('subrequest: "/b?SECRET", upstream: "scgi://unix:/s:", host: "h"', None),
    ],
)
def test_no_query_is_told(scene: Scene, told: str, shown: str | None) -> None:
    """F21: of the request, of what became of it, and of the page before it; what stands around it is kept."""
    line = f'6#6: *1 open() "/why?" failed (2: No such file), client: 127.0.0.1, server: , {told}'
    os.write(scene.error_log.writer, f"2026/11/22 10:45:29 [error] {line}\n{line}\n".encode())
    for text in scene.lines():
        assert "SECRET" not in text
        assert 'open() "/why?" failed (2: No such file), client: 127.0.0.1' in text
        assert "?..." in text or "SECRET" not in told
        assert shown is None or text.endswith(shown)
        assert ('host: "h"' in text) == ('host: "h"' in told)


def test_a_line_without_end_is_cut(scene: Scene) -> None:
    """What is kept is bounded."""
    os.write(scene.error_log.writer, b"x" * (MAX_LINE + 5000))
    first, *_ = scene.lines()
    assert first.endswith("nginx: " + "x" * MAX_LINE)
