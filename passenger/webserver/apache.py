"""Virtual hosts for an Apache 2.4 that somebody else runs: the second web server.

Rules.
1. One file, to be included once. It says what it needs (`Error`), takes no `Listen` and changes nothing outside of its
   own virtual hosts.
2. What the core is told is the same as from nginx: secret, application, the client's own headers, nothing that claims
   to know who the client is. Apache itself drops header names that are not letters, digits and `-`.
3. mod_rewrite decides in one place and in this order: a static file, an upgrade, the application. The longest base URI
   comes first. URIs are passed on as the client wrote them.
4. Apache takes the first virtual host whose names match: the default site first (nothing matches it by name), then
   plain names, then patterns, the longest first.
5. What nginx does and Apache cannot (docs/apache.md) is refused by the configuration, not ignored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Final

from passenger.config.instance import Listener
from passenger.config.model import App, InstanceConfig
from passenger.config.paths import InstancePaths
from passenger.lazy_dataclass import dataclass
from passenger.webserver import addresses, sites
from passenger.webserver.apachestatic import static_files, static_rules
from passenger.webserver.apachetree import Item, Line, Section, line, section, serialize, socket_path, value
from passenger.webserver.locations import document_root
from passenger.webserver.scgi import DROPPED_HEADERS, patience
from passenger.webserver.servers import own_pages, tls_files
from passenger.webserver.sites import Site
from passenger.webserver.upgrades import PATIENCE

APACHE_FILE: Final = "apache.conf"

_MODULES: Final = ("alias", "authz_core", "env", "headers", "proxy", "proxy_http", "proxy_scgi", "rewrite")
_PAGE: Final = (
    "<!DOCTYPE html><html lang=en><meta charset=utf-8><title>Temporarily unavailable</title>"
    "<h1>Temporarily unavailable</h1><p>Please try again in a moment.</p></html>"
)
_UPGRADE: Final = (
    ("%{HTTP:Connection}", r"(?i)(?:^|,)[ \t]*upgrade[ \t]*(?:,|$)"),
    ("%{HTTP:Upgrade}", r"(?i)^(?!h2c?$|http/|tls/)[-!#$%&'*+.^_`|~0-9a-z]+(?:/[-.0-9a-z]+)?$"),
    ("%{THE_REQUEST}", r"^[^ ]+ (/[^ ?]*)"),
)
"""Conditions of `upgrades`, and the path as the client wrote it, which becomes %1."""
_FACTS: Final = (
    ("X-Passenger-App", "%{PASSENGER_UPGRADE}e"),
    ("X-Passenger-Host", "expr=%{HTTP_HOST}"),
    ("X-Passenger-Server-Name", "expr=%{HTTP_HOST}"),
    ("X-Passenger-Server-Port", "expr=%{SERVER_PORT}"),
    ("X-Passenger-Server-Protocol", "expr=%{SERVER_PROTOCOL}"),
    ("X-Passenger-Client-Address", "expr=%{REMOTE_ADDR}"),
    ("X-Passenger-Client-Port", "expr=%{REMOTE_PORT}"),
    ("X-Passenger-Scheme", "expr=%{REQUEST_SCHEME}"),
)

_LONG: Final = (
    "expr=%{HANDLER} == 'proxy-server' && -z reqenv('PASSENGER_UPGRADE') && "
    "(-z resp('Content-Length') || resp('Content-Length') -gt 65536)"
)
"""Responses that may be cut after Apache began to send. It ends such a connection at once only when it was not to be
kept alive; else it waits for another request, and the client with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rendering:
    config: InstanceConfig
    paths: InstancePaths
    secret: str
    is_folder: Callable[[str], bool]
    upgraded: frozenset[str]

    def ways(self, site: Site) -> list[tuple[str, str, App]]:
        """(base URI without a slash at its end, name, application), the longest first."""
        found = [(base_uri.rstrip("/"), name, self.config.apps[name]) for base_uri, name in site.apps]
        return sorted(found, key=lambda way: (-len(way[0]), way[0]))

    def worker(self, name: str) -> str:
        """The core's socket as mod_proxy calls it: one worker an application, because each has its own patience."""
        return f"unix:{socket_path(self.paths.request)}|scgi://{_host(self.config.name, name)}"

    def upgrade_worker(self, name: str) -> str:
        return f"unix:{socket_path(self.paths.request_http)}|http://{_host(self.config.name, name)}"


def render_apache(
    config: InstanceConfig,
    *,
    paths: InstancePaths,
    connect_secret: str,
    is_folder: Callable[[str], bool],
    upgraded: frozenset[str],
) -> dict[str, str]:
    """The one file. Raises UnrenderableValueError for a value that Apache cannot carry."""
    sites.check_name(config.name, "instance")
    rendering = _Rendering(
        config=config, paths=paths, secret=value(connect_secret), is_folder=is_folder, upgraded=upgraded
    )
    found = sites.sites(config)
    listeners = config.instance.nginx.listen
    addresses.refuse_twins([addresses.parse(listener.address) for listener in listeners])
    items: list[Item] = [*_needs(listeners), *_workers(rendering)]
    for listener in listeners:
        items += _hosts(rendering, listener, found)
    if config.instance.admin.listen is not None:
        items.append(_admin(rendering, config.instance.admin.listen))
    return {APACHE_FILE: serialize(items, heading=_heading(config, paths))}


def _needs(listeners: tuple[Listener, ...]) -> Iterator[Section]:
    tls = any(listener.tls_certificate is not None for listener in listeners)
    for name in (*_MODULES, *(("ssl",) if tls else ())):
        complaint = f"Passenger needs the module {name} of Apache (Debian: a2enmod {name})"
        yield section("IfModule", f"!{name}_module", body=[line("Error", complaint)])


def _workers(rendering: _Rendering) -> Iterator[Section]:
    for name, app in rendering.config.apps.items():
        yield section("Proxy", rendering.worker(name), body=[_worker_limits(patience(app))])
        if name in rendering.upgraded:
            yield section("Proxy", rendering.upgrade_worker(name), body=[_worker_limits(PATIENCE, "upgrade=ANY")])


def _worker_limits(seconds: float, *others: str) -> Line:
    """`retry=0`: a socket that refused is tried again at the next request."""
    return line("ProxySet", "retry=0", "connectiontimeout=5", f"timeout={math.ceil(seconds)}", *others)


def _hosts(rendering: _Rendering, listener: Listener, found: list[Site]) -> Iterator[Section]:
    """The virtual hosts of one address (rule 4)."""
    default = next((site for site in found if not site.names), None)
    taken = sites.all_names(found)
    fallback = "localhost" if "localhost" not in taken else "unknown.invalid"
    if default is None:
        nowhere = line("RewriteRule", "^", "-", "[R=404,L]")
        yield _host_section(rendering, listener, (fallback,), [line("RewriteEngine", "On"), nowhere])
    else:
        yield _host_section(rendering, listener, (fallback,), _site(rendering, default))
    named = [(name, site) for site in found for name in site.names]
    for site in found:
        if plain := [name for name in site.names if not name.startswith("*")]:
            yield _host_section(rendering, listener, tuple(plain), _site(rendering, site))
    patterns = [(name, site) for name, site in named if name.startswith("*")]
    for name, site in sorted(patterns, key=lambda pair: (-len(pair[0]), pair[0])):
        yield _host_section(rendering, listener, (f"www{name[1:]}", name), _site(rendering, site))


def _host_section(rendering: _Rendering, listener: Listener, names: tuple[str, ...], body: list[Item]) -> Section:
    first, *others = (value(name) if not name.startswith("*.") else "*" + value(name[1:]) for name in names)
    own: list[Item] = [
        line("ServerName", first),
        *(line("ServerAlias", name) for name in others),
        *_tls(listener),
        *_hygiene(rendering),
    ]
    return section("VirtualHost", _address(listener.address), body=[*own, *body])


def _site(rendering: _Rendering, site: Site) -> list[Item]:
    ways = rendering.ways(site)
    roots = {name: document_root(app, is_folder=rendering.is_folder) for _, name, app in ways}
    files: list[Item] = []
    rules: list[Item] = []
    for prefix, name, app in ways:
        if root := roots[name]:
            files += static_files(prefix, root, app)
            rules += static_rules(prefix, root)
        if name in rendering.upgraded:
            rules += [Line("RewriteCond", condition) for condition in _UPGRADE]
            flags = f"[P,NE,E=PASSENGER_UPGRADE:{name}]"
            rules.append(line("RewriteRule", _below(prefix), f"{rendering.upgrade_worker(name)}%1", flags))
        rules.append(line("RewriteRule", _below(prefix), f"{rendering.worker(name)}/", "[P,NE]"))
    rules.append(line("RewriteRule", "^/", "-", "[R=404,L]"))
    own = [_location(prefix, name, app) for prefix, name, app in reversed(ways)]
    return [*files, *own, *_upgrade_headers(rendering, site), line("RewriteEngine", "On"), *rules]


def _location(prefix: str, name: str, app: App) -> Section:
    return section(
        "Location",
        prefix or "/",
        body=[
            line("SetEnv", "PASSENGER_APP", name),
            line("LimitRequestBody", str(app.nginx.client_max_body_size)),
            line("CGIPassAuth", "On"),
            line("SetEnv", "ap_trust_cgilike_cl", "1"),  # the core has checked it
            line("Header", "set", "Connection", "close", _LONG),
        ],
    )


def _upgrade_headers(rendering: _Rendering, site: Site) -> Iterator[Line]:
    if not any(name in rendering.upgraded for _, name in site.apps):
        return
    facts = (("X-Passenger-Connect-Secret", rendering.secret), *_FACTS)
    for header, said in facts:
        yield line("RequestHeader", "set", header, said, "env=PASSENGER_UPGRADE")
    yield line("RequestHeader", "edit", "X-Passenger-Server-Name", ":[0-9]*$", "", "env=PASSENGER_UPGRADE")


def _hygiene(rendering: _Rendering) -> Iterator[Line]:
    yield line("HttpProtocolOptions", "Strict", "Require1.0")
    yield line("UseCanonicalName", "Off")
    yield line("UseCanonicalPhysicalPort", "On")
    yield line("AllowEncodedSlashes", "NoDecode")
    yield line("TraceEnable", "Off")
    yield line("ProxyRequests", "Off")
    yield line("ProxyAddHeaders", "Off")
    yield line("ProxyVia", "Off")
    yield line("ProxyErrorOverride", "Off")
    yield line("ProxySCGIInternalRedirect", "Off")
    yield line("ProxySCGISendfile", "Off")
    yield line("SetEnv", "PASSENGER_CONNECT_SECRET", rendering.secret)
    for header in DROPPED_HEADERS:
        yield line("RequestHeader", "unset", header.removeprefix("HTTP_").replace("_", "-").title())
    for status in ("500", "502", "503", "504"):
        yield line("ErrorDocument", status, _PAGE)


def _tls(listener: Listener) -> Iterator[Line]:
    if (files := tls_files(listener)) is not None:
        yield line("SSLEngine", "On")
        yield line("SSLProtocol", "-all", "+TLSv1.2", "+TLSv1.3")
        yield line("SSLCertificateFile", value(files[0]))
        yield line("SSLCertificateKeyFile", value(files[1]))


def _admin(rendering: _Rendering, listen: str) -> Section:
    worker = f"unix:{socket_path(rendering.paths.request)}|scgi://{_host(rendering.config.name, ':admin')}"
    names = own_pages(rendering.config.instance.admin)
    probes = [
        section("Location", f"/{name}", body=[line("SetEnv", "PASSENGER_APP", f":{name}"), line("CGIPassAuth", "On")])
        for name in names
    ]
    rules = [line("RewriteRule", f"^/(?:{'|'.join(names)})$", f"{worker}/", "[P,NE]")]
    body: list[Item] = [*_hygiene(rendering), *probes, line("RewriteEngine", "On"), *rules]
    return section(
        "VirtualHost",
        _address(listen),
        body=[line("ServerName", "localhost"), *body, line("RewriteRule", "^", "-", "[R=404,L]")],
        comment="probes; keep this off the public network",
    )


def _host(instance: str, name: str) -> str:
    """A host name that no other application's worker in the same Apache has."""
    return f"{instance}/{name}".encode().hex()


def _below(prefix: str) -> str:
    """`/blog` and everything below `/blog/`, never `/blogger`."""
    return f"^{re.escape(value(prefix))}(?:/|$)"


def _address(text: str) -> str:
    listen = addresses.parse(text)
    if listen.host in {addresses.EVERY_IPV4, addresses.EVERY_IPV6}:
        return f"*:{listen.port}"
    return addresses.text(listen)


def _heading(config: InstanceConfig, paths: InstancePaths) -> str:
    return (
        f"The instance {config.name} behind an Apache 2.4 that somebody else runs. Rendered from its configuration; "
        f"never edit this.\nIn the configuration of that Apache:  Include {paths.nginx}/current/{APACHE_FILE}\n"
        "It must listen on the addresses below and run as `nginx.user` and `nginx.group` of the instance; reload it "
        "after each start or reload of the instance that changes this file."
    )
