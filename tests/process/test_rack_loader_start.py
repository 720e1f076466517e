"""How the Rack loader starts: the spawn talk, Bundler, the environment, events, and every way in which loading fails."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from tests.support.loader import Connection
from tests.support.rack import APPS, RackProgram, Worker, app_folder, program, rack2, rack_loader

OK = "require 'uri'\nuse Rack::Lint\nrun ->(_) { [200, { 'content-type' => 'text/plain' }, ['ok']] }\n"
SOURCE = 'source "https://rubygems.org"\n'


def body(worker: Worker, path: str = "/") -> bytes:
    conn = worker.connect()
    conn.send({"PATH_INFO": path, "REQUEST_URI": path})
    return conn.response()[2]


def failure(files: dict[str, str], env: dict[str, str] | None = None) -> str:
    """What the loader says instead of Ready; it must end by itself, and leave no socket."""
    with app_folder("") as folder:
        (folder / "config.ru").unlink()
        for name, text in files.items():
            (folder / name).write_text(text)
        env = {**({"RUBYLIB": ""} if "Gemfile" in files else {}), **(env or {})}  # a Gemfile says all there is
        made = RackProgram("rack_loader.rb", folder, rack2(), env)
        try:
            made.talk.until("!> I have control 1.0")
            made.talk.give(made.options())
            assert made.talk.until("!> ")[-2:] == ["!> Error", "!> "]
            text = made.talk.rest()
            assert made.status() == 1
            assert not [name for name in folder.iterdir() if name.is_socket()]
            return text
        finally:
            made.close()


def test_the_talk_is_what_the_protocol_says() -> None:
    """Byte for byte: the offer before anything slow, an empty line before Ready, only legal keys."""
    with rack_loader("$stdout.print 'half a line'\n" + OK) as (made, worker):
        assert made.talk.said[:3] == ["!> I have control 1.0", "half a line", "!> Ready"]
        assert re.fullmatch(r"!> socket: main;unix:/tmp/\S+/ruby\.[0-9a-f]{24};session;1", made.talk.said[3])
        assert made.talk.said[4:] == ["!> "]
        assert len(Path(worker.path).name) <= 32
        assert Path(worker.path).stat().st_mode & 0o777 == 0o600
        assert body(worker) == b"ok"


def test_a_spawner_that_says_nonsense_is_told() -> None:
    """And one that goes away is not waited for."""
    with program("rack_loader.rb", OK) as made:
        made.talk.until("!> I have control 1.0")
        made.talk.give({}, "You have control 2.0")
        assert made.talk.rest() == (
            '\n!> Error\n!> \nthe spawner answered "You have control 2.0" instead of "You have control 1.0"\n'
        )
        assert made.status() == 1
    with program("rack_loader.rb", OK) as made:
        made.talk.until("!> I have control 1.0")
        made.talk.sock.sendall(b"You have control 1.0\napp_root: /x\n")
        made.talk.half_close()
        assert made.talk.rest() == ""
        assert made.status() == 1


def test_an_application_may_reopen_its_output_while_it_loads() -> None:
    """The talk has descriptors of its own."""
    source = "$stdout.reopen('out'); $stdin.reopen('/dev/null'); puts 'in a file'\n" + OK
    with rack_loader(source) as (made, worker):
        assert body(worker) == b"ok"
        assert (made.folder / "out").read_text() == "in a file\n"
        made.talk.half_close()
        assert made.status() == 0


def test_what_the_application_sees_of_its_process() -> None:
    """Title, environment, folder, arguments, load path, and that it is under Passenger."""
    source = """
require "json"
SEEN = { env: ENV.values_at("RACK_ENV", "RAILS_ENV"), cwd: Dir.pwd, argv: ARGV, under: defined?(PhusionPassenger),
         ours: $LOAD_PATH.grep(/helper_scripts/) }
require "uri"
use Rack::Lint
run ->(_) { [200, { "content-type" => "application/json" }, [JSON.generate(SEEN)]] }
"""
    with rack_loader(source, env={"RAILS_ENV": "staging"}) as (made, worker):
        seen = json.loads(body(worker))
        assert seen["env"] == ["production", "staging"]
        assert seen["cwd"] == str(made.folder)
        assert (seen["argv"], seen["ours"], seen["under"]) == ([], [], "constant")
        title = Path(f"/proc/{made.process.pid}/cmdline").read_text().rstrip("\0")
        assert title == "Passenger RubyApp: blog"


def test_events_are_told_in_their_order() -> None:
    """Of a process that was not forked."""
    with rack_loader(APPS / "rack_app") as (made, worker):
        assert json.loads(body(worker, "/notes")) == [
            "starting_worker_process false",
            "after_installing_signal_handlers",
        ]
        made.talk.half_close()
        assert made.status() == 0
        assert made.errors().splitlines()[-1] == "event stopping_worker_process"


def test_an_application_with_a_gemfile_gets_its_gems_only() -> None:
    """Those of the Gemfile, and nothing of ours is activated before it is read."""
    gemfile = SOURCE + "File.write('activated', Gem.loaded_specs.keys.join(' '))\ngem 'sinatra'\n"
    with app_folder(APPS / "sinatra_app") as folder:
        (folder / "Gemfile").write_text(gemfile)
        with rack_loader(folder) as (made, worker):
            conn = worker.connect()
            conn.send({"PATH_INFO": "/", "REQUEST_URI": "/"})
            assert b"<title>Notes</title>" in conn.response()[2]
            ours = {"stringio", "tempfile", "tmpdir", "delegate", "fileutils", "securerandom", "socket"}
            assert not ours & set((made.folder / "activated").read_text().split())


@pytest.mark.root("starts the loader as another user")
def test_a_lock_file_that_cannot_be_written_is_explained() -> None:
    """The application's folder is not its user's own: a Gemfile.lock has to be deployed."""
    with app_folder(OK) as folder:
        folder.chmod(0o755)
        (folder / "Gemfile").write_text(SOURCE + "gem 'rack'\n")
        made = RackProgram("rack_loader.rb", folder, rack2(), {}, user=65534)
        try:
            made.talk.until("!> I have control 1.0")
            made.talk.give(made.options())
            made.talk.until("!> Error")
            assert "run `bundle lock` in the application's folder" in made.talk.rest()
        finally:
            made.close()


def test_the_gemfile_may_lie_elsewhere() -> None:
    """BUNDLE_GEMFILE is respected, also when it names nothing."""
    with app_folder("") as folder:
        (folder / "Other").write_text(SOURCE + "gem 'rack'\n")
        with rack_loader(
            OK.replace("'ok'", "Bundler.default_gemfile.to_s"), env={"BUNDLE_GEMFILE": f"{folder}/Other"}
        ) as (_, worker):
            assert body(worker) == f"{folder}/Other".encode()
    text = failure({"config.ru": OK}, {"BUNDLE_GEMFILE": "/nowhere/Gemfile"})
    assert text.startswith("Correct the environment variable BUNDLE_GEMFILE.")


def test_sinatra_works_through_its_forms_and_streams() -> None:
    """A page, a form with a redirect, a download, a stream, an error; on one connection, under Rack::Lint."""
    with rack_loader(APPS / "sinatra_app", threads=2) as (_, worker):
        conn = worker.connect()
        form = {"CONTENT_TYPE": "application/x-www-form-urlencoded", "HTTP_HOST": "notes.example"}
        assert sinatra(conn, "/notes", form, b"text=milk+%3Cb%3E")[:2] == ("303 See Other", "http://notes.example/")
        assert b"<li>milk &lt;b&gt;</li>" in sinatra(conn, "/", form)[2]
        assert sinatra(conn, "/notes.txt", form)[2] == b"milk <b>\n"
        assert sinatra(conn, "/count", form)[2] == b"0\n1\n2\n"
        assert sinatra(conn, "/notes", form, b"text=")[0].startswith("422")
        assert b"http://notes.example/" in sinatra(conn, "/who", form)[2]


def sinatra(conn: Connection, path: str, head: dict[str, str], data: bytes = b"") -> tuple[str, str, bytes]:
    conn.send({"PATH_INFO": path, "REQUEST_URI": path, **head}, data)
    status, headers, received = conn.response()
    return status, headers.get("location", ""), received


@pytest.mark.parametrize(
    ("files", "advice", "summary"),
    [
        ({"config.ru": "require 'nonesuch/thing'"}, "put it into a Gemfile and run `bundle install`", "LoadError: "),
        ({"config.ru": OK, "Gemfile": SOURCE + "gem 'nonesuch'\n"}, "run `bundle install`", "Bundler::GemNotFound: "),
        (
            {"config.ru": "require 'sinatra'", "Gemfile": SOURCE + "gem 'rack'\n"},
            "Add its gem to the Gemfile and run `bundle install`",
            "LoadError: cannot load such file -- sinatra",
        ),
        ({"config.ru": OK, "Gemfile": SOURCE + "gem 'rake'\n"}, 'add `gem "rack"` to the Gemfile', "Ruby "),
        ({"config.ru": OK, "Gemfile": "gemx 1\n"}, "Correct the Gemfile.", "Bundler::Dsl::DSLError: "),
        ({"config.ru": "def x("}, "def x(", "SyntaxError: "),
        ({"config.ru": "require_relative 'a'", "a.rb": "raise 'first'"}, "/a.rb:1:in", "RuntimeError: first"),
        ({"config.ru": "begin; 1/0; rescue; raise 'second'; end"}, "ZeroDivisionError: divided", "RuntimeError: se"),
        ({"config.ru": "exit 3"}, "/config.ru:1:in `exit'", "the application ended itself while loading: exit(3)"),
        ({"config.ru": "use Object"}, "Traceback", "RuntimeError: missing run or map statement"),
        ({"config.ru": "run 5"}, "", "which cannot be called as a Rack application"),
        ({}, "", "config.ru does not exist"),
        (
            {"config.ru": "PhusionPassenger.on_event(:starting_worker_process) { raise 'in event' }\n" + OK},
            "/config.ru:1:in",
            "RuntimeError: in event",
        ),
    ],
)
def test_what_goes_wrong_is_explained(files: dict[str, str], advice: str, summary: str) -> None:
    """What to do, the way through the application's code without ours, and in the last line what it was."""
    text = failure(files)
    assert advice in text
    assert summary in text.rstrip("\n").splitlines()[-1]
    assert "helper_scripts" not in text


def test_no_rack_is_explained() -> None:
    """Where Ruby finds no gems at all."""
    text = failure({"config.ru": OK}, {"GEM_PATH": "/nowhere", "GEM_HOME": "/nowhere", "RUBYLIB": "/nowhere"})
    assert "finds no gem `rack`: run `gem install rack`" in text


def test_a_folder_without_room_for_the_socket_is_explained() -> None:
    """Instead of Ready."""
    with program("rack_loader.rb", OK) as made:
        made.talk.until("!> I have control 1.0")
        made.talk.give(made.options(socket_dir="/nowhere"))
        made.talk.until("!> Error")
        assert "Errno::ENOENT" in made.talk.rest()
        assert made.status() == 1


def test_sigquit_shows_what_every_thread_is_doing() -> None:
    """And the process goes on."""
    with rack_loader(OK, threads=2) as (made, worker):
        assert body(worker) == b"ok"
        made.process.send_signal(signal.SIGQUIT)
        made.process.send_signal(signal.SIGTERM)
        assert made.status() == 0
        made.wait_error("request-2")
