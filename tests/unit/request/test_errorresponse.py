"""Responses of the core itself: what they say, and what they never say."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from passenger.config.model import App
from passenger.pool.session import Refusal, RefusalReason
from passenger.request import errorresponse
from passenger.request.routes import Route, routes_of
from passenger.request.wheel import NEVER, ticks
from passenger.spawn.spawner import SpawnError


def route(page: bytes | None = None, **keys: object) -> Route:
    pages = {} if page is None else {"blog": page}
    return routes_of({"blog": App(app_root="/", **keys)}, pages)[b"blog"]  # type: ignore[arg-type]


PRODUCTION = route()
DEVELOPMENT = route(app_env="development")
FAILURE = SpawnError(
    "the application failed while loading <script>",
    category="app",
    error_id="a1b2c3",
    steps=(("fork and exec", "done", 0.01), ("load the application", "failed", 1.5), ("announce", "not started", 0.0)),
    output="Traceback <b>SECRET_KEY</b> \udce4",
    hint="Fix it & try again",
)


def split(data: bytes) -> tuple[int, dict[str, str], str]:
    head, body = data.split(b"\r\n\r\n", 1)
    lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    assert headers["Content-Length"] == str(len(body))
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "no-store" in headers["Cache-Control"]
    return int(lines[0].split()[1]), headers, body.decode()


def test_routes_hold_what_the_hot_path_needs() -> None:
    assert (
        Route(
            name="blog",
            base_uri=b"",
            response_ticks=ticks(600.0),
            rest_ticks=ticks(3600.0),
            queue_ticks=NEVER,
            request_ticks=NEVER,
            queue_full_status=503,
            queue_time_status=504,
            spawn_failed_status=500,
            explains_errors=False,
            door=None,
            hold_ticks=NEVER,
            page=None,
        )
        == PRODUCTION
    )
    assert route(base_uri="/blog").base_uri == b"/blog"
    assert route(response_timeout=0.0).response_ticks == NEVER
    assert route(websocket_idle_timeout=0.0).rest_ticks == NEVER
    assert route(max_request_time=2.0).request_ticks == ticks(2.0)
    assert route(max_request_queue_time=3.0).queue_ticks == ticks(3.0)
    assert DEVELOPMENT.explains_errors
    assert not route(app_env="development", friendly_error_pages=False).explains_errors
    assert route(friendly_error_pages=True).explains_errors


def test_spawn_error_says_nothing_but_its_id_in_production() -> None:
    status, headers, body = split(
        errorresponse.refused(Refusal(RefusalReason.SPAWN_FAILED, "blog", error=FAILURE), PRODUCTION)
    )
    assert status == 500
    assert "Retry-After" not in headers
    assert "a1b2c3" in body
    for word in ("SECRET_KEY", "Traceback", "Fix it", "loading", "blog"):
        assert word not in body


def test_spawn_error_explains_everything_in_development_and_escapes_it() -> None:
    _, _, body = split(errorresponse.refused(Refusal(RefusalReason.SPAWN_FAILED, "blog", error=FAILURE), DEVELOPMENT))
    for text in (
        "loading &lt;script&gt;",
        "Traceback &lt;b&gt;SECRET_KEY",
        "Fix it &amp; try",
        "1.500 s",
        "not started",
        "a1b2c3",
    ):
        assert text in body
    assert "<script" not in body


@pytest.mark.parametrize(
    ("refusal", "status", "retry_after"),
    [
        (Refusal(RefusalReason.QUEUE_FULL, "blog"), 503, "1"),
        (Refusal(RefusalReason.QUEUE_FULL, "blog", retry_after=7), 503, "7"),
        (Refusal(RefusalReason.BACKING_OFF, "blog", retry_after=4), 503, "4"),
        (Refusal(RefusalReason.BACKING_OFF, "blog", retry_after=4, error=FAILURE), 500, "4"),
        (Refusal(RefusalReason.STOPPING, "blog"), 503, "1"),
        (Refusal(RefusalReason.UNKNOWN_APP, "blog"), 503, "1"),
        (Refusal(RefusalReason.SPAWN_FAILED, "blog"), 500, None),
    ],
)
def test_refusals(refusal: Refusal, status: int, retry_after: str | None) -> None:
    """Each reason has its status, and says when to come again where that makes sense."""
    got, headers, _ = split(errorresponse.refused(refusal, PRODUCTION))
    assert got == status
    assert headers.get("Retry-After") == retry_after


@pytest.mark.parametrize("status", [400, 502, 503, 504])
def test_errors_give_their_reason_only_where_errors_are_explained(status: int) -> None:
    for shown, where in ((True, DEVELOPMENT), (False, PRODUCTION), (False, None)):
        got, _, body = split(errorresponse.error(status, route=where, reason="because <i>"))
        assert got == status
        assert ("because &lt;i&gt;" in body) == shown
        assert "<i>" not in body


def test_probes_are_plain_text() -> None:
    status, headers, body = split(errorresponse.plain(503, "starting"))
    assert (status, body) == (503, "starting\n")
    assert headers["Content-Type"].startswith("text/plain")


def test_statuses_are_the_ones_of_the_configuration() -> None:
    """Also those that nobody has registered."""
    own = route(
        request_queue_overflow_status_code=429, request_queue_timeout_status_code=529, spawn_exception_status_code=503
    )
    full = split(errorresponse.refused(Refusal(RefusalReason.QUEUE_FULL, "blog"), own))
    assert (full[0], full[1]["Retry-After"]) == (429, "1")
    assert split(errorresponse.refused(Refusal(RefusalReason.SPAWN_FAILED, "blog", error=FAILURE), own))[0] == 503
    late = errorresponse.waited_too_long(own)
    assert late.startswith(b"HTTP/1.1 529 Server Error\r\n")
    assert split(late)[1]["Retry-After"] == "1"
    assert errorresponse.waited_too_long(route()).startswith(b"HTTP/1.1 504 Gateway Timeout\r\n")


PAGE = "<h1>So sorry ä</h1>".encode()


def test_an_own_page_takes_the_place_of_ours() -> None:
    """From 500 on, where nothing is explained; it may load what it likes."""
    own = route(PAGE, request_queue_overflow_status_code=429)
    for data, status in (
        (errorresponse.error(502, route=own), 502),
        (errorresponse.error(504, route=own), 504),
        (errorresponse.refused(Refusal(RefusalReason.SPAWN_FAILED, "blog", error=FAILURE), own), 500),
        (errorresponse.refused(Refusal(RefusalReason.BACKING_OFF, "blog", retry_after=4), own), 503),
    ):
        head, _, body = data.partition(b"\r\n\r\n")
        assert head.startswith(f"HTTP/1.1 {status} ".encode())
        assert body == PAGE
        assert f"Content-Length: {len(PAGE)}".encode() in head
        assert b"no-store" in head
        assert b"Content-Security-Policy" not in head
    assert PAGE not in errorresponse.error(400, route=own)
    assert PAGE not in errorresponse.refused(Refusal(RefusalReason.QUEUE_FULL, "blog"), own)
    assert PAGE not in errorresponse.error(502, route=route(PAGE, app_env="development"), reason="why")


def test_a_page_names_its_request() -> None:
    """As the access log does; not when the id is none, and not on a page of the application's own."""
    refusal = Refusal(RefusalReason.QUEUE_FULL, "blog")
    ways: list[Callable[[str], bytes]] = [
        lambda name: errorresponse.error(502, route=PRODUCTION, request_id=name),
        lambda name: errorresponse.waited_too_long(PRODUCTION, request_id=name),
        lambda name: errorresponse.queue_full(PRODUCTION, name),
        lambda name: errorresponse.refused(refusal, PRODUCTION, name),
    ]
    for way in ways:
        assert (
            "<p>Request ID: <code>0af7651916cd43dd8448eb211c80319c</code></p>"
            in split(way("0af7651916cd43dd8448eb211c80319c"))[2]
        )
        for none in ("", "<script>", "a b", "x" * 129):
            assert "Request ID" not in split(way(none))[2]
    assert b"Request ID" not in errorresponse.error(502, route=route(b"ours"), request_id="abc")
