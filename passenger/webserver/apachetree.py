"""Apache configuration as lines and sections, and the one way values get into it.

Rules.
1. A value from outside goes through `value`: it is refused when Apache would see more in it than text. `$` and `%` are
   variables, `*?[]` are patterns in `<Directory>`, quotes and backslashes mean different things to different modules.
2. An argument that is more than one word is put between double quotes as it is. Our own text may hold variables and
   backslashes (regular expressions of mod_rewrite, which undoes no escapes), but never a double quote.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from passenger.lazy_dataclass import dataclass
from passenger.webserver.tree import UnrenderableValueError

_MEANT: Final = re.compile(r"[\x00-\x1f\x7f$%\\\"*?\[\]<>{}]")
_WORD: Final = re.compile(r"[A-Za-z0-9_./:@,=+*-]+")
_BREAKS_SOCKET: Final = re.compile(r"[\s|#;]")


@dataclass(frozen=True, slots=True)
class Line:
    """`name "argument" ...`."""

    name: str
    args: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """`<name "argument" ...> ... </name>`. `comment` stands in lines of its own above it."""

    name: str
    args: tuple[str, ...]
    body: tuple[Line | Section, ...]
    comment: str = ""


Item = Line | Section


def line(name: str, *args: str) -> Line:
    return Line(name, args)


def section(name: str, *args: str, body: Sequence[Item], comment: str = "") -> Section:
    return Section(name, args, tuple(body), comment)


def value(text: str) -> str:
    """A value of the configuration, as it is. Raises UnrenderableValueError."""
    if found := _MEANT.search(text):
        raise UnrenderableValueError(
            f"Apache would see more than a character in the {found.group()!r} of {text!r}",
            hint="rename the file or folder, or point the key to another path",
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UnrenderableValueError(
            f"{text!r} is not valid UTF-8", hint="rename the file or folder to a name in UTF-8"
        ) from error
    return text


def socket_path(path: str) -> str:
    """A Unix socket as a part of a URL of mod_proxy. Raises UnrenderableValueError."""
    if found := _BREAKS_SOCKET.search(path):
        raise UnrenderableValueError(
            f"Apache cannot connect to {path!r}: it has a {found.group()!r}",
            hint="choose another `registry_dir`",
        )
    return value(path)


def serialize(items: Sequence[Item], *, heading: str) -> str:
    """The whole file."""
    lines = [f"# {text}".rstrip() for text in heading.splitlines()]
    return "\n".join([*lines, *_lines(items, "")]) + "\n"


def _lines(items: Sequence[Item], indent: str) -> Iterator[str]:
    for item in items:
        words = " ".join([item.name, *map(_quoted, item.args)])
        if isinstance(item, Line):
            yield f"{indent}{words}"
            continue
        for text in item.comment.splitlines():
            yield f"{indent}# {text}"
        yield f"{indent}<{words}>"
        yield from _lines(item.body, indent + "    ")
        yield f"{indent}</{item.name}>"


def _quoted(text: str) -> str:
    return text if _WORD.fullmatch(text) else f'"{text}"'
