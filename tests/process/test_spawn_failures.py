"""Spawns that fail: each way has its own category, names its step, shows the output, and leaves nothing behind."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from passenger.config.model import App
from passenger.spawn.spawner import SpawnError
from tests.support.preloading import dead
from tests.support.spawning import HELLO, Place, ask, place, run, stopped


@pytest.fixture(name="here")
def _here() -> Iterator[Place]:
    with place() as made:
        yield made


def failed_step(steps: tuple[tuple[str, str, float], ...]) -> str:
    (name,) = [name for name, state, _ in steps if state == "failed"]
    return name


def test_a_syntax_error_shows_the_traceback(here: Place) -> None:
    """Fault matrix B3: the reader sees the place in his own file, and it heals when the file is corrected."""
    app = here.app("blog", {"passenger_wsgi.py": "def application(:\n"})
    error = here.fails(app)
    assert error.category == "load-error"
    assert failed_step(error.steps) == "load the application"
    assert "SyntaxError" in error.summary
    assert f"{app.app_root}/passenger_wsgi.py" in error.output
    assert "line 1" in error.output
    assert "passenger_loader" not in error.output
    (here.root / "blog" / "passenger_wsgi.py").write_text(HELLO)

    async def heals() -> None:
        process = await here.spawner(app).spawn()
        assert ask(process).endswith(b"hello")
        await stopped(process)

    run(heals())


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("import nosuchmodule\n", "ModuleNotFoundError: No module named 'nosuchmodule'"),
        ("x = 1\n", "defines no `application`"),
        ("application = 'text'\n", "cannot be called"),
        ("import sys\nsys.exit(3)\n", "sys.exit(3)"),
        ("print('noise', flush=True)\nraise RuntimeError('no database')\n", "RuntimeError: no database"),
        ("raise KeyboardInterrupt\n", "KeyboardInterrupt"),
    ],
)
def test_what_the_application_does_wrong_is_said(here: Place, source: str, text: str) -> None:
    """The loader explains; the summary carries the last line."""
    error = here.fails(here.app("blog", {"passenger_wsgi.py": source}))
    assert error.category == "load-error"
    assert text in error.summary
    assert ("noise" in error.output) == ("noise" in source)


ASYNC = "async def {name}({self}scope, receive, send):\n    pass\n"


@pytest.mark.parametrize(
    "source",
    [
        ASYNC.format(name="application", self=""),
        "class App:\n    "
        + ASYNC.format(name="__call__", self="self, ").replace("    pass", "        pass")
        + "application = App()\n",
    ],
)
def test_an_asgi_application_in_the_place_of_a_wsgi_one_is_recognised(here: Place, source: str) -> None:
    """Else every request would be answered by an error."""
    error = here.fails(here.app("blog", {"passenger_wsgi.py": source}))
    assert "it is an ASGI application" in error.summary
    assert 'app_type = "asgi"' in error.output


@pytest.mark.parametrize(
    ("entry_point", "text"),
    [
        ("nosuch:app", "No module named 'nosuch'"),
        ("passenger_wsgi:nosuch", "there is no `nosuch`"),
        ("passenger_wsgi:application()", "Two arguments required"),
    ],
)
def test_a_wrong_entry_point_is_said(here: Place, entry_point: str, text: str) -> None:
    """The module, the object and the factory."""
    error = here.fails(here.app("blog", entry_point=entry_point))
    assert error.category == "load-error"
    assert text in error.summary


def test_a_hang_is_ended_by_the_deadline(here: Place) -> None:
    """Fault matrix B1: the whole group is killed, the step named, the output shown."""
    source = "import threading, subprocess\nchild = subprocess.Popen(['sleep', '9999'])\nprint('at', child.pid, flush=True)\nthreading.Event().wait()\n"
    error = here.fails(here.app("blog", {"passenger_wsgi.py": source}, start_timeout=3.5))
    assert error.category == "timeout"
    assert "3.5 seconds" in error.summary
    assert failed_step(error.steps) == "load the application"
    assert 3.0 < sum(took for _, _, took in error.steps) < 10.0
    run(dead(int(error.output.split()[1])))


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        ("os._exit(7)", "exited with status 7"),
        ("os.kill(os.getpid(), 9)", "the process was killed by signal 9 before it was ready"),
    ],
)
def test_a_sudden_death_is_told_with_the_last_words(here: Place, ending: str, text: str) -> None:
    """Nothing was explained: status and last line are what there is."""
    source = f"import os, sys\nprint('out', flush=True)\nprint('last words', file=sys.stderr, flush=True)\n{ending}\n"
    error = here.fails(here.app("blog", {"passenger_wsgi.py": source}))
    assert error.category == "ended-before-ready"
    assert text in error.summary
    assert "last words" in error.output
    assert "out" in error.output


def test_places_that_are_missing_are_named(here: Place) -> None:
    """Fault matrix B11: one category each."""
    app = here.app("blog")
    root = Path(app.app_root)
    assert here.fails(here.app("blog", python="/no/such/python")).category == "interpreter-missing"
    assert here.fails(here.app("blog", python="nosuchpython")).category == "interpreter-missing"
    assert here.fails(here.app("blog", startup_file="nosuch.py")).category == "startup-file-missing"
    (root / "passenger_wsgi.py").unlink()
    assert here.fails(app).category == "startup-file-missing"
    root.rmdir()
    assert here.fails(app).category == "app-root-missing"


def test_an_interpreter_that_is_no_program_is_said(here: Place) -> None:
    """A text file with the right to be executed, and one without."""
    data = here.root / "data"
    data.write_bytes(b"\0\1\2")
    data.chmod(0o755)
    assert here.fails(here.app("blog", python=str(data))).category == "interpreter-broken"
    data.chmod(0o644)
    assert here.fails(here.app("blog", python=str(data))).category == "interpreter-closed"


def test_missing_helper_scripts_fail_in_the_preparer(here: Place) -> None:
    """A broken installation of ours is not blamed on the application."""
    error = here.fails(here.app("blog"), helper_scripts="/nonexistent")
    assert error.category == "preparer-failed"
    assert failed_step(error.steps) == "SpawnPreparer"
    assert "/nonexistent" in error.output
    assert here.fails(here.app("blog"), python="/nonexistent/python").category == "exec-failed"


FAKE = """#!/bin/sh
printf '!> I have control 1.0\\n'
while read line && [ -n "$line" ]; do :; done
{answer}
exec cat > /dev/null
"""


def fake_loader(here: Place, answer: str) -> str:
    return here.script("loader", FAKE.replace("{answer}", answer))


@pytest.mark.parametrize(
    ("answer", "category"),
    [
        (r"printf '!> Ready\n!> socket: main;unix:/tmp/x;session;1\n!> \n'", "socket-outside"),
        (r"printf '!> Ready\n!> socket: main;unix:@DIR/../x;session;1\n!> \n'", "socket-outside"),
        (r"printf '!> Ready\n!> socket: main;unix:@DIR/sub/x;session;1\n!> \n'", "socket-outside"),
        (r"printf '!> Ready\n!> socket: main;unix:@DIR/..;session;1\n!> \n'", "socket-outside"),
        (r"printf '!> Ready\n!> socket: main;unix:@DIR/missing;session;1\n!> \n'", "socket-missing"),
        (r"printf '!> Ready\n!> socket: main;unix:@DIR/%0200d;session;1\n!> \n' 1", "socket-path-too-long"),
        (r"printf '!> Ready\n!> socket: main;tcp://8.8.8.8:80;session;1\n!> \n'", "socket-not-loopback"),
        (r"printf '!> Ready\n!> socket: main;tcp://localhost:80;session;1\n!> \n'", "socket-not-loopback"),
        (r"printf '!> Ready\n!> socket: main;tcp://127.0.0.1:0;session;1\n!> \n'", "socket-not-loopback"),
        (r"printf '!> Ready\n!> socket: main;tcp://127.0.0.1:80;session;1\n!> pid: 1\n!> \n'", "foreign-pid"),
        (r"printf '!> Ready\n!> \n'", "no-request-socket"),
        (
            r"printf '!> Ready\n'; for n in 1 2 3 4; do printf '!> socket: s%d;unix:/x;session;1\n' $n; done; printf '!> \n'",
            "too-many-sockets",
        ),
        (
            r"printf '!> Ready\n!> socket: main;unix:/x;session;1\n!> socket: main;unix:/y;session;1\n!> \n'",
            "duplicate-socket",
        ),
        (r"printf '!> Ready\n!> socket: main;unix:@DIR/x;session;99999999999\n!> \n'", "bad-socket-concurrency"),
        (r"printf '!> Ready\n!> socket: main;unix:@DIR/x;session;-1\n!> \n'", "bad-socket-concurrency"),
        (r"printf '!> Ready\n!> socket: main;x;session;1\n!> \n'", "bad-socket-address"),
        (r"printf '!> Ready\n!> pid: -1\n!> \n'", "bad-pid-line"),
        (r"printf '!> Ready\n!> Ready\n'", "unexpected-control-line"),
        (r"head -c 10000000 /dev/zero; exit 1", "ended-before-ready"),
        (r"printf '!> What\n'", "unexpected-control-line"),
        (r"printf '!> %05000d' 1", "control-line-too-long"),
        (r"head -c 1000000 /dev/zero; printf '\n!> \377\n'", "control-line-not-text"),
        (r"i=0; while [ $i -lt 9 ]; do printf '!> I have control 1.0\n'; i=$((i+1)); done", "handshake-repeated"),
    ],
)
def test_nonsense_of_a_loader_is_refused(here: Place, answer: str, category: str) -> None:
    """Fault matrix B2 and F14 against a real process that says it."""
    script = fake_loader(here, answer.replace("@DIR", str(here.sockets)))
    error = here.fails(here.app("blog", python=script))
    assert error.category == category
    assert len(error.output) <= 128 * 1024


def test_a_loader_that_never_speaks_runs_into_the_deadline(here: Place) -> None:
    """Binary noise without end, then silence: capture stays bounded."""
    script = here.script("loader", "#!/bin/sh\nhead -c 3000000 /dev/zero\nexec cat\n")
    error = here.fails(here.app("blog", python=script, start_timeout=1.0))
    assert error.category == "timeout"
    assert failed_step(error.steps) == "handshake"
    assert len(error.output) == 128 * 1024


def test_a_socket_of_somebody_else_is_refused(here: Place) -> None:
    """Our own listening socket: it lies in the right folder, but another process listens on it; and a plain file."""
    path = here.sockets / "mine"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        answer = f"printf '!> Ready\\n!> socket: main;unix:{path};session;1\\n!> \\n'"
        app = here.app("blog", python=fake_loader(here, answer))
        try:
            first = category_of(here, app)
            if os.geteuid() == 0:
                os.chown(path, 65534, 65534)
            second = category_of(here, app)
            path.unlink()
            path.symlink_to("/run/elsewhere")
            third = category_of(here, app)
        finally:
            path.unlink()
    assert first == ("socket-foreign-owner" if os.geteuid() == 0 else "socket-foreign-process")
    assert second == "socket-foreign-process"
    assert third == "socket-not-a-socket"


def category_of(here: Place, app: App) -> str:
    async def attempt() -> str:
        with pytest.raises(SpawnError) as caught:
            await here.spawner(app).spawn()
        return caught.value.category

    return run(attempt())


def test_secrets_are_in_no_error_and_no_log(here: Place) -> None:
    """Fault matrix F21: values of `env` stay with the application."""
    app = here.app("blog", {"passenger_wsgi.py": "raise RuntimeError\n"}, env={"TOKEN": "canary-7f3a"})
    error = here.fails(app)
    assert "canary-7f3a" not in str(error) + error.output + here.log_text()


def test_a_value_that_would_break_a_line_is_refused(here: Place) -> None:
    """A line end in a startup file's name can't add a key to the request."""
    app = here.app("blog", {"a\nb.py": HELLO}, startup_file="a\nb.py")
    assert here.fails(app).category == "configuration-invalid"
