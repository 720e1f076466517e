"""How a Rack loader ends: half-close, SIGTERM, an application that asks for it. Nothing in progress is lost."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.support.loader import request
from tests.support.rack import RackProgram, rack_loader

APP = """
require "rack/lint"
require "uri"
use Rack::Lint
run(lambda do |env|
  case env["PATH_INFO"]
  when "/exit" then exit 5
  when "/interrupt" then raise Interrupt
  when "/slow"
    File.write("begun", "x")
    File.read("go")
  end
  [200, { "content-type" => "text/plain" }, [Thread.current.name]]
end)
"""

THREADS = pytest.mark.parametrize("threads", [1, 3])
WAYS = pytest.mark.parametrize("how", ["eof", "term"])


def end(made: RackProgram, how: str) -> None:
    if how == "eof":
        made.talk.half_close()
    else:
        made.process.send_signal(signal.SIGTERM)


@THREADS
@WAYS
def test_an_idle_process_ends_at_once(threads: int, how: str) -> None:
    """Also with idle kept-alive connections, which are closed; the socket file is gone; its output could be read."""
    with rack_loader(APP, threads=threads) as (made, worker):
        connections = [worker.connect() for _ in range(5)]
        for conn in connections:
            conn.send({"PATH_INFO": "/", "REQUEST_URI": "/"})
            assert conn.response()[2].startswith(b"request-")
        end(made, how)
        assert made.talk.rest() == ""
        assert made.status() == 0
        assert all(conn.is_closed() for conn in connections)
        assert not Path(worker.path).exists()
        assert made.errors() == ""


@THREADS
@WAYS
def test_a_request_in_progress_is_finished(threads: int, how: str) -> None:
    """The response is whole, and then the process ends."""
    with rack_loader(APP, threads=threads) as (made, worker):
        os.mkfifo(made.folder / "go")
        os.mkfifo(made.folder / "begun")
        conn = worker.connect()
        conn.send({"PATH_INFO": "/slow", "REQUEST_URI": "/"})
        (made.folder / "begun").read_text()
        end(made, how)
        end(made, "eof")
        (made.folder / "go").write_text("x")
        assert conn.response()[2].startswith(b"request-")
        assert made.status() == 0
        assert conn.is_closed()


@THREADS
@pytest.mark.parametrize(("path", "status"), [("/exit", 5), ("/interrupt", 1)])
def test_an_application_that_wants_to_end_is_answered_first(threads: int, path: str, status: int) -> None:
    """500 for its client, then the whole process goes."""
    with rack_loader(APP, threads=threads) as (made, worker):
        conn = worker.connect()
        conn.send({"PATH_INFO": path, "REQUEST_URI": "/"})
        assert conn.response()[0] == "500 Internal Server Error"
        assert conn.is_closed()
        assert made.status() == status


def test_threads_serve_at_the_same_time() -> None:
    """As many requests as threads, each held until all are there; whoever connected first, and idle connections or not."""
    source = """
GATE = Queue.new
COUNT = Queue.new
run(lambda do |_|
  COUNT << 1
  4.times { COUNT.pop && GATE << 1 } if COUNT.size == 4
  GATE.pop
  [200, {}, ["together"]]
end)
"""
    with rack_loader(source, threads=4) as (_, worker):
        connections = [worker.connect() for _ in range(12)]
        for at in (0, 4, 8, 2, 6, 0):
            four = connections[at : at + 4]
            for conn in four:
                conn.send({"REQUEST_URI": "/"})
            assert [conn.response()[2] for conn in four] == [b"together"] * 4


def test_bytes_on_stdin_mean_nothing() -> None:
    """Only its end does."""
    with rack_loader(APP) as (made, worker):
        made.talk.sock.sendall(b"x\n")
        conn = worker.connect()
        conn.send({"REQUEST_URI": "/"})
        assert conn.response()[2] == b"request-1"


def test_clients_that_leave_do_not_disturb() -> None:
    """Three hundred connections that are closed in the middle of a request; then one that is answered."""
    with rack_loader(APP, threads=2) as (made, worker):
        block = request({"PATH_INFO": "/", "REQUEST_URI": "/"})
        for number in range(300):
            conn = worker.connect()
            conn.sock.sendall(block[: number % len(block)])
            conn.close()
        last = worker.connect()
        last.send({"REQUEST_URI": "/"})
        assert last.response()[0] == "200 OK"
        assert made.errors() == ""
