"""How requests for another protocol (WebSocket) get from nginx to the core: by HTTP, to the socket `request_http`.

Rules.
1. Only applications that may speak HTTP have this way; everybody else's `Upgrade` header means nothing.
2. A request takes it when it has `Connection: upgrade` and names exactly one protocol, and that is neither HTTP/2
   (`h2c`) nor TLS: through those a client would talk past every check of headers. All others stay ordinary requests.
3. What the core must know stands in `X-Passenger-*` headers that replace the client's; the client's own word about
   proxies is dropped. `Host` is passed beside them as the client sent it, since applications compare it to `Origin`.
4. nginx never ends a tunnel by itself: it has one limit for the answer and for the time after it, of which the first
   is `response_timeout` and the second `websocket_idle_timeout`. The core keeps both, and can say 1001.
5. Should `map` define the variable twice (two instances in one nginx of somebody else), both say the same.
"""

from __future__ import annotations

from typing import Final

from passenger.config.model import App
from passenger.webserver.proxies import ClientFacts
from passenger.webserver.scgi import AWAY, DROPPED_HEADERS, IGNORED_HEADERS, Hop, on, seconds_text
from passenger.webserver.tree import Directive, Expression, Fixed, block, directive, nginx_quote

WANTED: Final = "$passenger_upgrade"
PATIENCE: Final = 365 * 24 * 3600.0
"""Seconds; nginx has no word for ever."""

_ASKED: Final = (
    r"~*^(?:[^;]*,)?[ \t]*upgrade[ \t]*(?:,[^;]*)?;(?!h2c?$|http/|tls/)[-!#$%&'*+.^_`|~0-9a-z]+(?:/[-.0-9a-z]+)?$"
)
_STATUS: Final = "418"
"""Never seen by anybody: nginx's way of saying `go there`."""


def upstream_name(hop: Hop) -> str:
    return f"{hop.upstream}_upgrade"


def upgrade_file(name: str) -> str:
    """Name of the file that holds how upgrade requests get to an application."""
    return f"upgrade-{name}.conf"


def location_name(name: str) -> str:
    """The named location that includes it."""
    return f"@upgrade_{name}"


def in_http(hop: Hop, request_http_socket: str) -> list[Directive]:
    """What stands once beside the servers: the question, and the core's socket (twice, as in `scgi.upstream`)."""
    answers = (
        directive("default", ""),
        directive(nginx_quote(Expression(_ASKED)), "1"),
    )
    server = directive("server", Fixed(f"unix:{request_http_socket}"), "max_fails=0")
    return [
        block("map", Expression("$http_connection;$http_upgrade"), Expression(WANTED), body=answers),
        block("upstream", upstream_name(hop), body=(server, server)),
    ]


def turn_off(name: str) -> list[Directive]:
    """In every location that hands a request to the application: upgrades go elsewhere."""
    return [
        block("if", Expression(f"({WANTED})"), body=[directive("return", _STATUS)]),
        directive("error_page", _STATUS, "=", location_name(name)),
        directive("recursive_error_pages", "on"),
    ]


def upgrade_location(name: str, folder: str) -> Directive:
    return block("location", location_name(name), body=[directive("include", Fixed(f"{folder}{upgrade_file(name)}"))])


def upgrade_pass(hop: Hop, name: str, app: App) -> list[Directive]:
    """The file of an application."""
    retry = (
        [
            directive("proxy_next_upstream", "error", "timeout"),
            directive("proxy_next_upstream_tries", "2"),
            directive("proxy_next_upstream_timeout", "5s"),
        ]
        if hop.retry
        else [directive("proxy_next_upstream", "off")]
    )
    dropped = [header.removeprefix("HTTP_").replace("_", "-").title() for header in DROPPED_HEADERS]
    return [
        directive("client_max_body_size", str(app.nginx.client_max_body_size)),
        directive("proxy_pass", f"http://{upstream_name(hop)}"),
        directive("proxy_http_version", "1.1"),
        directive("proxy_connect_timeout", "5s"),
        directive("proxy_read_timeout", seconds_text(PATIENCE)),
        directive("proxy_send_timeout", seconds_text(PATIENCE)),
        *retry,
        directive("proxy_buffering", on(False)),
        directive("proxy_buffer_size", "32k"),
        directive("proxy_buffers", "16", "32k"),
        directive("proxy_redirect", "off"),
        directive("proxy_intercept_errors", on(False)),
        directive("proxy_ignore_client_abort", on(False)),
        directive("proxy_ignore_headers", *IGNORED_HEADERS),
        directive("error_page", "502", "504", AWAY),
        directive("proxy_set_header", "X-Passenger-Connect-Secret", hop.secret),
        directive("proxy_set_header", "X-Passenger-App", name),
        *(directive("proxy_set_header", header, Expression(value)) for header, value in _facts(hop.client)),
        *_trust(hop),
        *(directive("proxy_set_header", header, "") for header in dropped),
    ]


def _trust(hop: Hop) -> list[Directive]:
    """The secret and `1` where a trusted proxy sent the request: no client can say that, whatever it sends."""
    if not hop.client.spoken_for:
        return []
    return [
        directive("proxy_set_header", "X-Passenger-Trusted-Proxy", Expression(f"{hop.secret}{hop.client.spoken_for}"))
    ]


def _facts(client: ClientFacts) -> tuple[tuple[str, str], ...]:
    return (
        ("X-Passenger-Host", client.host),
        ("X-Passenger-Server-Name", "$host"),
        ("X-Passenger-Server-Port", client.port),
        ("X-Passenger-Server-Protocol", "$server_protocol"),
        ("X-Passenger-Client-Address", "$remote_addr"),
        ("X-Passenger-Client-Port", "$remote_port"),
        ("X-Passenger-Scheme", client.scheme),
        ("X-Request-Id", client.request_id),
        ("X-Request-Start", "t=$msec"),
        ("Host", "$host"),
        ("Connection", "upgrade"),
        ("Upgrade", "$http_upgrade"),
    )
