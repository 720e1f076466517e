"""Load balancers in front: whose word about the client is taken, and what it becomes (fault matrix F9).

Rules.
1. Believed is who connected (`$realip_remote_addr`) from a network of `trusted_proxies`; the word of others is dropped.
2. Only facts reach the core: address, scheme, host and port of the client's own request. The headers themselves are
   dropped as ever (`scgi.DROPPED_HEADERS`): an application has one place to look at and cannot believe the wrong one.
3. Behind PROXY protocol the balancer does not look into requests: `X-Forwarded-*` is the client's and means nothing.
4. Scheme and port are words of ours, chosen by exact comparison; the only regular expression is that for the id of a
   request, which must be short and plain.
5. Without `trusted_proxies` nothing of this is rendered.
"""

from __future__ import annotations

import re
from typing import Final

from passenger.config.addresses import check_network
from passenger.config.instance import Nginx
from passenger.lazy_dataclass import dataclass
from passenger.webserver.tree import Directive, Expression, UnrenderableValueError, block, directive, nginx_quote

MODULE: Final = "http_realip_module"
_REQUEST_ID: Final = "~^1::[A-Za-z0-9._-]{1,128}$"
"""Trusted, no PROXY protocol, and an id that means nothing in a log or a query."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientFacts:
    """nginx variables that hold what an application learns of the client's request, beside `$remote_addr`."""

    scheme: str = "$scheme"
    https: str = "$https"
    port: str = "$server_port"
    host: str = "$http_host"
    request_id: str = "$request_id"
    """Made by nginx; of one that a trusted proxy has made already, that."""
    spoken_for: str = ""
    """`1` where a trusted proxy sent the request, so that its headers about traces may be believed."""


def client_facts(instance: str, nginx: Nginx) -> ClientFacts:
    """The variables of an instance: nginx's own unless somebody is trusted to know better."""
    if not nginx.trusted_proxies:
        return ClientFacts()
    return ClientFacts(
        scheme=_variable("scheme", instance),
        https=_variable("https", instance),
        port=_variable("port", instance),
        host=_variable("host", instance),
        request_id=_variable("request_id", instance),
        spoken_for=_variable("spoken_for", instance),
    )


def in_http(instance: str, nginx: Nginx) -> list[Directive]:
    """What stands once beside the servers: who is trusted, and the variables."""
    if not nginx.trusted_proxies:
        return []
    trusted, said_host = _variable("trusted", instance), _variable("said_host", instance)
    facts = client_facts(instance, nginx)
    networks = [directive(_network(text), "1") for text in nginx.trusted_proxies]
    about = f"{trusted}:$proxy_protocol_addr"
    scheme = f"{about}:$http_x_forwarded_proto"
    return [
        block(
            "geo",
            Expression("$realip_remote_addr"),
            Expression(trusted),
            body=[directive("default", "0"), *networks],
            comment="who may say where a request comes from",
        ),
        _map(scheme, facts.scheme, {"default": "$scheme", "1::https": "https", "1::http": "http"}),
        _map(scheme, facts.https, {"default": "$https", "1::https": "on", "1::http": ""}),
        _map(scheme, facts.port, {"default": "$server_port", "1::https": "443", "1::http": "80"}),
        _map(about, said_host, {"default": "", "1:": "$http_x_forwarded_host"}),
        _map(about, facts.spoken_for, {"default": "", "1:": "1"}),
        _map(said_host, facts.host, {"default": said_host, "": "$http_host"}),
        block(
            "map",
            Expression(f"{about}:$http_x_request_id"),
            Expression(facts.request_id),
            body=[
                directive("default", Expression("$request_id")),
                directive(nginx_quote(Expression(_REQUEST_ID)), Expression("$http_x_request_id")),
            ],
        ),
    ]


def in_server(nginx: Nginx, *, proxy_protocol: bool) -> list[Directive]:
    """In every server of clients: `$remote_addr` is the client, not the balancer."""
    if not nginx.trusted_proxies:
        return []
    return [
        *(directive("set_real_ip_from", network) for network in nginx.trusted_proxies),
        directive("real_ip_header", "proxy_protocol" if proxy_protocol else "X-Forwarded-For"),
        directive("real_ip_recursive", "on"),
    ]


def _network(text: str) -> str:
    """Raises UnrenderableValueError for anything that is none: a name here could also be a word of nginx's."""
    try:
        check_network(text)
    except ValueError as error:
        raise UnrenderableValueError(f"{text!r} is no network: {error}") from error
    return text


def _map(source: str, target: str, answers: dict[str, str]) -> Directive:
    body = [directive(_key(said), Expression(answer)) for said, answer in answers.items()]
    return block("map", Expression(source), Expression(target), body=body)


def _key(text: str) -> str:
    return text or '""'


def _variable(name: str, instance: str) -> str:
    """A variable of one instance: several may be included in one nginx. Names of variables know no `-`."""
    own = re.sub(r"[^A-Za-z0-9]", lambda found: f"_{ord(found.group()):02x}", instance)
    return f"$passenger_{name}_{own}"
