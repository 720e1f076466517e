"""The Rack preloader: load once, fork workers on request; what they share and what they must not."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.rack import APPS, Preloader, Ruby, Worker, program, rack2, rack3, rack_loader, rack_preloader

OK = "require 'uri'\nuse Rack::Lint\nrun ->(_) { [200, { 'content-type' => 'text/plain' }, [Process.pid.to_s]] }\n"
DEADLINE_MS = 10_000


@pytest.fixture(name="ruby", params=[rack2, rack3], ids=["rack-2", "rack-3"])
def _ruby(request: pytest.FixtureRequest) -> Ruby:
    made: Callable[[], Ruby] = request.param
    return made()


@contextlib.contextmanager
def watched(pid: int) -> Iterator[Callable[[], None]]:
    """A function that waits until the process is dead."""
    fd = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(fd, select.POLLIN)

    def wait() -> None:
        assert poll.poll(DEADLINE_MS), f"process {pid} lives on"

    try:
        yield wait
    finally:
        os.close(fd)


def body(worker: Worker, path: str = "/") -> bytes:
    conn = worker.connect()
    conn.send({"PATH_INFO": path, "REQUEST_URI": path})
    received = conn.response()[2]
    conn.close()
    return received


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def title(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0")


def sockets(preloader: Preloader) -> list[str]:
    return sorted(path.name.split(".")[0] for path in preloader.program.folder.iterdir() if path.is_socket())


def test_workers_are_forked_and_serve(ruby: Ruby) -> None:
    """The talk byte for byte; two workers, children of the preloader, each with its own socket and options."""
    with rack_preloader(APPS / "rack_app", ruby=ruby) as preloader:
        said = preloader.program.talk.said
        assert said[:-2] == ["!> I have control 1.0", "", "!> Ready"]
        assert re.fullmatch(r"!> socket: unix:/tmp/\S+/preloader\.[0-9a-f]{24}", said[-2])
        assert Path(preloader.path).stat().st_mode & 0o777 == 0o600
        assert title(preloader.program.process.pid) == f"Passenger AppPreloader: {preloader.program.folder}"
        (first, first_pid), (second, second_pid) = preloader.worker(), preloader.worker(thread_count="3")
        assert (first.announced[0][-2:], second.announced[0][-2:]) == (";1", ";3")
        assert first.path != second.path
        for worker, pid in ((first, first_pid), (second, second_pid)):
            assert parent(pid) == preloader.program.process.pid
            assert title(pid) == "Passenger RubyApp: blog"
            assert json.loads(body(worker, "/notes")) == [
                "starting_worker_process true",
                "after_installing_signal_handlers",
            ]
        assert body(second, "/x") == b"hello /x"


def test_the_application_is_loaded_once() -> None:
    """And random numbers differ all the same, as do things that are made anew in each process."""
    source = """
LOADED = Process.pid
$own = []
PhusionPassenger.on_event(:starting_worker_process) { |forked| $own << [forked, Process.pid, Thread.new { Thread.current }.value.alive?] }
require "uri"
use Rack::Lint
TEXT = { "content-type" => "text/plain" }
run ->(_) { [200, TEXT.dup, [[LOADED, rand(2**64), Random.rand(2**64), $own.flatten.join("/")].join(" ")]] }
"""
    with rack_preloader("srand(5)\n" + source) as preloader:
        answers = [(body(worker).decode().split(), pid) for worker, pid in (preloader.worker() for _ in range(3))]
        assert {answer[0] for answer, _ in answers} == {str(preloader.program.process.pid)}
        assert len({number for answer, _ in answers for number in answer[1:3]}) == 6
        assert [answer[3] for answer, _ in answers] == [f"true/{pid}/false" for _, pid in answers]


def test_what_a_worker_starts_is_known_by_a_variable() -> None:
    """The preloader's environment is another one: its workers outlive it."""
    source = "run ->(_) { [200, {}, [`printenv PASSENGER_GUPID`]] }\n"
    with rack_preloader(source) as preloader:
        worker, _ = preloader.worker(gupid="19a3c-AbCdEfGhIj")
        assert body(worker) == b"19a3c-AbCdEfGhIj\n"
        other, _ = preloader.worker(gupid="19a3c-0123456789")
        assert body(other) == b"19a3c-0123456789\n"


def test_a_worker_ends_alone() -> None:
    """By half-close of its connection or SIGTERM; the others and the preloader go on; no zombie is left."""
    with rack_preloader(OK) as preloader:
        (first, first_pid), (second, second_pid), (third, third_pid) = (preloader.worker() for _ in range(3))
        with watched(first_pid) as first_end, watched(second_pid) as second_end:
            first.talk.half_close()
            assert first.talk.rest() == ""
            os.kill(second_pid, signal.SIGTERM)
            assert second.talk.rest() == ""
            first_end()
            second_end()
        assert body(third) == str(third_pid).encode()
        preloader.worker()
        preloader.worker()  # between the two it has reaped
        assert not [pid for pid in (first_pid, second_pid) if Path(f"/proc/{pid}").exists()]
        assert sockets(preloader) == ["preloader", "ruby", "ruby", "ruby"]


@pytest.mark.parametrize("how", ["eof", "term"])
def test_workers_outlive_their_preloader(how: str) -> None:
    """It ends with 0 and takes its socket along; the worker serves and ends properly."""
    with rack_preloader(OK) as preloader:
        worker, pid = preloader.worker()
        if how == "eof":
            preloader.program.talk.half_close()
        else:
            preloader.program.process.send_signal(signal.SIGTERM)
        assert preloader.program.talk.rest() == ""  # so no worker holds it open
        assert preloader.program.status() == 0
        assert sockets(preloader) == ["ruby"]
        assert body(worker) == str(pid).encode()
        with watched(pid) as end:
            worker.talk.half_close()
            end()
        assert sockets(preloader) == []


def test_a_worker_inherits_nothing_of_the_preloader() -> None:
    """Neither its sockets nor those of other workers: the end of each is seen at once."""
    with rack_preloader(OK) as preloader:
        first, first_pid = preloader.worker()
        _, second_pid = preloader.worker()
        os.kill(first_pid, signal.SIGKILL)
        assert first.talk.rest() == ""
        links = {str(fd.readlink()) for fd in Path(f"/proc/{second_pid}/fd").iterdir()}
        own = {str(Path(f"/proc/{preloader.program.process.pid}/fd/{fd}").readlink()) for fd in (0, 1)}
        assert not own & links


def test_clients_that_do_not_know_the_protocol_do_not_disturb() -> None:
    """Unknown commands, commands that are cut short, connections without a word, a client that dawdles."""
    with rack_preloader(OK) as preloader:
        unknown = preloader.connect()
        unknown.give({"x": "y"}, "dance")
        assert unknown.rest() == ""
        cut = preloader.connect()
        cut.sock.sendall(b"spawn\napp_root: /x\n")
        cut.half_close()
        assert cut.rest() == ""
        silent = preloader.connect()
        silent.sock.close()
        endless = preloader.connect()
        with contextlib.suppress(OSError):
            endless.sock.sendall(b"spawn\n" + b"a: b\n" * 100_000)
        slow = preloader.connect()
        slow.sock.sendall(b"spa")
        slow.sock.sendall(b"wn\na: b\n")
        slow.sock.sendall(b"\n")
        assert slow.line() == "OK"
        worker, pid = preloader.worker()
        assert body(worker) == str(pid).encode()
        errors = preloader.program.errors()
        assert 'unknown command "dance"' in errors
        assert "a command was cut short" in errors


def test_a_fork_that_fails_is_explained() -> None:
    """`Error` instead of `OK`, with an Error block; the preloader goes on."""
    source = """
$failures = 1
module Failing
  def fork(*)
    raise Errno::EAGAIN if ($failures -= 1) >= 0
    super
  end
end
Object.prepend(Failing)
"""
    with rack_preloader(source + OK) as preloader:
        talk = preloader.connect()
        talk.give({"app_root": "/x"}, "spawn")
        assert talk.line() == "Error"
        assert talk.line() == "!> "
        assert "could not make a process: Resource temporarily unavailable" in talk.rest()
        worker, pid = preloader.worker()
        assert body(worker) == str(pid).encode()


def test_an_application_that_does_not_load_is_explained() -> None:
    """As the loader does it."""
    with program("rack_preloader.rb", "raise 'no'") as made:
        made.talk.until("!> I have control 1.0")
        made.talk.give(made.options())
        assert made.talk.until("!> ")[-2:] == ["!> Error", "!> "]
        assert made.talk.rest().rstrip().endswith("RuntimeError: no")
        assert made.status() == 1


def test_a_worker_that_cannot_start_is_explained() -> None:
    """On its own connection; the next one may do better."""
    source = """
PhusionPassenger.on_event(:starting_worker_process) { raise "not yet" unless File.exist?("now") }
"""
    with rack_preloader(source + OK) as preloader:
        talk, pid = preloader.fork()
        with watched(pid) as end:
            talk.until("!> I have control 1.0")
            talk.give(preloader.program.options())
            assert talk.until("!> ")[-2:] == ["!> Error", "!> "]
            assert "RuntimeError: not yet" in talk.rest()
            end()
        (preloader.program.folder / "now").touch()
        worker, pid = preloader.worker()
        assert body(worker) == str(pid).encode()


def test_threads_that_will_be_missing_are_named() -> None:
    """The application's author has to start them in each worker."""
    source = "Thread.new { Thread.stop }.name = 'poller'\n"
    with rack_preloader(source + OK) as preloader:
        preloader.worker()
        preloader.program.wait_error("poller")
        preloader.program.wait_error("PhusionPassenger.on_event(:starting_worker_process)")


def test_database_connections_are_not_shared() -> None:
    """ActiveRecord is told to close them before each fork; its failure is only reported."""
    source = """
module ActiveRecord
  class Base
    def self.connection_handler
      self
    end

    def self.clear_all_connections!
      warn "closed in #{Process.pid}"
      raise "and failed" if File.exist?("fail")
    end
  end
end
"""
    with rack_preloader(source + OK) as preloader:
        preloader.worker()
        (preloader.program.folder / "fail").touch()
        preloader.worker()
        lines = preloader.program.errors().splitlines()
        assert lines.count(f"closed in {preloader.program.process.pid}") == 2
        assert lines[-1] == "[preloader] the connections of ActiveRecord could not be closed: and failed"


def test_children_of_the_application_are_its_own() -> None:
    """The preloader reaps its workers only."""
    source = """
%w[now status].each { |name| File.mkfifo(name) }
CHILD = Process.spawn("exit 7")
WAITED = Thread.new { File.read("now"); Process.wait(CHILD); File.write("status", $?.exitstatus.to_s) }
"""
    with rack_preloader(source + OK) as preloader:
        _, pid = preloader.worker()
        with watched(pid) as end:
            os.kill(pid, signal.SIGKILL)
            end()
        preloader.worker()
        (preloader.program.folder / "now").write_text("x")
        assert (preloader.program.folder / "status").read_text() == "7"


def test_sinatra_workers_share_memory() -> None:
    """A worker's own memory is at least 40 % less than that of a process that loaded by itself."""
    with rack_loader(APPS / "sinatra_app") as (alone, worker):
        body(worker)
        direct = private(alone.process.pid)
    with rack_preloader(APPS / "sinatra_app") as preloader:
        workers = [preloader.worker() for _ in range(2)]
        for worker, _ in workers:
            body(worker)
        assert max(private(pid) for _, pid in workers) < 0.6 * direct


def private(pid: int) -> int:
    """KiB that belong to nobody else."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
