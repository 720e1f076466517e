"""The file for an Apache: no value of the configuration can become anything but itself, and rules come in order."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passenger.config.instance import Admin, Instance, Listener, Nginx
from passenger.config.model import App, AppNginx, InstanceConfig
from passenger.config.paths import InstancePaths
from passenger.webserver import UnrenderableValueError, render

PATHS = InstancePaths(root="/run/passenger/main")
BLOG = App(app_root="/srv/blog", document_root="/srv/blog/public")


def rendered(apps: dict[str, App] | None = None, *, admin: str | None = None, **options: Any) -> str:
    listen = options.pop("listen", (Listener(address="127.0.0.1:8080"),))
    nginx = Nginx(mode="external", listen=listen)
    instance = Instance(web_server="apache", nginx=nginx, admin=Admin(listen=admin))
    config = InstanceConfig(name="main", instance=instance, apps=apps if apps is not None else {"blog": BLOG})
    given_options: dict[str, Any] = {"paths": PATHS, "connect_secret": "s3cret", "exists": lambda path: False}
    files = render(config, workers=1, user=None, group=None, is_folder=lambda path: False, **(given_options | options))
    assert set(files) == {"apache.conf"}
    return files["apache.conf"]


def words(text: str) -> list[list[str]]:
    """Every line as Apache splits it: quotes around an argument, nothing escaped within."""
    found = []
    for number, line in enumerate(text.split("\n")):
        inner = line.strip(" ").removeprefix("</").removeprefix("<").removesuffix(">")
        parts = re.findall(r'"([^"]*)"|([^ "]+)', inner)
        assert re.sub(r'"[^"]*"|[^ "]+', "", inner).strip(" ") == "", (number, line)
        found.append([quoted or plain for quoted, plain in parts])
    return [parts for parts in found if parts and not parts[0].startswith("#")]


HOSTILE = st.text(
    st.one_of(st.sampled_from("<>{}\"'$%\n#\\ \0/~=@*?[]|;"), st.characters(codec="utf-8")), min_size=1, max_size=20
)
KEYS = ("document_root", "tls", "root", "secret", "app", "server_names", "base_uri", "address", "admin")


@settings(max_examples=300, deadline=None)
@given(text=HOSTILE, key=st.sampled_from(KEYS))
def test_a_hostile_value_changes_nothing_but_its_own_arguments(text: str, key: str) -> None:
    harmless = words(_with(key, "1.2.3.4:5" if key in {"address", "admin"} else "harmless"))
    try:
        found = words(_with(key, text))
    except UnrenderableValueError:
        return
    assert len(found) == len(harmless)
    for before, after in zip(harmless, found, strict=True):
        assert before[0] == after[0]
        assert len(before) == len(after)
        for harmless_arg, arg in zip(before, after, strict=True):
            assert arg == harmless_arg or "harmless" in harmless_arg or "1.2.3.4" in harmless_arg or key == "app"
            assert arg.count("$") + arg.count("%") == harmless_arg.count("$") + harmless_arg.count("%")


def _with(key: str, text: str) -> str:
    if key == "document_root":
        return rendered({"blog": replace(BLOG, document_root=f"/srv/{text}")})
    if key == "tls":
        listener = Listener(address="1.2.3.4:443", tls_certificate=f"/c/{text}", tls_certificate_key=f"/k/{text}")
        return rendered(listen=(listener,))
    if key == "root":
        return rendered(paths=InstancePaths(root=f"/run/{text}"))
    if key == "secret":
        return rendered(connect_secret=text)
    if key == "app":
        return rendered({text: BLOG})
    if key in {"server_names", "base_uri"}:
        value: Any = (text,) if key == "server_names" else "/" + text
        return rendered({"blog": replace(BLOG, **{key: value})})
    return rendered(listen=(Listener(address=text),)) if key == "address" else rendered(admin=text)


def hosts(text: str) -> list[list[str]]:
    """Names of each virtual host, in order."""
    found: list[list[str]] = []
    for name, *args in words(text):
        if name == "ServerName":
            found.append(args)
        elif name == "ServerAlias":
            found[-1] += args
    return found


def test_the_first_match_of_apache_is_the_best_match() -> None:
    """Default first (it has no name that anybody asks for), plain names, then patterns, the longest first."""
    apps = {
        "wide": replace(BLOG, server_names=("*.test", "plain.test")),
        "close": replace(BLOG, server_names=("*.a.test",)),
        "exact": replace(BLOG, server_names=("x.a.test", "y.a.test")),
        "rest": BLOG,
    }
    assert hosts(rendered(apps)) == [
        ["localhost"],
        ["plain.test"],
        ["x.a.test", "y.a.test"],
        ["www.a.test", "*.a.test"],
        ["www.test", "*.test"],
    ]


def test_unknown_names_are_404_when_no_application_wants_them() -> None:
    text = rendered({"blog": replace(BLOG, server_names=("localhost",))})
    assert hosts(text) == [["unknown.invalid"], ["localhost"]]
    first = text.split("</VirtualHost>")[0]
    assert "[R=404,L]" in first
    assert "scgi" not in first.split("<VirtualHost")[1]


def rules(text: str) -> list[str]:
    return [args[1] for name, *args in words(text) if name == "RewriteRule"]


def test_the_longest_base_uri_is_asked_first_and_files_come_before() -> None:
    apps = {"blog": BLOG, "wiki": App(app_root="/srv/wiki", base_uri="/wi.ki")}
    found = [args[0] for name, *args in words(rendered(apps)) if name == "RewriteRule"]
    assert found == [r"^/wi\.ki(?:/|$)", "^/$", "^/(.+)$", "^(?:/|$)", "^/"]


def test_only_those_that_speak_http_get_upgrades_and_the_secret_goes_nowhere_else() -> None:
    text = rendered({"blog": BLOG, "chat": App(app_root="/srv/chat", app_type="node", base_uri="/chat")})
    assert sum("request_http|http://" in rule for rule in rules(text)) == 1
    secrets = [args for args in words(text) if "s3cret" in args]
    assert secrets == [
        ["SetEnv", "PASSENGER_CONNECT_SECRET", "s3cret"],
        ["RequestHeader", "set", "X-Passenger-Connect-Secret", "s3cret", "env=PASSENGER_UPGRADE"],
    ]
    assert "X-Passenger" not in rendered()


def test_what_an_application_asks_of_its_web_server() -> None:
    own = AppNginx(client_max_body_size=5, static_max_age=1.5)
    found = words(rendered({"blog": replace(BLOG, nginx=own, response_timeout=10.0, start_timeout=20.0)}))
    assert ["LimitRequestBody", "5"] in found
    assert ["Header", "set", "Cache-Control", "max-age=2"] in found
    assert ["ProxySet", "retry=0", "connectiontimeout=5", "timeout=60"] in found


def test_workers_of_different_applications_never_share_a_name() -> None:
    """One Apache may include the files of several instances."""
    apps = {"a": BLOG, "a.b": replace(BLOG, base_uri="/b")}
    names = [args[0] for name, *args in words(rendered(apps)) if name == "Proxy" and args]
    assert len(names) == len(set(names)) == len(apps)


def test_a_socket_that_no_url_of_apache_can_name_is_refused() -> None:
    for root in ("/run/a b", "/run/a|b", "/run/$x"):
        with pytest.raises(UnrenderableValueError):
            rendered(paths=InstancePaths(root=root))
