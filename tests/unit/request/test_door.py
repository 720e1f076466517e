"""What is special about an application's requests: cookies, paths, gates."""

from __future__ import annotations

from typing import Any

import pytest

from passenger.config.model import App
from passenger.request.door import Door, RouteCookie, door_of, is_secure, value_of
from passenger.request.gate import Gate, Maintenance, Pause
from passenger.request.routes import routes_of
from passenger.request.traffic import Traffic
from passenger.request.wheel import NEVER, ticks


def door(**keys: Any) -> Door:
    found = door_of(App(app_root="/", **keys), None)
    assert found is not None
    return found


def pairs(*extra: str, path: str = "/") -> bytes:
    return "".join(f"{item}\0" for item in ("SCRIPT_NAME", "", "PATH_INFO", path, *extra)).encode("latin-1")


def test_the_usual_application_has_none() -> None:
    assert door_of(App(app_root="/"), None) is None


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("route=abc", ("abc",)),
        ('a=b; route="abc" ;c=d', ("abc",)),
        ("route=one; route=two", ("one", "two")),
        ("xroute=abc; route2=abc; Route=abc", ()),
        ("route", ("",)),
        ("", ()),
        ("route=a=b", ("a=b",)),
        ("route=\xff", ("\xff",)),
    ],
)
def test_reads_every_cookie_of_its_name(header: str, found: tuple[str, ...]) -> None:
    cookie = RouteCookie(b"route", "/", "")
    assert cookie.read(pairs("HTTP_COOKIE", header)) == found


def test_a_value_is_never_taken_for_the_name_of_the_header() -> None:
    cookie = RouteCookie(b"route", "/", "")
    assert cookie.read(pairs("HTTP_X", "HTTP_COOKIE", "HTTP_Y", "route=abc")) == ()


@pytest.mark.parametrize(
    ("attributes", "secure", "line"),
    [
        ("HttpOnly; SameSite=Lax", False, b"Set-Cookie: r=v; Path=/blog; HttpOnly; SameSite=Lax\r\n"),
        ("HttpOnly; SameSite=Lax", True, b"Set-Cookie: r=v; Path=/blog; HttpOnly; SameSite=Lax; Secure\r\n"),
        ("SameSite=None; secure", True, b"Set-Cookie: r=v; Path=/blog; SameSite=None; secure\r\n"),
        ("", False, b"Set-Cookie: r=v; Path=/blog\r\n"),
        ("; Max-Age=3600;", False, b"Set-Cookie: r=v; Path=/blog; Max-Age=3600\r\n"),
    ],
)
def test_the_cookie_that_is_set(attributes: str, secure: bool, line: bytes) -> None:  # noqa: FBT001
    special = door(
        sticky_sessions=True,
        sticky_sessions_cookie_name="r",
        sticky_sessions_cookie_attributes=attributes,
        base_uri="/blog",
    )
    assert special.cookie is not None
    assert special.cookie.line("v", is_secure=secure) == line


@pytest.mark.parametrize(
    ("path", "is_unlimited"),
    [("/events", True), ("/events/", True), ("/events/1", True), ("/eventsource", False), ("/", False), ("/x", False)],
)
def test_a_path_means_whole_parts(path: str, is_unlimited: bool) -> None:  # noqa: FBT001
    assert door(unlimited_concurrency_paths=("/events/",)).is_unlimited(pairs(path=path)) is is_unlimited


def test_the_root_means_everything() -> None:
    assert door(unlimited_concurrency_paths=("/",)).is_unlimited(pairs(path="/anything"))


def test_https_is_what_the_web_server_says() -> None:
    assert is_secure(pairs("REQUEST_SCHEME", "https"))
    assert is_secure(pairs("REQUEST_SCHEME", "http", "HTTPS", "on"))
    assert not is_secure(pairs("REQUEST_SCHEME", "http", "HTTP_X_SCHEME", "https"))
    assert value_of(pairs("A", "1", "A", "2"), b"A") == b"1"


def maintenance(*allow: str) -> Maintenance:
    return Maintenance(since=1.0, retry_after=60, page="<p>", allow=allow)


@pytest.mark.parametrize(
    ("address", "passes"),
    [
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("fd00::1", True),
        ("fe80::1", False),
        ("unix:", False),
        ("", False),
    ],
)
def test_who_may_pass_during_maintenance(address: str, passes: bool) -> None:  # noqa: FBT001
    gate = Gate()
    gate.maintain(maintenance("192.0.2.7", "10.0.0.0/8", "fd00::/8"))
    assert gate.lets_in(address) is passes


def test_a_gate_survives_in_words() -> None:
    gate, next_gate = Gate(), Gate()
    gate.pause = Pause(since=5.0, hold=2.0)
    gate.maintain(maintenance("192.0.2.7"))
    kept = gate.kept()
    assert kept is not None
    next_gate.restore(kept)
    assert next_gate.kept() == kept
    assert next_gate.lets_in("192.0.2.7")


def test_the_pause_says_how_long_a_request_is_held_and_not_the_queue() -> None:
    paused, open_gate = Gate(), Gate()
    paused.pause = Pause(since=5.0, hold=2.0)
    open_gate.maintain(maintenance("192.0.2.7"))
    app = App(app_root="/", max_request_queue_time=0.5)
    routes = routes_of({"a": app, "b": app}, {}, {"a": paused, "b": open_gate})
    assert (routes[b"a"].queue_ticks, routes[b"a"].hold_ticks) == (NEVER, ticks(2.0))
    assert (routes[b"b"].queue_ticks, routes[b"b"].hold_ticks) == (ticks(0.5), NEVER)


class Held:
    def __init__(self, name: str, passed: list[str]) -> None:
        self.name = name
        self._passed = passed

    def pass_on(self) -> None:
        self._passed.append(self.name)


def test_gates_are_there_only_while_they_are_closed() -> None:
    changes: list[int] = []
    traffic = Traffic(lambda: changes.append(len(traffic.gates)))
    traffic.pause("a", Pause(since=1.0, hold=2.0))
    traffic.maintain("a", maintenance())
    assert traffic.resume("a") == 0
    assert traffic.maintain("a", None)
    assert not traffic.maintain("a", None)
    assert traffic.resume("a") == 0
    assert not traffic.gates
    assert changes == [1, 1, 1, 0]


def test_held_requests_go_on_in_order_when_it_opens_or_its_application_goes() -> None:
    passed: list[str] = []
    traffic = Traffic(lambda: None)
    for name in ("a", "b", "c"):
        traffic.pause(name, Pause(since=1.0, hold=2.0))
        for number in (1, 2):
            traffic.gates[name].held[Held(f"{name}{number}", passed)] = None
    assert traffic.resume("a") == 2
    assert traffic.only(["a", "c"]) == ["b"]
    assert passed == ["a1", "a2", "b1", "b2"]
    traffic.open_pauses()
    assert passed[4:] == ["c1", "c2"]
    assert not traffic.gates
