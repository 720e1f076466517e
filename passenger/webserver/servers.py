"""The server blocks: one per site and per set of listeners that share a certificate.

Rules.
1. Every listener serves every site. A listener's certificate and its PROXY protocol belong to all of its servers.
2. Exactly one server of a listener is its default server: the default site, else one that answers 404.
3. Options of a socket (`ipv6only`) stand in the default server only; nginx refuses them twice.
4. Header hygiene is said in every server, so that an `http` block of somebody else cannot loosen it.
5. HTTP/0.9, which has neither headers nor a protocol name, is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from passenger.config.instance import Admin, Listener, Nginx
from passenger.lazy_dataclass import dataclass
from passenger.webserver import addresses, proxies
from passenger.webserver.scgi import Hop, away_location, on, probe_pass
from passenger.webserver.sites import Site
from passenger.webserver.tree import Directive, Expression, UnrenderableValueError, block, directive

PROBES: Final = ("livez", "readyz", "startupz")
DASHBOARD: Final = ("dashboard", "dashboard/events", "dashboard/output", "dashboard/act")

_FALLBACK_NAME: Final = "localhost"
"""What `$host` is for a client that names no host (HTTP/1.0)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerSet:
    """Listeners that share a certificate, or that have none, and that alike speak PROXY protocol or do not."""

    listeners: tuple[Listener, ...]
    http2: bool
    real_ip: tuple[Directive, ...] = ()
    """Who may say that the client is somebody else."""

    @property
    def proxy_protocol(self) -> bool:
        return self.listeners[0].proxy_protocol

    @property
    def tls(self) -> tuple[str, str] | None:
        return tls_files(self.listeners[0])


def listener_sets(nginx: Nginx, *, http2: bool) -> list[ListenerSet]:
    """The listeners, grouped. Raises UnrenderableValueError for a certificate without key and for twins."""
    addresses.refuse_twins([addresses.parse(listener.address) for listener in nginx.listen])
    grouped: dict[tuple[object, bool], list[Listener]] = {}
    for listener in nginx.listen:
        grouped.setdefault((tls_files(listener), listener.proxy_protocol), []).append(listener)
    return [
        ListenerSet(
            listeners=tuple(listeners),
            http2=http2,
            real_ip=tuple(proxies.in_server(nginx, proxy_protocol=proxy_protocol)),
        )
        for (_, proxy_protocol), listeners in grouped.items()
    ]


def site_server(site: Site, listeners: ListenerSet, *, taken: frozenset[str], body: Sequence[Directive]) -> Directive:
    """The server of a site on a set of listeners."""
    default = not site.names
    names = site.names or ((_FALLBACK_NAME,) if _FALLBACK_NAME not in taken else ("_",))
    return block(
        "server",
        body=[
            *_listen(listeners, default=default),
            directive("server_name", *names),
            *_hygiene(),
            *listeners.real_ip,
            *body,
        ],
    )


def catch_all_server(listeners: ListenerSet) -> Directive:
    """The default server when no application answers for unknown hosts."""
    nothing = block("location", "/", body=[directive("return", "404")])
    return block(
        "server",
        body=[
            *_listen(listeners, default=True),
            directive("server_name", "_"),
            *_hygiene(),
            *listeners.real_ip,
            nothing,
        ],
        comment="no application answers for other host names",
    )


def nothing_at_the_root() -> Directive:
    """For a site whose applications all live below a base URI."""
    return block("location", "/", body=[directive("return", "404")])


def own_pages(admin: Admin) -> tuple[str, ...]:
    """What the core answers itself on the listener of the administration."""
    return (*PROBES, *(("metrics",) if admin.metrics else ()), *(DASHBOARD if admin.dashboard else ()))


def admin_server(admin: Admin, hop: Hop) -> list[Directive]:
    """The probes' own server; nothing when there is no such listener."""
    if admin.listen is None:
        return []
    listener = ListenerSet(listeners=(Listener(address=admin.listen),), http2=False)
    pages = [block("location", "=", f"/{page}", body=probe_pass(hop, page)) for page in own_pages(admin)]
    body = [
        *_listen(listener, default=True),
        directive("server_name", "_"),
        *_hygiene(),
        directive("access_log", "off"),
        away_location(),
        *pages,
        nothing_at_the_root(),
    ]
    return [block("server", body=body, comment="probes; keep this off the public network")]


def _listen(listeners: ListenerSet, *, default: bool) -> list[Directive]:
    lines = []
    for listener in listeners.listeners:
        address = addresses.parse(listener.address)
        words = [addresses.text(address)]
        words += ["default_server"] if default else []
        words += ["ssl"] if listeners.tls else []
        words += ["proxy_protocol"] if listeners.proxy_protocol else []
        words += ["ipv6only=on"] if default and ":" in address.host else []
        lines.append(directive("listen", *words))
    if listeners.tls is None:
        return lines
    certificate, certificate_key = listeners.tls
    return [
        *lines,
        *([directive("http2", "on")] if listeners.http2 else []),
        directive("ssl_certificate", certificate),
        directive("ssl_certificate_key", certificate_key),
        directive("ssl_protocols", "TLSv1.2", "TLSv1.3"),
        directive("ssl_session_cache", "shared:passenger_tls:10m"),
        directive("ssl_session_timeout", "1d"),
    ]


def _hygiene() -> list[Directive]:
    ancient = block("if", Expression("($server_protocol"), "=", "", Expression(")"), body=[directive("return", "400")])
    return [directive("underscores_in_headers", on(False)), directive("ignore_invalid_headers", on(True)), ancient]


def tls_files(listener: Listener) -> tuple[str, str] | None:
    """Certificate and key. Raises UnrenderableValueError for one without the other."""
    certificate, certificate_key = listener.tls_certificate, listener.tls_certificate_key
    if certificate is None and certificate_key is None:
        return None
    if certificate is None or certificate_key is None:
        raise UnrenderableValueError(
            f"the listener {listener.address} has a certificate or a key, but not both",
            hint="set `tls_certificate` and `tls_certificate_key`, or neither",
        )
    for path in (certificate, certificate_key):
        if not path.startswith("/"):
            raise UnrenderableValueError(f"{path!r} is not an absolute path", hint="nginx needs the whole path")
    return certificate, certificate_key
