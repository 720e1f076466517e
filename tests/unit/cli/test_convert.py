"""Conversions: real-looking files of Passenger become valid configurations, and nothing is left out without a word."""

from __future__ import annotations

import contextlib
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from passenger.cli.config_convert import convert
from passenger.cli.convert_nginx import convert_nginx, parse
from passenger.cli.converted import Converted
from passenger.cli.migration import OPTIONS
from passenger.config.keys import spec_at
from passenger.errors import PassengerError

PAGE = Path(__file__).resolve().parents[3] / "docs" / "migration.md"

NGINX = r"""
user www-data;
http {
    include mime.types;
    include /etc/nginx/conf.d/*.conf;
    passenger_root /usr/lib/ruby/phusion_passenger/locations.ini;
    passenger_max_pool_size 12;
    passenger_pool_idle_time 10;
    passenger_max_instances_per_app 3;  # a comment; with { marks }
    server {
        listen 80; listen [::]:80;
        listen 443 ssl http2;
        server_name shop.example.com "www.example.com" ~^(.*)\.example\.org$;
        ssl_certificate /etc/ssl/shop.pem;
        ssl_certificate_key /etc/ssl/shop.key;
        root /srv/shop/public;
        client_max_body_size 20m;
        passenger_enabled on;
        passenger_ruby /opt/ruby/bin/ruby;
        passenger_app_env staging;
        passenger_env_var DATABASE_URL 'postgres://db/shop';
        passenger_env_var EMPTY "";
        passenger_min_instances 2;
        passenger_start_timeout 120;
        passenger_friendly_error_pages off;
        passenger_memory_limit 300;
        passenger_set_header X-Foo bar;
        passenger_wonder on;
        passenger_max_requests many;
        location / { try_files $uri @app; }
        location /cable { passenger_app_group_name cable; passenger_max_requests 5; }
        location ~ ^/blog(/.*|$) {
            alias /srv/blog/public$1;
            passenger_base_uri /blog;
            passenger_app_root /srv/blog;
            passenger_document_root /srv/blog/public;
            passenger_enabled on;
        }
    }
    server { listen 127.0.0.1:8081; server_name node.test; location /api {
        passenger_enabled on; passenger_app_root /srv/api; passenger_app_type nodejs; passenger_startup_file app.js; } }
}
"""


def converted(tmp_path: Path, **files: str) -> Result:
    paths = []
    for name, text in files.items():
        path = tmp_path / name.replace("__", ".")
        path.write_text(text)
        paths.append(str(path))
    return CliRunner().invoke(convert, paths, standalone_mode=False)


def tables(result: Result) -> dict[str, Any]:
    """The file that was written; it has been judged by the command itself."""
    assert result.exception is None, result.exception
    return tomllib.loads(result.output)


def test_nginx_with_servers_and_locations(tmp_path: Path) -> None:
    """Servers, a sub-URI, TLS, defaults; every line without a counterpart has its note."""
    result = converted(tmp_path, nginx__conf=NGINX)
    data = tables(result)
    shop, blog, node = data["apps"].values()
    assert data["instances"]["main"]["core"] == {"max_pool_size": 12, "pool_idle_time": "10s"}
    assert data["instances"]["main"]["nginx"]["listen"] == [
        "0.0.0.0:80",
        "[::]:80",
        {
            "address": "0.0.0.0:443",
            "tls_certificate": "/etc/ssl/shop.pem",
            "tls_certificate_key": "/etc/ssl/shop.key",
        },
        "127.0.0.1:8081",
    ]
    assert data["defaults"] == {"max_instances": 3}
    assert shop == {
        "app_root": "/srv/shop",
        "document_root": "/srv/shop/public",
        "server_names": ["shop.example.com", "www.example.com"],
        "ruby": "/opt/ruby/bin/ruby",
        "app_env": "staging",
        "env": {"DATABASE_URL": "postgres://db/shop", "EMPTY": ""},
        "min_instances": 2,
        "start_timeout": "120s",
        "friendly_error_pages": False,
        "memory_limit": "300MiB",
        "nginx": {"client_max_body_size": "20MiB"},
    }
    assert (blog["app_root"], blog["base_uri"], blog["document_root"]) == ("/srv/blog", "/blog", "/srv/blog/public")
    assert (node["app_root"], node["base_uri"], node["app_type"]) == ("/srv/api", "/api", "node")
    notes = [line for line in result.output.splitlines() if line.startswith("# - ")]
    for word in (
        "conf.d",
        "passenger_root",
        "`root`",
        "set_header",
        "wonder",
        "'many'",
        "regular expression",
        "location /cable: `passenger_app_group_name`, `passenger_max_requests` left",
    ):
        assert any(word in note for note in notes) == (word != "passenger_root"), word


def test_passengerfile(tmp_path: Path) -> None:
    """Standalone's own file, with words of every kind."""
    given = {
        "environment": "staging",
        "port": 4000,
        "daemonize": True,
        "log_level": 6,
        "envvars": {"A": "1"},
        "max_pool_size": 3,
        "app_type": "python",
        "startup_file": "passenger_wsgi.py",
        "sticky_sessions": True,
        "nginx_config_template": "nginx.conf.erb",
    }
    result = converted(tmp_path, Passengerfile__json=json.dumps(given))
    data = tables(result)
    ((_, app),) = data["apps"].items()
    assert data["instances"]["main"] == {
        "nginx": {"listen": ["0.0.0.0:4000"]}, "core": {"max_pool_size": 3}, "log_level": "debug"
    }  # fmt: skip
    assert (app["app_root"], app["app_type"], app["app_env"]) == (str(tmp_path), "wsgi", "staging")
    assert (app["env"], app["sticky_sessions"]) == ({"A": "1"}, True)
    assert "`daemonize` was left out" in result.output
    assert "`nginx_config_template` was left out" in result.output


def test_procfile(tmp_path: Path) -> None:
    """`web` is the application; the others are named."""
    result = converted(tmp_path, Procfile="# x\nweb: gunicorn app:app -b 0.0.0.0:$PORT\nworker: celery -A app\n")
    ((_, app),) = tables(result)["apps"].items()
    assert (app["app_type"], app["app_start_command"]) == ("generic", "gunicorn app:app -b 0.0.0.0:$PORT")
    assert "`worker` was left out" in result.output


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("Passengerfile__json", "{", "no JSON"),
        ("Passengerfile__json", "[]", "no JSON object"),
        ("Passengerfile__json", '{"app_type": "perl"}', "valid configuration"),
        ("Procfile", "worker: x\n", "no line `web"),
        ("nginx__conf", "server {", "in the middle"),
        ("nginx__conf", "}", "too many"),
        ("nginx__conf", "a 'b", "quote without its end"),
    ],
)
def test_what_cannot_be_converted_is_an_error_with_a_reason(tmp_path: Path, name: str, text: str, why: str) -> None:
    """And no half configuration."""
    result = converted(tmp_path, **{name: text})
    assert isinstance(result.exception, PassengerError)
    assert why in str(result.exception)
    assert result.output == ""


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    """`--out` makes a new one."""
    (tmp_path / "Procfile").write_text("web: x\n")
    out = tmp_path / "passenger.toml"
    arguments = [str(tmp_path / "Procfile"), "--out", str(out)]
    assert CliRunner().invoke(convert, arguments, standalone_mode=False).return_value == 0
    first = out.read_text()
    assert "File exists" in str(CliRunner().invoke(convert, arguments, standalone_mode=False).exception)
    assert out.read_text() == first


WORDS = st.sampled_from([
    "server", "location", "/x", "{", "{", "}", "}", ";", ";", "listen", "80", "ssl", "unix:/s", "root", "alias", "/srv/a",
    "server_name", "~x", "a.test", "include", "client_max_body_size", "9x", "'", '"', "#", "$y", "http", "\\",
    "passenger_enabled on;", "passenger_env_var", "passenger_app_root", "passenger_max_requests", "passenger_base_uri",
])  # fmt: skip


@given(st.lists(WORDS, max_size=40))
def test_nothing_but_reasons_comes_of_broken_files(words: list[str]) -> None:
    """Whatever stands in a file of nginx."""
    with contextlib.suppress(PassengerError):
        convert_nginx(" ".join(words), "nginx.conf", Converted())


def test_one_application_on_two_ports_is_one_application(tmp_path: Path) -> None:
    """As written by everybody who has TLS; settings that differ are named."""
    server = "server {{ listen {}; server_name a.test; root /srv/a/public; passenger_enabled on; {} }}\n"
    text = server.format("80", "") + server.format("443", "passenger_min_instances 3;") + server.format("81", "")
    result = converted(tmp_path, nginx__conf=text)
    data = tables(result)
    assert list(data["apps"]) == ["a-test"]
    assert data["instances"]["main"]["nginx"]["listen"] == ["0.0.0.0:80", "0.0.0.0:443", "0.0.0.0:81"]
    assert "with other settings" in result.output


def test_listeners_that_cannot_be_taken_over_are_named(tmp_path: Path) -> None:
    """A Unix socket, and TLS without a certificate."""
    text = (
        "server { listen unix:/s; listen 443 ssl; root /srv/a/public; client_max_body_size $x; passenger_enabled on; }"
    )
    result = converted(tmp_path, nginx__conf=text)
    assert tables(result)["instances"]["main"]["nginx"]["listen"] == ["0.0.0.0:443"]
    for word in ("`listen unix:/s` was left out", "without TLS now", "`client_max_body_size` was left out"):
        assert word in result.output


def test_quotes_and_marks_of_nginx() -> None:
    """Words in quotes keep their marks; variables keep their braces."""
    (block,) = parse('a "b;{}" \'c"\' ${d}e \\# f;')
    assert block.words == ["a", "b;{}", 'c"', "${d}e", "#", "f"]


def test_every_option_leads_somewhere_and_stands_on_the_page() -> None:
    """Keys exist; what is gone has its reason; docs/migration.md says the same, row by row."""
    rows = dict(re.findall(r"^\| `([A-Za-z_]+)` \| (.*) \|$", PAGE.read_text(), re.MULTILINE))
    assert set(rows) == set(OPTIONS)
    for name, option in OPTIONS.items():
        whole = option.key.removeprefix("instance:")
        base = ("instances", "main") if whole != option.key else ("apps", "blog")
        assert not option.key or spec_at((*base, *whole.split("."))), name
        assert option.key or option.note, name
        expected = f"`{whole}`" if option.key else "gone"
        assert rows[name] == f"{expected} | {option.note}".rstrip(), name
