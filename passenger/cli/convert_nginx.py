"""The `passenger_*` directives of an nginx configuration: servers become listeners, server names and applications.

Rules.
1. Only the text given is read: what it includes is named in a note.
2. Settings of an outer block hold in the inner ones, as in nginx; an application is where Passenger is enabled.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import field
from typing import Any

from passenger.cli.converted import Converted, put
from passenger.cli.migration import size
from passenger.errors import PassengerError
from passenger.lazy_dataclass import dataclass

_TOKEN = re.compile(
    r"""\s+|\#[^\n]*|(?P<mark>[{};])"""
    r"""|"(?P<double>(?:\\.|[^"\\])*)"|'(?P<single>(?:\\.|[^'\\])*)'"""
    r"""|(?P<word>(?:\$\{[^}]*\}|[^\s{};"'])+)"""
)
PREFIX = "passenger_"


@dataclass(slots=True)
class Block:
    """A directive, and what stands in its braces."""

    words: list[str]
    inner: list[Block] = field(default_factory=list)
    is_block: bool = False


def parse(text: str) -> list[Block]:
    """The directives of a configuration. Raises PassengerError for braces or quotes that do not match."""
    root = Block([])
    stack, words = [root], []
    for mark, word in _tokens(text):
        if not mark:
            words.append(word)
        elif mark == ";":
            stack[-1].inner.append(Block(words))
            words = []
        elif mark == "{":
            block = Block(words, is_block=True)
            stack[-1].inner.append(block)
            stack.append(block)
            words = []
        elif len(stack) == 1:
            raise PassengerError("the nginx configuration has a `}` too many")
        else:
            stack.pop()
    if len(stack) > 1 or words:
        raise PassengerError(
            "the nginx configuration ends in the middle of a block or directive", hint="`nginx -t` says where"
        )
    return root.inner


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            line = text.count("\n", 0, position) + 1
            raise PassengerError(f"line {line} of the nginx configuration has a quote without its end")
        position = found.end()
        if mark := found["mark"]:
            yield mark, ""
        else:
            words = [found[name] for name in ("double", "single", "word") if found[name] is not None]
            yield from (("", re.sub(r"\\(.)", r"\1", word)) for word in words)


def convert_nginx(text: str, where: str, into: Converted) -> None:
    """Take over what a configuration says about Passenger. Raises PassengerError when it cannot be parsed."""
    found = len(into.apps)
    _walk(parse(text), {}, where, into, in_server=False)
    if len(into.apps) == found:
        into.note(where, "no `passenger_enabled on` was found in a server or location")


def _walk(
    blocks: list[Block],
    outer: dict[str, list[str]],
    where: str,
    into: Converted,
    *,
    in_server: bool,
    in_location: bool = False,
) -> None:
    scope = dict(outer)
    for block in blocks:
        name, values = (block.words[0], block.words[1:]) if block.words else ("", [])
        if not values and not block.is_block:
            continue
        if name == "include" and not values[0].endswith(("mime.types", "_params")):
            into.note(where, f"`include {values[0]}` was not followed; convert that file, too")
        elif name.startswith(PREFIX) and not in_server:
            if name != f"{PREFIX}enabled":
                into.take(name.removeprefix(PREFIX), values, into.defaults, where)
        elif name == f"{PREFIX}env_var":
            scope[f"env {values[0]}"] = values
        elif not block.is_block:
            scope[name] = [*scope.get(name, []), *values] if name in {"server_name", "listen"} else values
    if in_server and scope.get("passenger_enabled") == ["on"] and _identity(scope) != _identity(outer):
        _application(scope, where, into)
    elif in_location:
        _settings_of_a_part(blocks, scope, where, into)
    for block in blocks:
        if block.is_block and block.words:
            inner = dict(scope)
            is_location = block.words[0] == "location"
            if is_location:
                inner[" location"] = block.words[1:]
            in_one = in_server or block.words[0] == "server"
            _walk(block.inner, inner, where, into, in_server=in_one, in_location=is_location)


def _settings_of_a_part(blocks: list[Block], scope: dict[str, list[str]], where: str, into: Converted) -> None:
    """A location that is no application of its own, but has settings of its own."""
    named = [block.words[0] for block in blocks if block.words and block.words[0].startswith(PREFIX)]
    if named:
        place = f"{where}, location {' '.join(scope[' location'])}"
        what = ", ".join(f"`{name}`" for name in named)
        into.note(place, f"{what} left out: settings hold for a whole application; make one with this `base_uri`")


def _identity(scope: dict[str, list[str]]) -> list[list[str]]:
    """What tells one application from another."""
    return [scope.get(f"{PREFIX}{name}", []) for name in ("enabled", "app_root", "base_uri")]


def _application(scope: dict[str, list[str]], where: str, into: Converted) -> None:
    names = [name for name in scope.get("server_name", []) if name not in {"_", ""}]
    public = scope.get("alias") or scope.get("root") or []
    root = scope.get("passenger_app_root") or [posixpath.dirname(path.rstrip("/")) for path in public]
    app = into.app(names[0] if names else posixpath.basename((root or ["app"])[0]))
    place = f"{where}, server {names[0] if names else '(default)'}"
    if not root:
        into.note(place, "neither `passenger_app_root` nor `root`: put the folder of the application into `app_root`")
    app["app_root"] = (root or ["/path/of/the/application"])[0]
    if public:
        app["document_root"] = public[0].rstrip("/")
    if names:
        app["server_names"] = [name for name in names if not name.startswith("~")]
        for name in names:
            if name.startswith("~"):
                into.note(place, f"the server name {name} is a regular expression, which has no counterpart")
    location = scope.get(" location", [])
    if "passenger_base_uri" not in scope and len(location) == 1 and location[0].strip("/"):
        app["base_uri"] = "/" + location[0].strip("/")
    _listeners(scope, into, place)
    for name, values in scope.items():
        if name == "client_max_body_size":
            _body_size(values[0], app, into, place)
        elif name.startswith("env "):
            into.take("env_var", values, app, place)
        elif name.startswith(PREFIX) and name not in {"passenger_enabled", "passenger_app_root"}:
            into.take(name.removeprefix(PREFIX), values, app, place)
    if "app_start_command" in app:
        app["app_type"] = "generic"
    into.join_twins(app, place)


def _body_size(text: str, app: dict[str, Any], into: Converted, place: str) -> None:
    try:
        put(app, ("nginx", "client_max_body_size"), size(text))
    except ValueError:
        into.note(place, f"`client_max_body_size` was left out: {text!r} is no value of it")


def _listeners(scope: dict[str, list[str]], into: Converted, place: str) -> None:
    listen = into.instance.setdefault("nginx", {}).setdefault("listen", [])
    words = scope.get("listen", ["80"])
    taken = {one if isinstance(one, str) else one["address"] for one in listen}
    for index, word in enumerate(words):
        if not re.fullmatch(r"(\d+|[\d.*]+:\d+|\[[0-9a-fA-F:]*\]:\d+)", word):
            if word.startswith("unix:") or (":" in word and "=" not in word):
                into.note(place, f"`listen {word}` was left out: an address here is ADDRESS:PORT with numbers")
            continue
        address = f"0.0.0.0:{word}" if word.isdigit() else word.replace("*:", "0.0.0.0:")
        if address in taken:
            continue
        taken.add(address)
        following = words[index + 1 :]
        options = following[: next((i for i, one in enumerate(following) if re.match(r"[\d\[*]", one)), len(following))]
        if "ssl" in options and "ssl_certificate" in scope and "ssl_certificate_key" in scope:
            certificate, key = scope["ssl_certificate"][0], scope["ssl_certificate_key"][0]
            listen.append({"address": address, "tls_certificate": certificate, "tls_certificate_key": key})
            into.note(place, "every server name of a TLS listener has the same certificate here")
        else:
            if "ssl" in options:
                into.note(place, f"`listen {word} ssl` is a listener without TLS now: no certificate was found for it")
            listen.append(address)
