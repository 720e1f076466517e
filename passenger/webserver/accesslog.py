"""nginx's access log: its format, and where it goes.

Rules.
1. `combined` is nginx's own, with the request time at its end: every program that reads such logs knows it. What a
   client sends is escaped to plain ASCII in it.
2. A line of `json` has the fields that all our lines have (docs/logs.md), and is a JSON object of valid UTF-8 whatever
   a client sends. nginx copies bytes above 127 as they are: so what is no text, or would turn the direction of a
   terminal's, is cut at its first such byte, with a mark. That is one regular expression per value, in `json` only.
3. Whatever stands without quotes is a number: nginx writes the status of a request without one as `000`.
4. A query, which may hold a password or a token, is told when `log_queries` says so; that of a `Referer` is one, too.
"""

from __future__ import annotations

from typing import Final

from passenger.config.model import InstanceConfig
from passenger.webserver.proxies import client_facts
from passenger.webserver.tree import Directive, Expression, UnrenderableValueError, block, directive

LOG_FORMAT: Final = "passenger"

_COMBINED: Final = (
    '$remote_addr - $remote_user [$time_local] "{request}" $status $body_bytes_sent '
    '"{referer}" "$http_user_agent" $request_time'
)

_NO_TEXT: Final = (
    r"~^([\x01-\xff]*?)(?=[\x80-\xff])(?:"
    r"[\xc0\xc1\xf5-\xff]|\xe0[\x80-\x9f]|\xed[\xa0-\xbf]|\xf0[\x80-\x8f]|\xf4[\x90-\xbf]"  # begins nothing
    r"|[\xc2-\xdf](?![\x80-\xbf])|[\xe0-\xef](?![\x80-\xbf][\x80-\xbf])"  # is not continued
    r"|[\xf0-\xf4](?![\x80-\xbf][\x80-\xbf][\x80-\xbf])"
    r"|(?<![\xc2-\xf4])(?<![\xe0-\xf4][\x80-\xbf])(?<![\xf0-\xf4][\x80-\xbf][\x80-\xbf])[\x80-\xbf]"  # stray
    r"|\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae]|\xe2\x81[\xa6-\xa9]"
    r")"
)
"""What comes before the first bytes that are no UTF-8, a control character above 127, a line separator (U+2028, U+2029)
or a mark of direction. Looks for the mistake: to match all that is right would need a stack as deep as it is long."""
CUT: Final = "[cut: no text]"

_QUERY: Final = r"~^([^?]*)[?].*?( HTTP/[0-9.]+)?$"
"""Of a URI, and of a line of request with its protocol at the end."""
_UNASKED: Final = "$1?...$2"

_JSON: Final = (
    '{{"time":"${{passenger_log_date}}.${{passenger_log_ms}}$passenger_log_zone","level":"$passenger_log_level",'
    '"component":"access","instance":"{instance}","app":"$passenger_app","pid":$pid,"request_id":"{request_id}",'
    '"message":"$request_method $passenger_log_uri $status",'
    '"remote_addr":"$remote_addr","remote_user":"$passenger_log_user","host":"$passenger_log_host",'
    '"method":"$request_method","uri":"$passenger_log_uri","protocol":"$server_protocol",'
    '"status":$passenger_log_status,"bytes_sent":$body_bytes_sent,"referer":"$passenger_log_referer",'
    '"user_agent":"$passenger_log_agent","request_time":$request_time,"upstream_time":"$upstream_response_time"}}'
)


def in_http(config: InstanceConfig) -> list[Directive]:
    """The format and the file."""
    nginx = config.instance.nginx
    is_json = nginx.access_log_format == "json"
    asked, referer = ("request_uri" if is_json else "request"), "http_referer"
    escape = "json" if is_json else "default"
    maps = []
    if not nginx.log_queries:
        maps = [_without_query(name, escape) for name in (asked, referer)]
        asked, referer = f"passenger_log_{asked}", f"passenger_log_{referer}"
    if is_json:
        maps += _maps(f"${asked}", f"${referer}")
        line = _JSON.format(instance=config.name, request_id=client_facts(config.name, nginx).request_id)
    else:
        line = _COMBINED.format(request=f"${asked}", referer=f"${referer}")
    form = directive("log_format", LOG_FORMAT, f"escape={escape}", Expression(line))
    return [*maps, form, _target(nginx.access_log)]


def of_app(config: InstanceConfig, name: str) -> list[Directive]:
    """In a location: whose requests it gets."""
    nginx = config.instance.nginx
    if nginx.mode != "managed" or nginx.access_log_format != "json":
        return []
    return [directive("set", Expression("$passenger_app"), name)]


def _without_query(name: str, escape: str) -> Directive:
    # nginx shows what is missing as `-`, but not in what a map made
    answers = {"default": f"${name}", "": "-" if escape == "default" else "", _QUERY: _UNASKED}
    return _map(f"${name}", f"$passenger_log_{name}", answers)


def _maps(uri: str, referer: str) -> list[Directive]:
    from_clients = {
        "user": "$remote_user",
        "host": "$host",
        "uri": uri,
        "referer": referer,
        "agent": "$http_user_agent",
    }
    return [
        _map("", "$passenger_app", {"default": ""}),
        _map("$time_iso8601", "$passenger_log_date", {"default": "", "~^(.{19})": "$1"}),
        _map("$time_iso8601", "$passenger_log_zone", {"default": "", r"~\+00:00$": "Z", "~(.{6})$": "$1"}),
        _map("$msec", "$passenger_log_ms", {"default": "000", "~[.](.+)$": "$1"}),
        _map("$status", "$passenger_log_level", {"default": "info", "~^5": "error"}),
        _map("$status", "$passenger_log_status", {"default": "$status", "~^0": "0"}),
        *(
            _map(source, f"$passenger_log_{name}", {"default": source, _NO_TEXT: f"$1{CUT}"})
            for name, source in from_clients.items()
        ),
    ]


def _map(source: str, target: str, answers: dict[str, str]) -> Directive:
    # nginx leaves a backslash alone that stands before anything but a quote, a backslash, t, r or n
    body = [Directive(f'"{said}"', (Expression(answer),)) for said, answer in answers.items()]
    return block("map", Expression(source), Expression(target), body=body)


def _target(target: str) -> Directive:
    if target == "off":
        return directive("access_log", "off")
    path = "/dev/stdout" if target == "stdout" else target
    if not path.startswith("/"):
        raise UnrenderableValueError(
            f"{target!r} cannot be the access log", hint="use `stdout`, `off`, or an absolute path"
        )
    return directive("access_log", path, LOG_FORMAT)
