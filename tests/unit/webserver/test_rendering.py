"""The rendered files as a whole: no value of the configuration can become anything but itself (F18)."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import crossplane
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passenger.config.app_cache import AppCache
from passenger.config.instance import Admin, Instance, Listener, Nginx, Watchdog
from passenger.config.model import App, AppNginx, InstanceConfig
from passenger.config.paths import InstancePaths
from passenger.webserver import EXTERNAL_FILE, MANAGED_FILE, UnrenderableValueError, build, render

PATHS = InstancePaths(root="/run/passenger/main")
LISTEN = (Listener(address="127.0.0.1:8080"), Listener(address="[::1]:8080"))


def configuration(apps: dict[str, App] | None = None, *, admin: str | None = None, **nginx: Any) -> InstanceConfig:
    instance = Instance(nginx=Nginx(**({"listen": LISTEN} | nginx)), admin=Admin(listen=admin))
    return InstanceConfig(name="main", instance=instance, apps=apps or {"blog": App(app_root="/srv/blog")})


def rendered(config: InstanceConfig, **options: Any) -> dict[str, str]:
    given_options: dict[str, Any] = {
        "paths": PATHS,
        "connect_secret": "s3cret",
        "workers": 2,
        "user": None,
        "group": None,
        "is_folder": lambda path: False,
    }
    return render(config, **(given_options | options))


def directives(files: dict[str, str], main: str = MANAGED_FILE) -> list[tuple[str, tuple[str, ...]]]:
    """Every directive of the files, includes followed, with its arguments as nginx means them."""
    found: list[tuple[str, tuple[str, ...]]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        answer = crossplane.parse(f"{folder}/{main}", combine=True, check_ctx=main == MANAGED_FILE)
    assert answer["errors"] == []

    def walk(items: list[dict[str, Any]]) -> None:
        for item in items:
            found.append((item["directive"], tuple(arg.replace("\\\\", "\\") for arg in item["args"])))
            walk(item.get("block", []))

    walk(answer["config"][0]["parsed"])
    return found


def args_of(files: dict[str, str], name: str) -> list[tuple[str, ...]]:
    return [args for found, args in directives(files) if found == name]


def test_clients_are_told_to_leave_only_where_there_is_a_delay() -> None:
    """No look for a file without `drain_delay`, in an nginx of somebody else, or among the probes."""
    usual = configuration(admin="127.0.0.1:9180")
    delayed = replace(usual, instance=replace(usual.instance, watchdog=Watchdog(drain_delay=5.0)))
    external = replace(
        delayed, instance=replace(delayed.instance, nginx=replace(delayed.instance.nginx, mode="external"))
    )
    looks = [
        args
        for name, args in directives(rendered(delayed))
        if name == "if" and "/run/passenger/main/nginx/leaving" in args
    ]
    assert len(looks) == 1
    assert "leaving" not in str(rendered(usual)) + str(rendered(external))


HOSTILE = st.text(
    st.one_of(st.sampled_from(";{}\"'$\n#\\ \0/~=@*"), st.characters(codec="utf-8")), min_size=1, max_size=20
)
HOSTILE_KEYS = ("app_root", "document_root", "access_log", "tls", "user", "root", "secret", "cache")


@settings(max_examples=200, deadline=None)
@given(text=HOSTILE, key=st.sampled_from(HOSTILE_KEYS))
def test_a_hostile_path_or_name_changes_nothing_but_its_own_argument(text: str, key: str) -> None:
    """The same directives as for a harmless value, which differ in that value only; or a clear refusal."""
    harmless = _with(key, "harmless")
    try:
        files = _with(key, text)
    except UnrenderableValueError:
        assert any(ord(char) < 32 or ord(char) == 127 or char == "$" for char in text) or not text.strip("./")
        return
    expected, found = directives(harmless), directives(files)
    assert [name for name, _ in found] == [name for name, _ in expected]
    for (_, harmless_args), (_, args) in zip(expected, found, strict=True):
        assert len(args) == len(harmless_args)
        for harmless_arg, arg in zip(harmless_args, args, strict=True):
            assert arg == harmless_arg or "harmless" in harmless_arg or _zone(arg) == _zone(harmless_arg)
            assert ("$" in arg) == ("$" in harmless_arg) or key in {"user", "root", "cache"}


def _zone(arg: str) -> str:
    """The name of a cache's zone without the mark of its place."""
    return re.sub(r"(passenger/main/blog/)[0-9a-f]{8}", r"\1", arg)


def _with(key: str, text: str) -> dict[str, str]:
    app = App(app_root="/srv/blog", document_root="/srv/blog/public")
    if key == "cache":
        cache = AppCache(enabled=True, folder=f"/var/{text}")
        return rendered(configuration({"blog": replace(app, cache=cache)}))
    if key == "app_root":
        return rendered(configuration({"blog": replace(app, app_root=f"/srv/{text}", document_root="public")}))
    if key == "document_root":
        return rendered(configuration({"blog": replace(app, document_root=f"/srv/{text}", base_uri="/x")}))
    if key == "access_log":
        return rendered(configuration(access_log=f"/var/{text}"))
    if key == "tls":
        listener = Listener(address="1.2.3.4:443", tls_certificate=f"/c/{text}", tls_certificate_key=f"/k/{text}")
        return rendered(configuration(listen=(listener,)))
    if key == "user":
        return rendered(configuration(), user=text, group=text)
    if key == "root":
        return rendered(configuration({"blog": app}), paths=InstancePaths(root=f"/run/{text}"))
    return rendered(configuration(), connect_secret=text)


@settings(max_examples=200, deadline=None)
@given(
    text=HOSTILE,
    key=st.sampled_from(["app", "instance", "server_names", "base_uri", "address", "admin", "level", "proxy"]),
)
def test_names_and_addresses_are_what_the_model_allows_or_refused(text: str, key: str) -> None:
    """`~`, `=`, `@`, `$` and friends never get to where nginx gives them a meaning."""
    app = App(app_root="/srv/blog")
    configs = {
        "app": lambda: configuration({text: app}),
        "instance": lambda: replace(configuration(), name=text),
        "server_names": lambda: configuration({"blog": replace(app, server_names=(text,))}),
        "base_uri": lambda: configuration({"blog": replace(app, base_uri="/" + text)}),
        "address": lambda: configuration(listen=(Listener(address=text),)),
        "admin": lambda: configuration(admin=text),
        "level": lambda: configuration(access_log=text),
        "proxy": lambda: configuration(trusted_proxies=(text,)),
    }
    harmless = configuration(admin="1.1.1.1:1", trusted_proxies=("10.0.0.0/8",))
    known = {name for name, _ in directives(rendered(harmless))}
    try:
        files = rendered(configs[key]())
    except UnrenderableValueError:
        return
    found = {name for name, _ in directives(files)}
    assert found <= known | {"server"} | ({text} if key == "proxy" else set())
    assert all(name.isprintable() and "/" not in name for name in files)


def test_pattern_anchors_do_not_let_a_newline_through() -> None:
    """`$` of a regular expression matches before a last newline; the renderer's checks do not."""
    for bad in (
        configuration({"blog\n": App(app_root="/x")}),
        configuration({"blog": App(app_root="/x", server_names=("a.example.com\n",))}),
        configuration({"blog": App(app_root="/x", base_uri="/a\n")}),
    ):
        with pytest.raises(UnrenderableValueError):
            rendered(bad)


def test_main_context_of_a_managed_nginx() -> None:
    files = rendered(configuration(), user="www-data", group="www", open_files=500)
    assert args_of(files, "user") == [("www-data", "www")]
    assert args_of(files, "worker_processes") == [("2",)]
    assert args_of(files, "pid") == [("/run/passenger/main/nginx/nginx.pid",)]
    assert args_of(files, "error_log") == [("stderr", "warn")]
    assert args_of(files, "worker_rlimit_nofile") == [("500",)]
    assert args_of(files, "worker_connections") == [("4096",)]
    assert args_of(files, "daemon") == []
    temp = {args[0] for name, args in directives(files) if name.endswith("_temp_path")}
    assert len(temp) == 5
    assert all(path.startswith("/run/passenger/main/nginx/") for path in temp)


def test_an_ordinary_user_has_no_user_directive() -> None:
    assert args_of(rendered(configuration()), "user") == []


def test_a_module_that_was_left_out_has_no_directives() -> None:
    """An unknown directive would keep nginx from starting."""
    slim = build.parse("nginx version: nginx/1.30.1\nconfigure arguments: --without-http_uwsgi_module")
    names = {name for name, _ in directives(rendered(configuration(), build=slim))}
    assert "uwsgi_temp_path" not in names
    assert "fastcgi_temp_path" in names


def test_the_request_socket_is_listed_twice() -> None:
    (server, again) = (args for name, args in directives(rendered(configuration())) if name == "server" and args)
    assert server == again == ("unix:/run/passenger/main/request", "max_fails=0")
    assert args_of(rendered(configuration()), "scgi_next_upstream_tries") == [("2",)]
    off = rendered(configuration(retry_on_core_crash=False))
    assert args_of(off, "scgi_next_upstream") == [("off",)]


def test_nginx_is_more_patient_than_the_core() -> None:
    app = App(app_root="/x", response_timeout=20.5, start_timeout=10.0)
    assert args_of(rendered(configuration({"a": app})), "scgi_read_timeout") == [("61s",)]
    assert args_of(rendered(configuration({"a": app})), "scgi_send_timeout") == [("61s",)]
    unlimited = replace(app, response_timeout=0.0)
    assert args_of(rendered(configuration({"a": unlimited})), "scgi_read_timeout") == [("86400s",)]


def test_what_nginx_does_for_an_application() -> None:
    own = AppNginx(client_max_body_size=0, request_buffering=False, response_buffering=False, static_max_age=0.5)
    files = rendered(configuration({"a": App(app_root="/x", document_root="static", nginx=own)}))
    assert set(args_of(files, "client_max_body_size")) == {("0",)}
    assert set(args_of(files, "scgi_request_buffering")) == {("off",)}
    assert set(args_of(files, "scgi_buffering")) == {("off",)}
    assert set(args_of(files, "expires")) == {("1s",), ("off",)}
    assert set(args_of(files, "root")) == {("/x/static",)}


def test_the_default_document_root_counts_only_when_it_exists() -> None:
    """Looking for static files costs every request; `public` is looked for once, when the files are rendered."""
    assert args_of(rendered(configuration()), "root") == []
    files = rendered(configuration(), is_folder=lambda path: path == "/srv/blog/public")
    assert set(args_of(files, "root")) == {("/srv/blog/public",)}


@pytest.mark.parametrize(("log", "args"), [("off", ("off",)), ("stdout", ("/dev/stdout", "passenger"))])
def test_access_log(log: str, args: tuple[str, ...]) -> None:
    """Off, or to stdout in our format; a relative file would be one of the folder where nginx started."""
    assert args in args_of(rendered(configuration(access_log=log)), "access_log")
    with pytest.raises(UnrenderableValueError):
        rendered(configuration(access_log="relative.log"))


def test_a_thousand_names_of_one_application_are_one_server() -> None:
    names = tuple(f"n{i}.example.com" for i in range(1000))
    files = rendered(configuration({"blog": App(app_root="/x", server_names=names)}))
    assert sum(len(args) for args in args_of(files, "server_name")) == 1000 + len(["_"])


def test_exactly_one_default_server_per_listener() -> None:
    apps = {"a": App(app_root="/x", server_names=("a.example.com",)), "b": App(app_root="/x")}
    for chosen in (apps, {"a": apps["a"]}, {"b": apps["b"]}):
        files = rendered(configuration(chosen, admin="127.0.0.1:9180"))
        defaults = Counter(args[0] for args in args_of(files, "listen") if "default_server" in args)
        assert defaults == {"127.0.0.1:8080": 1, "[::1]:8080": 1, "127.0.0.1:9180": 1}
        assert sum("ipv6only=on" in args for args in args_of(files, "listen")) == 1


def test_the_secret_is_in_no_name_and_only_in_its_parameter() -> None:
    files = rendered(configuration(admin="127.0.0.1:9180"))
    secrets = [(name, args) for name, args in directives(files) if any("s3cret" in arg for arg in args)]
    assert set(secrets) == {("scgi_param", ("PASSENGER_CONNECT_SECRET", "s3cret"))}
    assert not [name for name in files if "s3cret" in name]


def test_header_hygiene_is_said_in_every_server() -> None:
    for mode, main in (("managed", MANAGED_FILE), ("external", EXTERNAL_FILE)):
        files = rendered(configuration(mode=mode, admin="127.0.0.1:9180"))
        text = files[main]
        servers = text.count("server {")
        assert text.count("underscores_in_headers off;") == servers >= 2
        assert text.count("ignore_invalid_headers on;") == servers


def test_without_trusted_proxies_nothing_asks_who_is_believed() -> None:
    """The feature costs nothing when it is off."""
    text = "".join(rendered(configuration()).values())
    assert "geo " not in text
    assert "passenger_trusted" not in text
    assert "real_ip" not in text
    assert "proxy_protocol" not in text


def test_every_server_of_clients_knows_the_trusted_proxies() -> None:
    """And the one for probes does not; only the listener of PROXY protocol takes its word."""
    apps = {"blog": App(app_root="/srv/blog", server_names=("a.example.com",))}
    listen = (LISTEN[0], Listener(address="10.0.0.1:81", proxy_protocol=True))
    nginx = {"listen": listen, "trusted_proxies": ("10.0.0.0/8", "fd00::/8")}
    files = rendered(configuration(apps, admin="127.0.0.1:1", **nginx))
    assert len(args_of(files, "server_name")) == 5
    assert args_of(files, "set_real_ip_from") == [("10.0.0.0/8",), ("fd00::/8",)] * 4
    assert args_of(files, "real_ip_header") == [("X-Forwarded-For",)] * 2 + [("proxy_protocol",)] * 2
    assert [args for args in args_of(files, "listen") if "proxy_protocol" in args] == [
        ("10.0.0.1:81", "default_server", "proxy_protocol"),
        ("10.0.0.1:81", "proxy_protocol"),
    ]


def test_two_instances_in_one_nginx_have_variables_of_their_own() -> None:
    names = set()
    for name in ("a-b", "a_b", "ab"):
        config = replace(configuration(trusted_proxies=("10.0.0.1",)), name=name)
        (geo,) = args_of(rendered(config), "geo")
        names.add(geo[1])
    assert len(names) == 3


def test_external_files_hold_nothing_of_the_process() -> None:
    """They are included in somebody else's `http` block: upstreams and servers, absolute names."""
    files = rendered(configuration(mode="external"))
    assert MANAGED_FILE not in files
    text = files[EXTERNAL_FILE]
    top = [line.split()[0] for line in text.splitlines() if line and not line.startswith((" ", "#", "}"))]
    assert set(top) == {"upstream", "server"}
    assert "include /run/passenger/main/nginx/current/app-blog.conf;" in text
    assert text.startswith("# The instance main behind an nginx that somebody else runs.")
    assert "include /run/passenger/main/nginx/current/passenger.conf;" in text.split("upstream")[0]
    assert "_log " not in text


def test_off_renders_nothing() -> None:
    assert rendered(configuration(mode="off")) == {}


def test_two_applications_at_one_place_are_refused() -> None:
    with pytest.raises(UnrenderableValueError, match="`a` and `b` both answer for"):
        rendered(configuration({"a": App(app_root="/x"), "b": App(app_root="/y")}))


def test_half_a_certificate_is_refused() -> None:
    with pytest.raises(UnrenderableValueError, match="but not both"):
        rendered(configuration(listen=(Listener(address="1.2.3.4:443", tls_certificate="/c"),)))
