"""nginx configuration as a tree of directives, and the one way it becomes text.

Rules.
1. `nginx_quote` is the only function that puts a value into configuration text: a value is always exactly one
   argument, whatever it contains.
2. A plain `str` argument is a value from outside: nginx would expand a `$` in it, so a `$` is refused. `Fixed` is for
   places where nginx expands nothing (`pid`, `user`, `upstream`), `Expression` for our own text with variables.
3. Control characters and text that is not UTF-8 are refused: nginx takes paths and names as C strings.
4. Directive names and comments are our own constants.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from passenger.errors import InvalidConfigurationError
from passenger.lazy_dataclass import dataclass

LONGEST_ARGUMENT: Final = 4000
"""Bytes; nginx reads its configuration in pieces of 4096 and refuses an argument that does not fit."""

_SAFE: Final = re.compile(r"[A-Za-z0-9_./:@=~*()!$%+,?^<>&|\[\]-]+\Z")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class UnrenderableValueError(InvalidConfigurationError):
    """A configured value that nginx cannot carry, or that would mean something else to it."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """A value for a place where nginx expands no variables."""

    text: str


@dataclass(frozen=True, slots=True)
class Expression:
    """Our own text, in which `$name` is meant as a variable."""

    text: str


Argument = str | Fixed | Expression


@dataclass(frozen=True, slots=True)
class Directive:
    """`name args;`, or with a block `name args { ... }`. `comment` stands in lines of its own above it."""

    name: str
    args: tuple[Argument, ...] = ()
    block: tuple[Directive, ...] | None = None
    comment: str = ""


def directive(name: str, *args: Argument, comment: str = "") -> Directive:
    """A directive without a block."""
    return Directive(name, args, None, comment)


def block(name: str, *args: Argument, body: Sequence[Directive], comment: str = "") -> Directive:
    """A directive with a block."""
    return Directive(name, args, tuple(body), comment)


def nginx_quote(argument: Argument) -> str:
    """One argument as configuration text. Raises UnrenderableValueError."""
    text = argument if isinstance(argument, str) else argument.text
    _refuse_what_nginx_cannot_carry(text)
    if isinstance(argument, str) and "$" in text:
        raise UnrenderableValueError(
            f"nginx would take the `$` in {text!r} for a variable",
            hint="rename the file or folder, or point the key to another path",
        )
    if _SAFE.match(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def serialize(directives: Sequence[Directive], *, heading: str = "") -> str:
    """The whole file. Raises UnrenderableValueError."""
    lines = [f"# {line}".rstrip() for line in heading.splitlines()]
    lines += _lines(directives, indent="")
    return "\n".join(lines) + "\n"


def _lines(directives: Sequence[Directive], indent: str) -> Iterator[str]:
    for item in directives:
        for line in item.comment.splitlines():
            yield f"{indent}# {line}".rstrip()
        head = " ".join([item.name, *map(nginx_quote, item.args)])
        if item.block is None:
            yield f"{indent}{head};"
            continue
        yield f"{indent}{head} {{"
        yield from _lines(item.block, indent + "    ")
        yield f"{indent}}}"


def _refuse_what_nginx_cannot_carry(text: str) -> None:
    if found := _CONTROL.search(text):
        raise UnrenderableValueError(
            f"nginx cannot carry the control character {found.group()!r} in {text!r}",
            hint="remove it from the value in the configuration",
        )
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise UnrenderableValueError(
            f"{text!r} is not valid UTF-8", hint="rename the file or folder to a name in UTF-8"
        ) from error
    if size > LONGEST_ARGUMENT:
        raise UnrenderableValueError(
            f"a value of {size} bytes is too long for nginx, which takes at most {LONGEST_ARGUMENT}: {text[:60]!r}...",
            hint="use a shorter value",
        )
