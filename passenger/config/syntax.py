"""Files -> parsed sources, or E1xx diagnostics: the main file first, then `conf.d/*.toml` beside it by name.

Rules.
1. Every file is read, so that the mistakes of all files are reported at once, in file order.
2. Only regular files stand in `conf.d`; the main file may also be a pipe, such as a shell's `<(...)`.
3. A text that is handed in (standard input) has no `conf.d`.
"""

from __future__ import annotations

import os
import pathlib
import tomllib
from dataclasses import replace
from typing import Any, Final

from passenger.config.diagnostics import Diagnostic, Span
from passenger.config.files import read_at_most
from passenger.config.nesting import deep_place
from passenger.config.source import NESTING_MAX, Source, is_deeper_than, lines_of
from passenger.config.syntax_errors import explain
from passenger.lazy_dataclass import dataclass

FILE_SIZE_MAX: Final = 16 * 1024 * 1024
CONF_D: Final = "conf.d"

_BOM: Final = b"\xef\xbb\xbf"
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class _Place:
    """A file to read: its name as shown, and the absolute path that is opened."""

    name: str
    path: pathlib.Path

    @property
    def folder(self) -> str:
        return str(self.path.parent)


def read_sources(main: str, *, text: str | None, cwd: str) -> tuple[list[Source], list[Diagnostic]]:
    """All files of a configuration. `cwd` is absolute; `main` may be relative to it."""
    place = _Place(main, pathlib.Path(cwd, main))
    if text is not None:
        folder = cwd if main == "<stdin>" else place.folder
        source, problems = parse(main, folder=folder, content=text.encode("utf-8", "surrogateescape"))
        return ([source] if source else []), problems
    source, problems = _read(place, may_be_pipe=True)
    sources = [source] if source else []
    if source is None and problems[0].code in {"E101", "E102", "E103"}:
        return [], problems
    more, listing_problems = _conf_d(place)
    problems += listing_problems
    for found in more:
        source, bad = _read(found, may_be_pipe=False, main=place.name)
        sources += [source] if source else []
        problems += bad
    return sources, problems


def parse(
    name: str, *, folder: str, content: bytes, may_be_empty: bool = False
) -> tuple[Source | None, list[Diagnostic]]:
    """Bytes of one file -> its values, or what is wrong with them."""
    if may_be_empty and not content.strip():
        return Source(name=name, folder=folder, content=content, data={}), []
    source, problems = _judge(name, folder, content)
    if source is not None:
        return source, problems
    lines = lines_of(content.removeprefix(_BOM))
    return None, [replace(problem, excerpt=_excerpt(problem, lines)) for problem in problems]


def _excerpt(problem: Diagnostic, lines: list[str]) -> tuple[tuple[int, str], ...]:
    spans = [*([problem.span] if problem.span else []), *(span for span, _ in problem.related)]
    wanted = {number for span in spans for number in (span.line - 1, span.line)}
    return tuple((number, lines[number - 1]) for number in sorted(wanted) if 0 < number <= len(lines))


def _judge(name: str, folder: str, content: bytes) -> tuple[Source | None, list[Diagnostic]]:
    start = Span(name, 1, 1, 1, 1)
    if content.startswith(_BOM):
        return None, [
            Diagnostic(
                code="E105",
                message="the file starts with a byte order mark",
                span=start,
                label="three invisible bytes stand before this character",
                help=f"save it as \"UTF-8 without BOM\", or run: sed -i '1s/^\\xEF\\xBB\\xBF//' {name}",
            )
        ]
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        return None, [_not_utf8(name, content, error)]
    if not text.strip():
        message = "the configuration file is empty"
        hint = "the smallest useful file has `config_version = 1` and a table `[apps.NAME]` with `app_root`"
        return None, [Diagnostic(code="E104", message=message, span=start, help=hint)]
    return _parse_toml(name, folder, content, text)


def _parse_toml(name: str, folder: str, content: bytes, text: str) -> tuple[Source | None, list[Diagnostic]]:
    try:
        data: dict[str, Any] = tomllib.loads(text)
    except RecursionError:
        return None, [_too_deep(name, text)]
    except ValueError as error:  # TOMLDecodeError, and int() on thousands of digits
        return None, explain(name, text, error)
    if is_deeper_than(NESTING_MAX, data):
        return None, [_too_deep(name, text)]
    return Source(name=name, folder=folder, content=content, data=data), []


def _too_deep(name: str, text: str) -> Diagnostic:
    line, column = deep_place(text)
    return Diagnostic(
        code="E109",
        message=f"tables and arrays are nested more than {NESTING_MAX} levels deep",
        span=Span(name, line, column, line, column + 1),
        label="too deep here",
    )


def _not_utf8(name: str, content: bytes, error: UnicodeDecodeError) -> Diagnostic:
    before = content[: error.start]
    line = before.count(b"\n") + 1
    column = len(before.rpartition(b"\n")[2].decode("utf-8", "replace")) + 1
    guess = "UTF-16" if content.startswith(_UTF16) else "Latin-1 or another encoding"
    return Diagnostic(
        code="E106",
        message=f"the file is not UTF-8: byte 0x{content[error.start]:02x} at offset {error.start} is not valid there",
        span=Span(name, line, column, line, column + 1),
        label="not UTF-8",
        help=f"the file looks like {guess}; save it as UTF-8",
    )


def _read(place: _Place, *, may_be_pipe: bool, main: str = "") -> tuple[Source | None, list[Diagnostic]]:
    """`main` is the file that a file of conf.d belongs to; such a file may be empty, as a switched-off one often is."""
    try:
        content = read_at_most(place.path, FILE_SIZE_MAX + 1, may_be_pipe=may_be_pipe)
    except OSError as error:
        problem = _cannot_read(place.name, error)
        if main and isinstance(error, (FileNotFoundError, IsADirectoryError)):
            hint = f"{main} takes every `*.toml` of {CONF_D}: remove it there, or put the file in its place"
            problem = replace(problem, help=hint)
        return None, [problem]
    if len(content) > FILE_SIZE_MAX:
        message = f"`{place.name}` is larger than {FILE_SIZE_MAX // 1024 // 1024} MiB: this is no configuration file"
        return None, [Diagnostic(code="E109", message=message)]
    return parse(place.name, folder=place.folder, content=content, may_be_empty=bool(main))


def _conf_d(main: _Place) -> tuple[list[_Place], list[Diagnostic]]:
    shown = pathlib.PurePath(main.name).parent / CONF_D
    folder = main.path.parent / CONF_D
    try:
        found = sorted(entry.name for entry in folder.iterdir() if entry.suffix == ".toml" and entry.name[0] != ".")
    except FileNotFoundError:
        return [], []
    except OSError as error:
        return [], [_cannot_read(str(shown), error)]
    return [_Place(str(shown / name), folder / name) for name in found], []


def _cannot_read(name: str, error: OSError) -> Diagnostic:
    match error:
        case FileNotFoundError():
            code, message = "E101", f"the configuration file `{name}` does not exist"
            hint = "name another one with `--config FILE`, or check the spelling of the path"
        case IsADirectoryError():
            code, message = "E103", f"`{name}` is a directory, not a configuration file"
            hint = f"name a file in it, such as `{name.rstrip('/')}/passenger.toml`"
        case PermissionError():
            code, message = "E102", f"`{name}` cannot be read: permission denied"
            hint = f"user id {os.geteuid()} needs to read the file and to pass through every folder above it"
        case _:
            code, message = "E102", f"`{name}` cannot be read: {error.strerror or error}"
            hint = ""
    return Diagnostic(code=code, message=message, help=hint)
