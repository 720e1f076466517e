"""Applications that misbehave, through the whole stack: only their own requests suffer (fault matrix A2-A15, B1-B3, B11, F23)."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.http import fetch
from tests.support.installation import Installation, hand_over
from tests.support.probe import ProbeSite, open_gate, probe_site, wait_until
from tests.support.raw import answers, exchange

MIB = 1024 * 1024

HELLO = """
from wsgiref.validate import validator
@validator
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""

BROKEN = {
    "binary": "import os\nos.write(1, bytes(range(256)) * 4096)\nraise RuntimeError('after the garbage')\n",
    "long": "import os\nfor _ in range(160): os.write(1, b'x' * 65536)\nraise RuntimeError('after the long line')\n",
    "stdout": "import os, threading\nos.close(1)\nthreading.Event().wait()\n",
    "forged": "import os\nos.write(1, b'!> Ready\\n!> socket: main;unix:/etc/passwd;session;1\\n!> \\n')\n" + HELLO,
    "fork": "import os, sys\nif os.fork() == 0:\n    os.setsid()\n    import threading; threading.Event().wait()\nsys.exit(3)\n",
    "daemon": "import os, threading\nif os.fork(): os._exit(0)\nos.setsid()\nthreading.Event().wait()\n",
    "hang": "import os, threading\nif os.fork() == 0: threading.Event().wait()\nthreading.Event().wait()\n",
    "script": "raise RuntimeError('<script>alert(1)</script><img src=x onerror=alert(2)>')\n",
    "killed": "import os\nos.kill(os.getpid(), 9)\n",
    "exit": "import os\nos._exit(0)\n",
}

ESCAPED = {"fork", "daemon"}
"""These leave a process in a session of its own; it ends with the instance."""

APPS = """
[apps.good]
app_root = "ROOT"
env.APP = "good"
server_names = ["good.test"]
thread_count = 2
max_instances = 1
"""


def broken_app(name: str) -> str:
    return f"""
[apps.{name}]
app_root = "PLACE/{name}"
server_names = ["{name}.test"]
app_env = "development"
min_instances = 0
start_timeout = "2s"
"""


@pytest.fixture(scope="module")
def site(installation: Installation, shared_place: Path) -> Iterator[ProbeSite]:
    """One good application among many broken ones."""
    for name, text in BROKEN.items():
        root = shared_place / name
        root.mkdir()
        (root / "passenger_wsgi.py").write_text(text)
        hand_over(root)
    with probe_site(installation, shared_place, APPS + "".join(map(broken_app, BROKEN))) as running:
        yield running
        assert running.instance.stop() == 0
        assert not [process for name in BROKEN for process in processes_in(shared_place / name)]


def private(pid: int) -> int:
    return int(psutil.Process(pid).memory_full_info().uss)


def processes_in(folder: Path) -> list[psutil.Process]:
    """Everything that runs in a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


@pytest.mark.parametrize("name", list(BROKEN))
def test_a_start_that_fails_is_explained_and_leaves_nothing(site: ProbeSite, name: str) -> None:
    """B1-B3: an answer within the start timeout, the step named, no process left, no memory kept; heals when repaired."""
    core = site.component("core")
    before, began = private(core), time.monotonic()
    page = fetch(site.port, host=f"{name}.test")
    assert time.monotonic() - began < 4.0
    assert page.status == 500, page.text
    assert "failed" in page.text
    assert "<script>alert" not in page.text
    assert "<img src" not in page.text
    assert len(page.body) < MIB
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert private(core) - before < 16 * MIB
    if name not in ESCAPED:
        wait_until(lambda: not processes_in(site.place / name), f"no process of {name}")
    assert site.ask("/echo", host="good.test")["app"] == "good"
    group = site.group(name)
    assert group["last_error"]["id"] in page.text
    assert group["counters"]["spawn_failures"] == 1
    (site.place / name / "passenger_wsgi.py").write_text(HELLO)
    wait_until(lambda: fetch(site.port, host=f"{name}.test").status == 200, f"{name} heals")


RESPONSES = {
    "garbage": (b"\0\1\2garbage\r\n\r\n", 502, b""),
    "nothing": (b"", 502, b""),
    "half a head": (b"HTTP/1.1 200 OK\r\nX-", 502, b""),
    "endless head": (b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"a" * MIB, 502, b""),
    "many headers": (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20000 + b"\r\n", 502, b""),
    "two lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", 502, b""),
    "length and coding": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        502,
        b"",
    ),
    "negative length": (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nabc", 502, b""),
    "bare CR": (b"HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n", 502, b""),
    "bare LF": (b"HTTP/1.1 200 OK\nX: a\n\n", 502, b""),
    "NUL": (b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", 502, b""),
    "bad status": (b"HTTP/1.1 20 OK\r\n\r\n", 502, b""),
    "status 000": (b"HTTP/1.1 000 OK\r\n\r\n", 502, b""),
    "switching": (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", 502, b""),
    "HTTP/2": (b"HTTP/2 200\r\n\r\n", 502, b""),
    "early hints": (
        b"HTTP/1.1 103 Early\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        200,
        b"ok",
    ),
    "only hints": (b"HTTP/1.1 103 Early\r\n\r\n" * 100, 502, b""),
    "surplus": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        200,
        b"ok",
    ),
    "body of 204": (b"HTTP/1.1 204 No Content\r\n\r\nevil", 204, b""),
    "body of 304": (b"HTTP/1.1 304 Not Modified\r\n\r\nevil", 304, b""),
    "bad chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n", 502, b""),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, b"ok"),
    "until the end": (b"HTTP/1.1 200 OK\r\n\r\nok", 200, b"ok"),
    "internal redirect": (
        b"HTTP/1.1 200 OK\r\nX-Accel-Redirect: /etc/passwd\r\nX-Sendfile: /etc/passwd\r\nContent-Length: 2\r\n\r\nok",
        200,
        b"ok",
    ),
}
GET = b"POST /do/raw%b HTTP/1.1\r\nHost: good.test\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b"


@pytest.mark.parametrize("ending", [b"", b"?keep"], ids=["closes", "goes on"])
@pytest.mark.parametrize("case", list(RESPONSES))
def test_a_response_that_is_none(site: ProbeSite, case: str, ending: bytes) -> None:
    """A3, A10-A12, F6: refused or cleaned, nothing of it reaches the client or the next request."""
    said, status, body = RESPONSES[case]
    if ending and case in {"nothing", "half a head", "endless head", "until the end"}:
        said = b"garbage"  # what the loader adds would make sense of these
        status = 502
    before = site.ledger().count("said twice")
    (answer,) = answers(exchange(site.port, GET % (ending, len(said), said)))
    site.wait_ledger("said twice", before + 1)  # what comes later could be the answer to the next request
    assert answer.status == status
    if status < 500:
        assert answer.body == body
    assert b"evil" not in answer.body
    assert b"/etc/passwd" not in answer.head
    for number in range(3):
        assert site.ask(f"/echo?{number}", host="good.test")["QUERY_STRING"] == str(number)


CUT = {
    "length known": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
}


@pytest.mark.parametrize("case", list(CUT))
def test_a_cut_response_never_looks_complete(site: ProbeSite, case: str) -> None:
    """A4, A5, N1: the client sees that something is missing, whatever the framing was."""
    with pytest.raises(AssertionError, match=r"the body is cut|no complete head"):
        answers(exchange(site.port, GET % (b"", len(CUT[case]), CUT[case])) or b"nothing")


def test_an_answer_nobody_asked_for_reaches_nobody(site: ProbeSite) -> None:
    """A12, E8: bytes on an idle connection close it; the next request never sees them."""
    gate = site.gate("both")
    busy = threading.Thread(
        target=fetch, args=(site.port, f"/do/gate?id=busy&fifo={gate}"), kwargs={"host": "good.test"}
    )
    busy.start()
    site.wait_ledger("waiting busy")
    site.ask("/do/park", host="good.test")  # on a second connection, which is idle from now on
    open_gate(gate)
    busy.join()
    site.ask("/do/poison", host="good.test")  # on the first one: it was the last to be used
    for number in range(10):
        assert site.ask(f"/echo?{number}", host="good.test")["QUERY_STRING"] == str(number)


def test_a_flood_of_output_is_bounded(site: ProbeSite) -> None:
    """A15: 100 MiB of lines and of one endless line, not UTF-8: memory stays, others are served, the log says so."""
    core = site.component("core")
    before, mark = private(core), len(site.instance.lines.seen)
    # 100 MiB at the rate that a process may write (4 MiB per tenth of a second) takes some seconds.
    assert site.ask("/do/flood?100", host="good.test") == 100
    assert private(core) - before < 16 * MIB
    site.instance.lines.wait_for(r"dropped \d+ bytes", after=mark)
    assert max(map(len, site.instance.lines.seen[mark:])) < 512 * 1024
    assert site.ask("/echo", host="good.test")["app"] == "good"


def test_a_process_without_output_goes_on(site: ProbeSite) -> None:
    """Closed descriptors 1 and 2 end neither the process nor the reader."""
    pids = site.pids("good")
    site.ask("/do/mute", host="good.test")
    assert site.ask("/echo", host="good.test")["app"] == "good"
    assert site.pids("good") == pids


BAD = """
[apps.bad]
app_root = "PLACE/bad"
env.APP = "bad"
server_names = ["bad.test"]
app_env = "development"
max_instances = 1
spawn_method = "direct"
python = "PLACE/bad.python/bin/python"
"""


def own_application(root: Path) -> None:
    """The probe application in a folder and with an interpreter of its own, which a test may take away."""
    shutil.copytree(Path(__file__).parent / "apps" / "probe", root)
    hand_over(root)
    interpreter = root.with_suffix(".python") / "bin"
    interpreter.mkdir(parents=True)
    (interpreter / "python").symlink_to(os.path.realpath("/usr/bin/python3"))


@pytest.fixture
def pair(installation: Installation, place: Path) -> Iterator[ProbeSite]:
    """A good application and a bad one."""
    own_application(place / "bad")
    with probe_site(installation, place, APPS + BAD) as running:
        yield running


def unreadable(module: Path) -> None:
    """Its compiled form goes too: Python would load that without ever opening the file."""
    shutil.rmtree(module.parent / "__pycache__", ignore_errors=True)
    module.chmod(0)


YOUNG = 5.0
"""Seconds; an end before that is a failed start (A17), after which the next one is put off."""


def end_of_process(site: ProbeSite, app: str) -> None:
    """The process of an application ends by itself, when it is old enough not to count as a failed start."""
    (pid,) = site.pids(app)
    wait_until(lambda: site.group(app)["processes"][0]["uptime"] > YOUNG, "it is old enough")
    psutil.Process(pid).kill()
    wait_until(lambda: pid not in site.pids(app), "the process is gone")


TAKEN = {
    "interpreter": "interpreter",
    "folder": "is no folder",
    "file-right": "Permission denied",
    "file": "holds no application",
    "folder-right": "may not enter",
}
"""What is taken away from an application -> what its page says then."""


@pytest.fixture
def takeable(installation: Installation, place: Path) -> Iterator[ProbeSite]:
    """A good application, and one for each thing that can be taken away: they get old enough all at the same time."""
    apps = APPS
    for name in TAKEN:
        own_application(place / name)
        apps += BAD.replace("bad", name)
    with probe_site(installation, place, apps, instance="core.max_pool_size = 20") as running:
        yield running


def test_what_is_taken_away_is_named_and_heals(takeable: ProbeSite) -> None:
    """B11: interpreter, folder and startup file vanish under a running application; each is told apart, and heals."""
    for name, told in TAKEN.items():
        host, root, away = f"{name}.test", takeable.place / name, takeable.place / f"{name}.away"
        startup, interpreter = root / "passenger_wsgi.py", root.with_suffix(".python") / "bin" / "python"
        target = interpreter.readlink()
        faults: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
            "interpreter": (interpreter.unlink, lambda: interpreter.symlink_to(target)),  # noqa: B023
            "folder": (lambda: root.rename(away), lambda: away.rename(root)),  # noqa: B023
            "file-right": (lambda: unreadable(startup), lambda: startup.chmod(0o644)),  # noqa: B023
            "file": (lambda: startup.rename(away), lambda: away.rename(startup)),  # noqa: B023
            "folder-right": (lambda: root.chmod(0), lambda: root.chmod(0o755)),  # noqa: B023
        }
        break_, repair = faults[name]
        break_()
        try:
            end_of_process(takeable, name)
            wait_until(lambda: told in fetch(takeable.port, host=host).text, told)  # noqa: B023
            assert fetch(takeable.port, host=host).status in {500, 503}
            assert takeable.ask("/echo", host="good.test")["app"] == "good"
        finally:
            repair()
        takeable.instance.run("reload")  # shortens the wait until the next try
        wait_until(lambda: fetch(takeable.port, host=host).status == 200, "healed")  # noqa: B023


def test_leaving_at_every_request_is_no_storm(pair: ProbeSite) -> None:
    """A17: a process that ends at its first request is started again after 1, 2, 4 ... seconds, not at once."""
    before = pair.group("bad")["counters"]["spawns"]
    began = time.monotonic()
    statuses = {fetch(pair.port, "/do/exit", host="bad.test").status for _ in range(200)}
    took = time.monotonic() - began
    assert statuses <= {500, 502, 503}
    assert took < 10
    assert pair.group("bad")["counters"]["spawns"] - before <= 4
    assert pair.ask("/echo", host="good.test")["app"] == "good"
    wait_until(lambda: fetch(pair.port, "/echo", host="bad.test").status == 200, "served again")


def test_grandchildren_end_with_the_instance(pair: ProbeSite) -> None:
    """A14, I1: whoever an application left behind, in whatever session, is gone when `stop` returns."""
    grandchild = psutil.Process(pair.ask("/do/leave", host="bad.test"))
    assert os.getsid(grandchild.pid) != os.getsid(pair.pids("bad")[0])
    assert pair.instance.stop() == 0
    assert not grandchild.is_running()
    assert not processes_in(pair.place / "bad")
