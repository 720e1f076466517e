"""How a Node application ends: before it is ready, and when it is asked to. Nothing in progress is lost."""

from __future__ import annotations

import pytest

from tests.support.httploader import http_loader
from tests.support.websocket_client import WebSocket

NODE = ("node", "node_loader.js")
WAYS = pytest.mark.parametrize("how", ["stdin", "term"])

SLOW = """
const http = require('http');
let waiting = null;
const server = http.createServer((req, res) => {
  if (req.url === '/slow') { waiting = res; console.log('begun'); }
  else if (req.url === '/stream') { res.write('first'); waiting = res; console.log('begun'); }
  else if (req.url === '/upload') { console.log('begun'); req.on('data', () => {}).on('end', () => res.end('got it')); }
  else res.end('quick');
});
process.on('SIGUSR2', () => waiting.end('done'));
"""


@pytest.mark.parametrize(
    ("source", "summary"),
    [
        ("throw new TypeError('no such luck')", "TypeError: no such luck"),
        ("throw 'a string'", "a string"),
        ("const x = ;", "SyntaxError: Unexpected token ';'"),
        ("require('left-pad-2')", "Error: Cannot find module 'left-pad-2'; run `npm install` in /tmp/"),
        ("require('./lost')", "Error: Cannot find module './lost'"),
        ("process.exit(3)", "app.js ended with status 3 without listening: it must call listen() of an http server"),
        ("process.exit(0)", "app.js came to its end without listening"),
        ("console.log('nothing to do')", "app.js came to its end without listening"),
        ("process.stdout.write('half a line')", "app.js came to its end without listening"),
        ("Promise.reject(new RangeError('rejected'))", "RangeError: rejected"),
        ("setTimeout(() => { throw new Error('later') }, 1)", "Error: later"),
        (
            "PhusionPassenger.configure({ autoInstall: false })",
            "app.js came to its end without listening: it must call listen('passenger') of",
        ),
        ("require('net').createServer().listen('passenger')", "app.js"),
    ],
)
def test_what_ends_it_before_it_listens_is_explained(source: str, summary: str) -> None:
    """The stack, and its message as the last line; Node's own words are on stderr; the status is not 0."""
    with http_loader(NODE, {"app.js": source}, start_timeout="5000") as made:
        text = made.explanation()
        assert text.rstrip().splitlines()[-1].startswith(summary)
        assert "node_loader.js" not in text
        assert made.status() != 0


def test_an_es_module_that_fails_is_explained_too() -> None:
    """Syntax, import and top-level errors of a module come another way."""
    for source, summary in [
        ("throw new TypeError('in a module')", "TypeError: in a module"),
        ("import x from './missing.mjs'", "Error: Cannot find module"),
        ("import x from 'left-pad-2'", "Error: Cannot find package 'left-pad-2'"),
        ("await new Promise(() => {})", "app.mjs came to its end without listening"),
        ("export const = 1", "SyntaxError: "),
    ]:
        with http_loader(NODE, {"app.mjs": source}, startup_file="app.mjs") as made:
            assert made.explanation().rstrip().splitlines()[-1].startswith(summary)


def test_a_missing_startup_file_is_named() -> None:
    with http_loader(NODE, {}, startup_file="server.js") as made:
        text = made.explanation()
        assert text.strip().endswith("server.js does not exist")
        assert text.count("\n") == 1
        assert made.status() == 1


def test_one_that_never_listens_is_told_before_the_deadline() -> None:
    """It lives, does something, but not what is needed."""
    with http_loader(NODE, {"app.js": "setInterval(() => {}, 1000)"}, start_timeout="500") as made:
        assert "app.js did not listen within 0.5 seconds" in made.explanation()
        assert made.status() == 1


def test_an_error_that_the_application_handles_is_none() -> None:
    """Its own `uncaughtException` handler decides."""
    source = "process.on('uncaughtException', () => server.listen(1));" + SLOW + "throw new Error('handled')"
    with http_loader(NODE, {"app.js": source}) as made:
        assert made.http().fetch() == b"quick"


def test_an_error_after_the_start_is_nodes_own_business() -> None:
    """Printed, status 1, nothing said to the spawner."""
    source = SLOW + "server.listen(1); process.on('SIGHUP', () => { throw new Error('too bad') })"
    with http_loader(NODE, {"app.js": source}) as made:
        assert made.http().fetch() == b"quick"
        made.process.send_signal(1)
        assert made.rest() == ""
        assert made.status() == 1
        assert "Error: too bad" in made.errors()


@pytest.mark.parametrize("when", ["stdin", "term"])
def test_a_spawner_that_gives_up_is_obeyed(when: str) -> None:
    """During the start there is nothing to finish."""
    with http_loader(NODE, {"app.js": "console.log('!> '); setInterval(() => {}, 1000)"}) as made:
        if when == "stdin":
            made.end_of_stdin()
        else:
            made.terminate()
        assert made.rest() == ""
        assert made.status() == 1


@WAYS
@pytest.mark.parametrize("path", ["/slow", "/stream"])
def test_requests_in_progress_are_finished(how: str, path: str) -> None:
    """Also with an idle connection beside, which ends at once; also one whose head is out already."""
    with http_loader(NODE, {"app.js": SLOW + "server.listen(3000)"}) as made:
        idle = made.http()
        idle.fetch()
        busy = made.http()
        busy.request("GET", path)
        assert made.line() == "begun\n"
        made.end_of_stdin() if how == "stdin" else made.terminate()
        assert idle.sock is not None
        assert idle.sock.recv(1) == b""
        made.process.send_signal(12)
        answer = busy.getresponse()
        assert answer.read().endswith(b"done")
        assert answer.headers.get("Connection") == ("close" if path == "/slow" else "keep-alive")
        assert made.status() == 0


@WAYS
def test_an_upload_in_progress_is_finished(how: str) -> None:
    """The body still comes; the answer follows it."""
    with http_loader(NODE, {"app.js": SLOW + "server.listen(3000)"}) as made:
        idle = made.http()
        idle.fetch()
        sock = made.raw()
        sock.sendall(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345")
        assert made.line() == "begun\n"
        made.end_of_stdin() if how == "stdin" else made.terminate()
        assert idle.sock is not None
        assert idle.sock.recv(1) == b""
        sock.sendall(b"67890")
        answer = b""
        while piece := sock.recv(1000):
            answer += piece
        assert answer.endswith(b"got it")
        assert made.status() == 0


def test_half_a_request_is_no_idle_connection() -> None:
    """Its rest is waited for, and it is answered."""
    source = (
        SLOW
        + """server.listen(3000);
server.on('connection', (socket) => { const poll = setInterval(() => {
  if (socket.bytesRead) { clearInterval(poll); console.log('came'); } }, 1); });
process.on('SIGTERM', () => setTimeout(() => console.log('closing'), 20));
"""
    )
    with http_loader(NODE, {"app.js": source}) as made:
        sock = made.raw()
        sock.sendall(b"GET / HTTP/1.1\r\nHo")
        assert made.line() == "came\n"
        made.terminate()
        assert made.line() == "closing\n"
        sock.sendall(b"st: x\r\n\r\n")
        answer = b""
        while piece := sock.recv(1000):
            answer += piece
        assert answer.endswith(b"quick")
        assert b"connection: close" in answer.lower()
        assert made.status() == 0


@pytest.mark.parametrize("left", ["setInterval(() => {}, 1000)", "process.stdin.ref(), setInterval(() => {}, 1000)"])
def test_timers_do_not_keep_it(left: str) -> None:
    """Who has not asked to end by itself is ended."""
    with http_loader(NODE, {"app.js": SLOW + f"server.listen(3000); {left}"}) as made:
        made.end_of_stdin()
        assert made.status() == 0


def test_the_exit_event_gives_the_application_its_own_end() -> None:
    """It hears of it once, and its status counts."""
    source = (
        SLOW
        + """server.listen(3000);
PhusionPassenger.on('exit', () => setTimeout(() => { console.log('tidied'); process.exit(7); }, 1200));
"""
    )
    with http_loader(NODE, {"app.js": source}) as made:
        made.end_of_stdin()
        made.terminate()
        assert made.rest() == "tidied\n"
        assert made.status() == 7


def test_an_application_with_its_own_handler_of_sigterm_is_left_to_it() -> None:
    """The usual `server.close(callback)` works: it is not met by a server that is closed already."""
    source = (
        SLOW
        + """server.listen(3000);
process.on('SIGTERM', () => server.close((error) => { console.log('closed', error); process.exit(error ? 9 : 8); }));
"""
    )
    with http_loader(NODE, {"app.js": source}) as made:
        busy = made.http()
        busy.request("GET", "/slow")
        assert made.line() == "begun\n"
        made.terminate()
        made.process.send_signal(12)
        assert busy.getresponse().read() == b"done"
        assert made.line() == "closed undefined\n"
        assert made.status() == 8


def test_a_server_that_closes_itself_ends_the_process() -> None:
    """Nothing of ours keeps it alive; its socket file goes with it."""
    source = SLOW + "server.listen(3000); server.on('request', () => server.close());"
    with http_loader(NODE, {"app.js": source}) as made:
        conn = made.http()
        assert conn.fetch() == b"quick"
        conn.close()
        assert made.status() == 0


RAW_WEBSOCKET = """
const crypto = require('crypto');
const server = require('http').createServer();
server.on('upgrade', (req, socket) => {
  const key = req.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
  const accept = crypto.createHash('sha1').update(key).digest('base64');
  socket.write('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n' +
               'Sec-WebSocket-Accept: ' + accept + '\\r\\n\\r\\n');
  socket.on('data', () => socket.end());
  PhusionPassenger.on('exit', () => { if (req.url === '/own') socket.write(Buffer.from([0x88, 2, 0x03, 0xe9])); });
});
server.listen(3000);
"""


@pytest.mark.parametrize(("path", "status"), [("/", 1012), ("/own", 1001)])
def test_websockets_are_closed_in_words(path: str, status: int) -> None:
    """1012 (service restart), unless the application says something itself."""
    with http_loader(NODE, {"app.js": RAW_WEBSOCKET}) as made:
        websocket = WebSocket(made.raw(), path)
        made.terminate()
        assert websocket.closed() == status
        assert made.status() == 0


def test_a_websocket_whose_client_is_deaf_is_cut() -> None:
    """It does not answer the Close; the process ends all the same."""
    source = RAW_WEBSOCKET.replace("socket.on('data', () => socket.end());", "socket.on('error', () => {});")
    with http_loader(NODE, {"app.js": source}) as made:
        WebSocket(made.raw())
        made.terminate()
        assert made.status() == 0
