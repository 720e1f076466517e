"""The Node loader: what an application may call `listen` with, and what becomes of it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from passenger import resources
from tests.support.httploader import HttpLoader, http_loader

NODE = ("node", "node_loader.js")

HELLO = """
const http = require('http');
const server = http.createServer((req, res) => res.end('hello ' + req.url));
"""


def path_of(made: HttpLoader) -> Path:
    return Path(made.address.removeprefix("unix:"))


@pytest.mark.parametrize(
    "listen",
    [
        "server.listen(3000)",
        "server.listen('3000')",
        "server.listen(0)",
        "server.listen()",
        "server.listen(80, '0.0.0.0', 511, () => console.log('called back'))",
        "server.listen({ port: 3000, host: 'localhost' }, () => console.log('called back'))",
        "server.listen('/run/some/app.sock')",
        "server.listen({ path: '/run/some/app.sock' })",
        "server.listen('passenger')",
        "server.listen('/passenger')",
        "server.listen(3000); server.on('listening', () => console.log('called back'))",
        "setTimeout(() => server.listen(3000), 10)",
        "require('events').once(server, 'listening').then(() => console.log('called back')); server.listen(3000)",
        "const { Server } = http; Server.prototype.listen.call(server, 3000)",
    ],
)
def test_whatever_listen_is_asked_for_it_is_our_socket(listen: str) -> None:
    """Private, short, inside the folder for sockets, announced once; the application's callback is called."""
    with http_loader(NODE, {"app.js": HELLO + listen}) as made:
        assert made.handshake == b"!> I have control 1.0\n"
        assert made.http().fetch("/x?y=1") == b"hello /x?y=1"
        path = path_of(made)
        assert path.stat().st_mode & 0o777 == 0o600
        assert len(path.name) <= 32
        assert sum(line == "!> Ready\n" for line in made.said) == 1
        made.end_of_stdin()
        rest = made.rest()
        assert ("called back" in "".join(made.said) + rest) == ("called back" in listen)
        assert made.status() == 0
        assert not path.exists()
        assert made.errors() == ""


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("server.listen(3000)", {"address": "127.0.0.1", "family": "IPv4", "port": 3000}),
        ("server.listen(3000, '::1')", {"address": "::1", "family": "IPv6", "port": 3000}),
        ("server.listen(0)", {"address": "127.0.0.1", "family": "IPv4", "port": 0}),
    ],
)
def test_address_says_what_was_asked_for(listen: str, address: dict[str, object]) -> None:
    """Applications print it, and take it apart; before and after listening it is null as ever."""
    source = f"""{HELLO}
server.on('request', () => console.log(JSON.stringify(server.address())));
if (server.address() !== null) throw new Error('too early');
{listen};
"""
    with http_loader(NODE, {"app.js": source}) as made:
        made.http().fetch()
        assert json.loads(made.line()) == address


def test_a_path_is_answered_with_the_real_one() -> None:
    """There is nothing else to connect to."""
    source = HELLO + "server.on('request', () => console.log(server.address())); server.listen('/run/x.sock');"
    with http_loader(NODE, {"app.js": source}) as made:
        made.http().fetch()
        assert made.line().strip() == str(path_of(made))


def test_the_startup_file_is_the_main_program() -> None:
    """`require.main`, `process.argv`, `__dirname` and the working folder are as with `node app.js`."""
    source = """
const fact = { main: require.main === module, argv: process.argv.slice(1), dir: __dirname, cwd: process.cwd(), title: process.title };
require('http').createServer((req, res) => res.end(JSON.stringify(fact))).listen(1);
"""
    with http_loader(NODE, {"src/server.js": source}, startup_file="src/server.js") as made:
        facts = json.loads(made.http().fetch())
        folder = str(path_of(made).parent)
        assert facts["main"] is True
        assert facts["argv"] == [f"{folder}/src/server.js"]
        assert facts["dir"] == f"{folder}/src"
        assert facts["cwd"] == folder
        assert facts["title"].startswith("Passenger NodeApp")


ESM = """
import http, { Server } from 'http';
import { createServer } from 'node:http';
import { greeting } from './greeting.EXT';
const server = await Promise.resolve(createServer((req, res) => res.end(greeting)));
server.listen(3000);
await new Promise((resolve) => server.once('listening', resolve));
"""


@pytest.mark.parametrize(
    ("files", "startup_file"),
    [
        ({"app.mjs": ESM.replace("EXT", "mjs"), "greeting.mjs": "export const greeting = 'module'"}, "app.mjs"),
        (
            {
                "app.js": ESM.replace("EXT", "js"),
                "greeting.js": "export const greeting = 'module'",
                "package.json": '{"type": "module"}',
            },
            "",
        ),
        (
            {
                "app.cjs": "import('./app.mjs')",
                "app.mjs": ESM.replace("EXT", "mjs"),
                "greeting.mjs": "export const greeting = 'module'",
            },
            "app.cjs",
        ),
    ],
    ids=["mjs", "package.json", "dynamic"],
)
def test_es_modules(files: dict[str, str], startup_file: str) -> None:
    """By extension, by package.json, by a dynamic import; with top-level await."""
    with http_loader(NODE, files, startup_file=startup_file) as made:
        assert made.http().fetch() == b"module"


def test_the_loader_does_not_care_in_what_package_it_lies() -> None:
    """A package.json with `"type": "module"` above it would make its files ES modules."""
    package = json.loads((Path(__file__).parents[2] / "helper_scripts" / "package.json").read_text())
    assert package["type"] == "commonjs"


def test_a_second_server_is_an_error_that_says_what_to_do() -> None:
    """One process, one server."""
    source = HELLO + "server.listen(3000); http.createServer(() => {}).listen(9090);"
    with http_loader(NODE, {"app.js": source}) as made:
        text = made.explanation()
        assert "second http server" in text.splitlines()[-1]
        assert "autoInstall: false" in text
        assert made.status() == 1


def test_without_auto_install_only_the_named_server_is_served() -> None:
    """The other one listens where it wants."""
    source = """
PhusionPassenger.configure({ autoInstall: false });
const http = require('http');
const other = http.createServer((req, res) => res.end('other'));
other.listen(0, '127.0.0.1', () => {
  const port = other.address().port;
  http.createServer((req, res) => res.end(String(port))).listen('passenger');
});
"""
    with http_loader(NODE, {"app.js": source}) as made:
        port = int(made.http().fetch())
        made.process.send_signal(0)
        assert Path("/proc/net/tcp").read_text().count(f"0100007F:{port:04X} 00000000:0000 0A") == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            "PhusionPassenger.configure({ autoinstall: false })",
            'TypeError: PhusionPassenger.configure: there is no option "autoinstall"',
        ),
        ("server.listen(1); PhusionPassenger.configure({ autoInstall: false })", "before the first listen()"),
    ],
)
def test_wrong_calls_of_configure(call: str, message: str) -> None:
    """A typing error and a late call are errors, not surprises."""
    with http_loader(NODE, {"app.js": HELLO + call}) as made:
        assert message in made.explanation()


def test_the_same_port_in_both_families_is_one_server() -> None:
    """Frameworks that bind `localhost` make a server per address; the second can listen, close, and reaches nobody."""
    source = (
        HELLO
        + """
const second = http.createServer(() => {});
server.listen(3000, '127.0.0.1', () => second.listen(3000, '::1', () => second.close(() => console.log('closed'))));
"""
    )
    with http_loader(NODE, {"app.js": source}) as made:
        assert made.line() == "closed\n"
        assert made.http().fetch() == b"hello /"
        assert [entry.name for entry in path_of(made).parent.iterdir() if entry.name != "app.js"] == [
            path_of(made).name
        ]


def test_connections_are_kept_alive_without_a_limit() -> None:
    """An idle connection is closed by Passenger only: neither Node's own five seconds nor the application's count."""
    source = (
        HELLO
        + """
server.keepAliveTimeout = 1; server.timeout = 100;
server.listen(3000, () => { server.keepAliveTimeout = 1; });
server.on('request', () => console.log([server.keepAliveTimeout, server.headersTimeout, server.requestTimeout].join()));
const { Socket } = require('net');
const set = Socket.prototype.setTimeout;
Socket.prototype.setTimeout = function (ms, ...rest) { console.log('timeout ' + ms); return set.call(this, ms, ...rest); };
"""
    )
    with http_loader(NODE, {"app.js": source}) as made:
        conn = made.http()
        conn.fetch()
        sock = conn.sock
        said = [made.line().strip() for _ in range(3)]
        assert "0,0,0" in said
        while said[-1] != "timeout 0":
            said.append(made.line().strip())
        conn.fetch()
        assert conn.sock is sock


def test_a_big_upload_streams() -> None:
    """100 MB with a checksum, and the process stays small."""
    source = """
const hash = require('crypto').createHash('sha256');
require('http').createServer((req, res) => {
  req.on('data', (piece) => hash.update(piece));
  req.on('end', () => res.end(hash.digest('hex')));
}).listen(3000);
"""
    with http_loader(NODE, {"app.js": source}) as made:
        piece = os.urandom(1 << 20)
        conn = made.http()
        conn.putrequest("POST", "/")
        conn.putheader("Content-Length", str(100 << 20))
        conn.endheaders()
        expected = hashlib.sha256()
        for _ in range(100):
            conn.send(piece)
            expected.update(piece)
        assert conn.getresponse().read().decode() == expected.hexdigest()
        status = Path(f"/proc/{made.process.pid}/status").read_text()
        peak = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
        assert peak < 150_000  # kB; an empty Node.js has 45,000


def test_expectations_and_upgrades_keep_their_meaning() -> None:
    """Without listeners of its own, `Expect: 100-continue` is continued and `Upgrade` ignored, as by Node itself."""
    with http_loader(NODE, {"app.js": HELLO + "server.listen(3000)"}) as made:
        sock = made.raw()
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
        assert sock.recv(1000).startswith(b"HTTP/1.1 100 Continue\r\n")
        other = made.raw()
        other.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
        assert other.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")


def test_the_client_is_seen_like_behind_any_proxy() -> None:
    """`trust proxy: loopback` of Express and its friends work: the peer is 127.0.0.1."""
    source = "require('http').createServer((q, s) => s.end(String(q.socket.remoteAddress))).listen(1)"
    with http_loader(NODE, {"app.js": source}) as made:
        assert made.http().fetch() == b"127.0.0.1"


def test_a_meteor_bundle_is_a_node_application() -> None:
    """`main.js` of `meteor build` moves to its server program, and listens on PORT or 0."""
    main = """
process.argv.splice(2, 0, 'program.json');
process.chdir(require('path').join(__dirname, 'programs', 'server'));
require('./programs/server/boot.js');
"""
    boot = """
const server = require('http').createServer((q, s) => s.end(process.env.ROOT_URL + process.argv[2]));
server.listen({ port: Number(process.env.PORT || 0), host: process.env.BIND_IP || '0.0.0.0' }, () => console.log('LISTENING'));
"""
    files = {"main.js": main, "star.json": "{}", "programs/server/boot.js": boot}
    with http_loader(NODE, files, startup_file="main.js", env={"ROOT_URL": "https://meteor.example/"}) as made:
        assert made.http().fetch() == b"https://meteor.example/program.json"


def test_a_socket_path_that_is_too_long_is_an_error() -> None:
    """The kernel would cut it, or say something obscure."""
    with http_loader(NODE, {"app.js": HELLO + "server.listen(1)"}, UNIX_PATH_MAX="20") as made:
        assert "is longer than 19 bytes" in made.explanation()


@pytest.mark.parametrize(
    ("answer", "rest", "status"),
    [
        (b"", b"", 1),
        (b"You have control 1.0\nkey: val", b"", 1),
        (b"You have control 2.0\n\n", b'instead of "You have control 1.0"\n', 1),
    ],
)
def test_a_spawner_that_says_something_else(answer: bytes, rest: bytes, status: int) -> None:
    """The end of the talk is the end of the loader; another version is answered."""
    command = ["node", str(resources.helper_script("node_loader.js"))]
    done = subprocess.run(command, input=answer, capture_output=True, timeout=20, check=False)
    assert done.stdout.startswith(b"!> I have control 1.0\n")
    assert done.stdout.endswith(rest)
    assert (b"!> Error\n!> \n" in done.stdout) == bool(rest)
    assert done.stderr == b""
    assert done.returncode == status


def test_a_server_may_close_and_listen_again() -> None:
    """The same socket, announced once."""
    source = HELLO + "server.listen(1, () => server.close(() => server.listen(2, () => console.log('again'))));"
    with http_loader(NODE, {"app.js": source}) as made:
        assert made.line() == "again\n"
        assert made.http().fetch() == b"hello /"
        made.end_of_stdin()
        assert made.rest() == ""
