"""nginx's stdout where ours cannot be opened by name: as under systemd, or after a change of user."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from passenger.clock import SystemClock
from passenger.log import Log
from passenger.watchdog.launch import KEEP, NULL, launch
from passenger.watchdog.logpipe import LogPipe, append_always
from passenger.watchdog.loop import READ, Loop
from tests.support.probe import wait_until

ENVIRON = {"PATH": os.defpath}


def pipe_for(stdout: str, *, loop: Loop | None = None, is_own_file: bool = False) -> LogPipe:
    """A LogPipe that believes its stdout to be this path."""
    log = Log(component="test", level="error")
    return LogPipe(
        environ=ENVIRON,
        umask=0o022,
        log=log,
        loop=loop or Loop(SystemClock()),
        stdout=stdout,
        is_own_file=is_own_file,
    )


def test_openable_stdout_is_used_as_it_is(tmp_path: Path) -> None:
    """No pipe, no process."""
    file = tmp_path / "log"
    file.touch()
    log_pipe = pipe_for(str(file))
    assert log_pipe.stream() == KEEP
    assert log_pipe.pid is None


def test_lines_are_carried_and_the_carrier_ends_with_its_writers(tmp_path: Path) -> None:
    """One carrier serves one master after the other, ignores TERM, and ends at EOF with every line written."""
    target, saved = tmp_path / "out", os.dup(1)
    fd = os.open(target, os.O_WRONLY | os.O_CREAT)
    os.dup2(fd, 1)
    try:
        log_pipe = pipe_for(str(tmp_path / "no" / "such"))
        stream = log_pipe.stream()
        assert log_pipe.stream() == stream
        assert log_pipe.pid is not None
        os.kill(log_pipe.pid, signal.SIGTERM)
        for word in ("one", "two"):
            script = f"echo {word} > /dev/stdout"
            child = launch(["sh", "-c", script], env=ENVIRON, umask=0o022, streams=(NULL, stream, KEEP))
            assert os.waitpid(child, 0)[1] == 0
        log_pipe.close()
        assert os.waitpid(log_pipe.pid, 0)[1] == 0
    finally:
        os.dup2(saved, 1)
        os.close(saved)
        os.close(fd)
    assert target.read_text() == "one\ntwo\n"


def test_killed_carrier_is_replaced(tmp_path: Path) -> None:
    """The next master writes into a living pipe."""
    log_pipe = pipe_for(str(tmp_path / "no" / "such"))
    log_pipe.stream()
    first = log_pipe.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)
    log_pipe.stream()
    second = log_pipe.pid
    assert second is not None
    assert second != first
    log_pipe.close()
    assert os.waitpid(second, 0)[1] == 0


def test_reopened_log_file_gets_every_later_line(tmp_path: Path) -> None:
    """The pipe stays what it was for nginx; the first carrier has written all it read, and ends."""
    saved, loop = os.dup(1), Loop(SystemClock())
    targets = [os.open(tmp_path / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND) for name in ("old", "new")]
    log_pipe = pipe_for("/dev/stdout", loop=loop, is_own_file=True)
    os.dup2(targets[0], 1)
    try:
        stream = log_pipe.stream()
        first = log_pipe.pid
        assert first is not None
        os.write(stream, b"one\n")
        wait_until(lambda: (tmp_path / "old").read_text() == "one\n", "the first line")
        os.dup2(targets[1], 1)
        log_pipe.reopen()
        assert log_pipe.pid not in {None, first}
        pidfd = os.pidfd_open(first)
        loop.watch(pidfd, READ, lambda _: loop.stop())
        loop.run()
        os.close(pidfd)
        os.waitpid(first, 0)
        os.write(stream, b"two\n")
        log_pipe.close()
        assert os.waitpid(log_pipe.pid or 0, 0)[1] == 0
    finally:
        os.dup2(saved, 1)
        for fd in (saved, *targets):
            os.close(fd)
        loop.close()
    assert [(tmp_path / name).read_text() for name in ("old", "new")] == ["one\n", "two\n"]


def test_no_line_is_lost_whenever_the_file_is_reopened(tmp_path: Path) -> None:
    """A carrier that seems to wait may have read a line a moment ago: 60 handovers below a writer that never rests."""
    saved, loop, handovers = os.dup(1), Loop(SystemClock()), 60
    log_pipe = pipe_for("/dev/stdout", loop=loop, is_own_file=True)
    carriers: list[int] = []

    def turn_over(number: int) -> None:
        file = os.open(tmp_path / f"{number}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.close(file)
        if number:
            log_pipe.reopen()
        else:
            log_pipe.stream()
        assert log_pipe.pid is not None
        carriers.append(log_pipe.pid)

    def hand_over() -> None:
        pidfd = os.pidfd_open(carriers[-1])

        def ended(_events: int) -> None:
            loop.unwatch(pidfd)
            os.close(pidfd)
            os.waitpid(carriers[-2], 0)
            if len(carriers) > handovers:
                loop.stop()
            else:
                hand_over()

        loop.watch(pidfd, READ, ended)
        turn_over(len(carriers))

    child = None
    try:
        turn_over(0)
        stream = log_pipe.stream()
        count = "import os\nn = 0\nwhile True:\n    n += 1\n    os.write(1, b'%d\\n' % n)\n"
        child = launch([sys.executable, "-c", count], env=ENVIRON, umask=0o022, streams=(NULL, stream, KEEP))
        hand_over()
        loop.run()
    finally:
        if child is not None:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        log_pipe.close()
        os.dup2(saved, 1)
        os.close(saved)
        loop.close()
    assert os.waitpid(carriers[-1], 0)[1] == 0
    lines = [int(line) for file in tmp_path.iterdir() for line in file.read_text().split()]
    assert sorted(lines) == list(range(1, len(lines) + 1))


def test_a_carrier_that_was_to_end_is_not_left_behind_stopped(tmp_path: Path) -> None:
    """The instance ends in the moment after a rotation: both carriers end with the last writer."""
    saved, loop = os.dup(1), Loop(SystemClock())
    log_pipe = pipe_for("/dev/stdout", loop=loop, is_own_file=True)
    file = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    try:
        log_pipe.stream()
        first = log_pipe.pid
        assert first is not None
        wait_until(lambda: Path(f"/proc/{first}/stat").read_text().split()[2] == "S", "a carrier that waits")
        log_pipe.reopen()
        wait_until(lambda: Path(f"/proc/{first}/stat").read_text().split()[2] == "T", "a carrier that is stopped")
        log_pipe.close()
        assert [os.waitpid(pid or 0, 0)[1] for pid in (first, log_pipe.pid)] == [0, 0]
    finally:
        os.dup2(saved, 1)
        for fd in (saved, file):
            os.close(fd)
        loop.close()


def test_a_file_that_a_shell_has_opened_is_appended_to(tmp_path: Path) -> None:
    """Two openings of one file: without it the second line of ours would lie over that of nginx."""
    target = tmp_path / "out"
    ours = os.open(target, os.O_WRONLY | os.O_CREAT)
    reader, pipe = os.pipe()
    try:
        append_always([ours, pipe, 9999])
        theirs = os.open(target, os.O_WRONLY | os.O_APPEND)
        os.write(ours, b"one\n")
        os.write(theirs, b"two\n")
        os.write(ours, b"three\n")
        os.close(theirs)
        assert target.read_text() == "one\ntwo\nthree\n"
    finally:
        for descriptor in (ours, reader, pipe):
            os.close(descriptor)
