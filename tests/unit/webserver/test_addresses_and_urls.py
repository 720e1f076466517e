"""Addresses the watchdog binds, and URLs people open."""

from __future__ import annotations

import pytest

from passenger.config.instance import Admin, Instance, Listener, Nginx
from passenger.config.model import App, InstanceConfig
from passenger.instance.plan import Listen
from passenger.webserver import UnrenderableValueError, addresses, listens, url, urls


def config(
    *listen: str, admin: str | None = None, tls: bool = False, mode: str = "managed", **app: object
) -> InstanceConfig:
    certificate, key = ("/c", "/k") if tls else (None, None)
    listeners = tuple(Listener(address=text, tls_certificate=certificate, tls_certificate_key=key) for text in listen)
    instance = Instance(nginx=Nginx(listen=listeners, mode=mode), admin=Admin(listen=admin))
    return InstanceConfig(name="main", instance=instance, apps={"blog": App(app_root="/x", **app)})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "listen", "shown"),
    [
        ("127.0.0.1:8080", Listen(host="127.0.0.1", port=8080), "127.0.0.1:8080"),
        ("*:80", Listen(host="0.0.0.0", port=80), "0.0.0.0:80"),
        ("[::]:80", Listen(host="::", port=80), "[::]:80"),
        ("[0:0:0:0:0:0:0:1]:80", Listen(host="::1", port=80), "[::1]:80"),
    ],
)
def test_an_address_is_read_and_written(text: str, listen: Listen, shown: str) -> None:
    assert addresses.parse(text) == listen
    assert addresses.text(listen) == shown


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "8080",
        "localhost:80",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "256.1.1.1:80",
        "::1:80",
        "[127.0.0.1]:80",
        "[::1%lo]:80",
        "127.0.0.1:+80",
        "127.0.0.1:٨٠",
        "unix:/x:80",
        "[]:80",
        "*:80 ssl",
        "01.2.3.4:80",
    ],
)
def test_what_is_no_address_is_refused(bad: str) -> None:
    with pytest.raises(UnrenderableValueError, match="no address to listen on"):
        addresses.parse(bad)


def test_the_watchdog_binds_listeners_and_admin() -> None:
    found = listens(config("127.0.0.1:80", "[::1]:80", admin="127.0.0.1:9180"))
    assert [addresses.text(listen) for listen in found] == ["127.0.0.1:80", "[::1]:80", "127.0.0.1:9180"]


def test_an_address_that_another_one_covers_is_not_bound_twice() -> None:
    """nginx takes such clients from the wildcard socket; the families do not mix."""
    found = listens(config("127.0.0.1:80", "*:80", "[::1]:80", "127.0.0.1:81", admin="10.0.0.1:80"))
    assert [addresses.text(listen) for listen in found] == ["0.0.0.0:80", "[::1]:80", "127.0.0.1:81"]


@pytest.mark.parametrize("twins", [("*:80", "0.0.0.0:80"), ("[::1]:80", "[0::1]:80")])
def test_one_address_twice_is_refused(twins: tuple[str, str]) -> None:
    with pytest.raises(UnrenderableValueError, match="listened on twice"):
        listens(config(*twins))
    with pytest.raises(UnrenderableValueError, match="listened on twice"):
        listens(config(twins[0], admin=twins[1]))


@pytest.mark.parametrize("mode", ["external", "off"])
def test_nothing_is_bound_for_somebody_elses_nginx(mode: str) -> None:
    assert listens(config("*:80", mode=mode)) == []


@pytest.mark.parametrize(
    ("made", "shown"),
    [
        (config("127.0.0.1:8080"), "http://127.0.0.1:8080/"),
        (config("*:8080", base_uri="/blog"), "http://127.0.0.1:8080/blog"),
        (config("[::]:80"), "http://[::1]/"),
        (config("[2001:db8::1]:8080"), "http://[2001:db8::1]:8080/"),
        (config("*:443", tls=True, server_names=("a.example.com",)), "https://a.example.com/"),
        (config("*:80", tls=True, server_names=("a.example.com",)), "https://a.example.com:80/"),
        (config("*:80", server_names=("*.example.com", "b.example.com")), "http://b.example.com/"),
        (config("*:80", server_names=("*.example.com",)), "http://www.example.com/"),
        (config("*:80", mode="off"), ""),
        (config(), ""),
    ],
)
def test_url(made: InstanceConfig, shown: str) -> None:
    """What a person would type into a browser."""
    assert url(made, "blog") == shown
    assert urls(made) == ({"blog": shown} if shown else {})
