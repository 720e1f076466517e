"""How nginx talks to the core: the upstream and the SCGI parameters.

Rules.
1. The order of the parameters is part of the protocol: the core's fast path expects CONTENT_LENGTH (nginx puts it
   first by itself), SCGI, PASSENGER_CONNECT_SECRET, PASSENGER_APP, then the list of `_request_parameters`, in which
   what telemetry needs of every request comes first. `traceparent` has a place of its own so that the core need not
   search for it: where it is not there, the client has sent none.
2. The client's word is taken for its headers only. Names that an application might mistake for facts of the
   connection (`Proxy`, `Forwarded`, `X-Forwarded-*`, `X-Real-IP`) or of ours (`X-Queue-Time`) are dropped: a parameter
   of the same name without a value keeps nginx from sending the header. What a trusted proxy says about the client
   comes as facts (`proxies`).
3. The request socket is listed twice, so that a request that met a crashing core is tried once more (fact N10);
   nginx itself never does that to POST, LOCK and PATCH once something was sent.
4. nginx waits longer than the core: whoever is late, the core gives the answer.
"""

from __future__ import annotations

import math
from typing import Final

from passenger.config.model import App
from passenger.lazy_dataclass import dataclass
from passenger.webserver.proxies import ClientFacts
from passenger.webserver.tree import Directive, Expression, Fixed, block, directive

PARAMETERS_FILE: Final = "scgi_params"
AWAY: Final = "@passenger_away"
RETRY_AFTER: Final = 3
"""Seconds; a crashed core is back sooner."""

_LONGEST: Final = 24 * 3600.0
"""Seconds nginx waits when the application has no time limit."""

_PATIENCE: Final = 30.0
"""Seconds that nginx waits longer than the core."""

DROPPED_HEADERS: Final = (
    "HTTP_PROXY",
    "HTTP_FORWARDED",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PORT",
    "HTTP_X_FORWARDED_PREFIX",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_FORWARDED_SSL",
    "HTTP_X_REAL_IP",
    "HTTP_X_QUEUE_TIME",
)


IGNORED_HEADERS: Final = ("X-Accel-Redirect", "X-Accel-Expires", "X-Accel-Charset", "X-Accel-Limit-Rate")
"""Of responses; they would have nginx do something."""


def upstream_name(instance: str) -> str:
    """Name of the upstream of an instance."""
    return f"passenger_{instance}"


def upstream(instance: str, request_socket: str) -> Directive:
    """The core's request socket, twice (rule 3). `max_fails=0`: the watchdog knows better when it is back."""
    server = directive("server", Fixed(f"unix:{request_socket}"), "max_fails=0")
    return block("upstream", upstream_name(instance), body=(server, server))


def request_parameters(client: ClientFacts) -> list[Directive]:
    """The parameters that are the same for every application: the file `scgi_params`."""
    parameters = [
        directive("scgi_param", name, Expression(value), *(("if_not_empty",) if optional else ()))
        for name, value, optional in _request_parameters(client)
    ]
    return parameters + [directive("scgi_param", name, "", "if_not_empty") for name in DROPPED_HEADERS]


def _request_parameters(client: ClientFacts) -> tuple[tuple[str, str, bool], ...]:
    """(name, value, left out when empty), in the order in which the core gets them."""
    return (
        ("HTTP_X_REQUEST_ID", client.request_id, False),
        ("HTTP_X_REQUEST_START", "t=$msec", False),
        ("HTTP_TRACEPARENT", "$http_traceparent", True),
        ("REQUEST_METHOD", "$request_method", False),
        ("REQUEST_URI", "$request_uri", False),
        ("QUERY_STRING", "$query_string", False),
        ("CONTENT_TYPE", "$content_type", False),
        ("SERVER_NAME", "$host", False),
        ("SERVER_PORT", client.port, False),
        ("SERVER_PROTOCOL", "$server_protocol", False),
        ("REMOTE_ADDR", "$remote_addr", False),
        ("REMOTE_PORT", "$remote_port", False),
        ("REQUEST_SCHEME", client.scheme, False),
        ("HTTPS", client.https, True),
        ("HTTP_HOST", client.host, True),
        *((("TRUSTED_PROXY", client.spoken_for, True),) if client.spoken_for else ()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """What every hand-over to the core of one instance has in common."""

    upstream: str
    secret: str
    retry: bool
    folder: str
    """Where included files are: "" = beside the file that includes them, else an absolute path with a slash."""
    client: ClientFacts


def app_pass(hop: Hop, name: str, app: App) -> list[Directive]:
    """What a location needs to hand a request to an application: the file of that application."""
    return [
        directive("client_max_body_size", str(app.nginx.client_max_body_size)),
        directive("scgi_request_buffering", on(app.nginx.request_buffering)),
        directive("scgi_buffering", on(app.nginx.response_buffering)),
        *([directive("expires", "off")] if app.nginx.static_max_age else []),
        *_hand_over(hop, name, seconds=patience(app)),
    ]


def patience(app: App) -> float:
    """Seconds that a web server waits for the core (rule 4)."""
    limit = app.response_timeout + app.start_timeout if app.response_timeout else _LONGEST
    return min(limit + _PATIENCE, _LONGEST)


def probe_pass(hop: Hop, probe: str) -> list[Directive]:
    """Hand a request to one of the core's probes, whose names no application can have."""
    return _hand_over(hop, f":{probe}", seconds=_PATIENCE)


def away_location() -> Directive:
    """The answer when the core cannot be reached; the status stays the one nginx found (502 or 504)."""
    page = (
        "<!DOCTYPE html><html lang=en><meta charset=utf-8><title>Temporarily unavailable</title>"
        "<h1>Temporarily unavailable</h1><p>Please try again in a moment.</p></html>"
    )
    body = (
        directive("internal"),
        directive("default_type", "text/html"),
        directive("add_header", "Retry-After", str(RETRY_AFTER), "always"),
        directive("add_header", "Cache-Control", "no-store", "always"),
        directive("return", "503", page),
    )
    return block("location", AWAY, body=body)


def on(flag: bool) -> str:  # noqa: FBT001 - a value, not an option
    """A boolean as nginx writes it."""
    return "on" if flag else "off"


def seconds_text(seconds: float) -> str:
    """A duration as nginx writes it, in whole seconds, never shorter than asked for."""
    return f"{math.ceil(seconds)}s"


def _hand_over(hop: Hop, target: str, *, seconds: float) -> list[Directive]:
    retry = (
        [
            directive("scgi_next_upstream", "error", "timeout"),
            directive("scgi_next_upstream_tries", "2"),
            directive("scgi_next_upstream_timeout", "5s"),
        ]
        if hop.retry
        else [directive("scgi_next_upstream", "off")]
    )
    return [
        directive("scgi_pass", hop.upstream),
        directive("scgi_connect_timeout", "5s"),
        directive("scgi_read_timeout", seconds_text(seconds)),
        directive("scgi_send_timeout", seconds_text(seconds)),
        *retry,
        directive("scgi_buffer_size", "32k"),
        directive("scgi_buffers", "16", "32k"),
        directive("scgi_pass_request_headers", "on"),
        directive("scgi_pass_request_body", "on"),
        directive("scgi_intercept_errors", "off"),
        directive("scgi_ignore_client_abort", "off"),
        directive("scgi_ignore_headers", *IGNORED_HEADERS),
        directive("error_page", "502", "504", AWAY),
        directive("scgi_param", "SCGI", "1"),
        directive("scgi_param", "PASSENGER_CONNECT_SECRET", hop.secret),
        directive("scgi_param", "PASSENGER_APP", target),
        directive("include", Fixed(f"{hop.folder}{PARAMETERS_FILE}")),
    ]
