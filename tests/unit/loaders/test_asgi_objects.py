"""What the ASGI loader takes for an application, and what it says of everything else. Nothing is called to find out."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
from passenger_asgi_loader.application import fault_of, is_asgi, module_name
from passenger_asgi_loader.front import Front, client


async def function(scope: Any, receive: Any, send: Any) -> None: ...


async def with_more(scope: Any, receive: Any, send: Any, flavour: str = "sweet") -> None: ...


async def configured(flavour: str, scope: Any, receive: Any, send: Any) -> None: ...


def returns_awaitable(scope: Any, receive: Any, send: Any) -> Any: ...


def wrapped(*args: Any, **kwargs: Any) -> Any: ...


class Asynchronous:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


class Handing:
    def __call__(self, scope: Any, receive: Any, send: Any) -> Any: ...


class Awaited:
    def __init__(self, scope: Any, receive: Any, send: Any) -> None: ...

    def __await__(self) -> Any: ...


class OldStyle:
    def __init__(self, scope: Any) -> None: ...

    async def __call__(self, receive: Any, send: Any) -> None: ...


class Wsgi:
    def __call__(self, environ: Any, start_response: Any) -> Any: ...


def old_style(scope: Any) -> Any: ...


def wsgi(environ: Any, start_response: Any) -> Any: ...


def factory() -> Any: ...


async def lonely() -> None: ...


GOOD = [
    function,
    with_more,
    functools.partial(configured, "sour"),
    returns_awaitable,
    Asynchronous(),
    Asynchronous().__call__,
    Handing(),
    Awaited,
    Front(function, "/"),
]


@pytest.mark.parametrize("app", GOOD)
def test_asgi_3_is_served(app: Any) -> None:
    """In every form in which the specification allows to write it."""
    assert fault_of(app) is None
    assert is_asgi(app)


def test_a_wrapper_of_any_arguments_is_believed_but_does_not_say_so_itself() -> None:
    """With `app_type = "asgi"` it is served; where the kind is to be found out, it is no ASGI application."""
    assert fault_of(wrapped) is None
    assert not is_asgi(wrapped)


@pytest.mark.parametrize(
    ("app", "words"),
    [
        (old_style, "ASGI 2"),
        (OldStyle, "ASGI 2"),
        (wsgi, 'app_type = "wsgi"'),
        (Wsgi(), 'app_type = "wsgi"'),
        (factory, "factory()"),
        (Asynchronous, "application = Asynchronous(...)"),
        (Wsgi, "factory()"),
        (lonely, "takes 0 arguments, not scope, receive and send"),
        (lambda a, b, c, d: None, "takes 4 arguments"),
        (42, "cannot be called"),
        (None, "cannot be called"),
    ],
)
def test_everything_else_is_explained(app: Any, words: str) -> None:
    """In words that say what to write instead."""
    assert words in (fault_of(app) or "")
    assert not is_asgi(app)


def test_the_startup_file_is_a_module_of_its_own_name() -> None:
    """Unless the name is no identifier or taken, be it by the standard library."""
    assert module_name("/srv/blog/asgi_of_blog.py") == "asgi_of_blog"
    assert module_name("/srv/blog/my-app.py") == "passenger_asgi"
    assert module_name("/srv/blog/functools.py") == "passenger_asgi"


@pytest.mark.parametrize(
    ("forwarded", "found"),
    [
        (b"192.0.2.7", ("192.0.2.7", 0)),
        (b"10.0.0.1, 192.0.2.7", ("192.0.2.7", 0)),
        (b"10.0.0.1,2001:db8::7 ", ("2001:db8::7", 0)),
        (b"", None),
        (b"unix:", None),
    ],
)
def test_the_client_is_the_last_address(forwarded: bytes, found: Any) -> None:
    """The one that the core has added: whatever stands before it, a client may have written."""
    assert client(forwarded) == found


@pytest.mark.parametrize(
    ("kind", "headers", "scheme", "server"),
    [
        ("http", {}, "http", ("localhost", 80)),
        ("http", {b"x-forwarded-proto": b"https"}, "https", ("localhost", 443)),
        ("http", {b"x-forwarded-proto": b"https", b"x-forwarded-port": b"8443"}, "https", ("localhost", 8443)),
        ("http", {b"x-forwarded-proto": b"gopher", b"x-forwarded-port": b"-1"}, "http", ("localhost", 80)),
        ("websocket", {}, "ws", ("localhost", 80)),
        ("websocket", {b"x-forwarded-proto": b"https"}, "wss", ("localhost", 443)),
    ],
)
def test_scheme_and_server(kind: str, headers: dict[bytes, bytes], scheme: str, server: Any) -> None:
    """From the core's headers; the secret path of our own socket is replaced."""
    seen: list[Any] = []
    app: Callable[..., Any] = lambda scope, receive, send: seen.append(scope)  # noqa: E731
    Front(app, "/blog/")({"type": kind, "headers": list(headers.items()), "server": ("/secret", None)}, None, None)
    assert (seen[0]["scheme"], seen[0]["server"]) == (scheme, server)
    assert seen[0]["root_path"] == "/blog"
