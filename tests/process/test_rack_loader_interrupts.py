"""A Rack request that the core calls too long is interrupted in its thread, and in no other; the process goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.loader import Connection
from tests.support.rack import RackProgram, Worker, rack_loader, rack_preloader

APP = """
def note(name) = $stdout.write("begun #{name}\\n")

def nap(seconds) = Kernel.public_send(:sleep, seconds)

work = {
  "/spin" => -> { note("/spin"); loop { } },
  "/nap" => -> { note("/nap"); nap(1000) },
  "/tidy" => lambda {
    begin
      note("/tidy")
      nap(1000)
    ensure
      $stderr.write("tidied up\\n")
    end
  },
  "/rescue" => lambda {
    begin
      note("/rescue")
      nap(1000)
    rescue => error
      "rescued #{error.class}"
    end
  },
  "/swallow" => lambda {
    told = false
    begin # whatever moment it comes in
      note("/swallow") unless told
      told = true
      nap(0.001) until File.exist?("go")
    rescue Exception
      $stderr.write("swallowed\\n")
      retry
    end
  },
  "/wait" => -> { note("/wait"); nap(0.001) until File.exist?("go") },
}
stream = Enumerator.new do |chunks|
  loop { chunks << "x"; nap(0.001) }
end
run lambda { |env|
  path = env["PATH_INFO"]
  next [200, {}, stream] if path == "/stream"
  work[path]&.call
  [200, { "content-length" => path.bytesize.to_s }, [path]]
}
"""


@contextmanager
def serving(threads: int) -> Iterator[tuple[RackProgram, Worker]]:
    with rack_loader(APP, threads=threads) as found:
        yield found


def begun(worker: Worker, path: str) -> Connection:
    """A request that the application is working on."""
    connection = worker.connect()
    connection.send({"PATH_INFO": path})
    worker.talk.until(f"begun {path}")
    return connection


def interrupt(worker: Worker, connection: Connection) -> None:
    worker.talk.sock.sendall(f"interrupt {connection.name()}\n".encode())


def is_fine(worker: Worker) -> bool:
    other = worker.connect()
    other.send({"PATH_INFO": "/fine"})
    return other.response()[2] == b"/fine"


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("path", ["/spin", "/nap", "/tidy", "/rescue"])
def test_the_request_ends_and_the_process_goes_on(threads: int, path: str) -> None:
    with serving(threads) as (made, worker):
        guilty = begun(worker, path)
        interrupt(worker, guilty)
        assert guilty.is_closed()
        for _ in range(3):
            assert is_fine(worker)
        assert "ran longer than max_request_time and is interrupted; it was here:\n    " in made.errors()
        assert "config.ru:" in made.errors(), "the stack names the application's lines"
        assert made.errors().count("tidied up\n") == (path == "/tidy")
        worker.talk.half_close()
        assert made.status() == 0


@pytest.mark.parametrize("threads", [1, 3])
def test_a_stream_is_cut(threads: int) -> None:
    with serving(threads) as (_, worker):
        guilty = worker.connect()
        guilty.send({"PATH_INFO": "/stream"})
        guilty.head()
        interrupt(worker, guilty)
        with pytest.raises(ConnectionError):
            guilty.chunked()
        assert is_fine(worker)


def test_only_the_request_that_is_named() -> None:
    with serving(3) as (made, worker):
        innocent = begun(worker, "/wait")
        guilty = begun(worker, "/spin")
        interrupt(worker, guilty)
        assert guilty.is_closed()
        (made.folder / "go").touch()
        assert innocent.response()[2] == b"/wait"


def test_a_name_that_comes_too_late_means_nothing() -> None:
    """The connection is idle, closed or was never there: no other request pays for it (E8)."""
    with serving(2) as (made, worker):
        innocent = begun(worker, "/wait")
        for _ in range(200):
            late = worker.connect()
            late.send({"PATH_INFO": "/fine"})
            assert late.response()[2] == b"/fine"
            interrupt(worker, late)
            late.close()
        worker.talk.sock.sendall(b"interrupt\ninterrupt \ninterrupt 00000\nsomething else\n")
        (made.folder / "go").touch()
        assert innocent.response()[2] == b"/wait"
        worker.talk.half_close()
        assert made.status() == 0


def test_interrupting_hundreds_of_requests_harms_no_other() -> None:
    """Before, while and after they run."""
    with serving(2) as (made, worker):
        innocent = worker.connect()
        for _ in range(200):
            guilty = worker.connect()
            guilty.send({"PATH_INFO": "/fine"})
            interrupt(worker, guilty)
            innocent.send({"PATH_INFO": "/also"})
            assert innocent.response()[2] == b"/also"
            guilty.close()
        worker.talk.half_close()
        assert made.status() == 0


@pytest.mark.parametrize("threads", [1, 2])
def test_an_application_that_swallows_it_keeps_its_request_only(threads: int) -> None:
    with serving(threads) as (made, worker):
        stubborn = begun(worker, "/swallow")
        interrupt(worker, stubborn)
        made.wait_error("swallowed\n")
        (made.folder / "go").touch()
        assert stubborn.response()[2] == b"/swallow"
        stubborn.close()
        for _ in range(20):
            assert is_fine(worker)


def test_a_forked_worker_announces_it_and_hears_it_too() -> None:
    with rack_preloader(APP) as preloader:
        worker, _ = preloader.worker(interrupts="stdin")
        assert "!> interrupts: stdin" in worker.talk.said
        guilty = begun(worker, "/nap")
        interrupt(worker, guilty)
        assert guilty.is_closed()
        assert is_fine(worker)


def test_nobody_is_told_who_did_not_ask() -> None:
    with serving(1) as (_, worker):
        assert not [line for line in worker.talk.said if "interrupts" in line]
