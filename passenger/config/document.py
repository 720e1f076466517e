"""One merged configuration: plain values, and where each of them came from.

Rules.
1. The order is files (main, then `conf.d`), variables, flags, and last the references to the environment and to files.
2. A path that a flag or variable set has no span: `origin` names the flag or variable.
3. A later stage says nothing about a path in `unresolved`: its value could not be had, and that is reported already.
   Secret files that were not to be opened (`read_secrets=False`) hold "" and are not in it.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from passenger.config.diagnostics import Diagnostic, Origin, Path, Span
from passenger.config.interpolation import Interpolations, Whereabouts, interpolate
from passenger.config.merge import merge
from passenger.config.overrides import Override, apply_overrides, parse_overrides
from passenger.config.source import Source
from passenger.config.syntax import read_sources
from passenger.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class _Setter:
    """The flag or variable behind a path; `whole` when it set the path itself or a table around it."""

    override: Override
    whole: bool


class Document:
    """A configuration after merging, overrides and interpolation; `[defaults]` are not yet applied to apps."""

    __slots__ = ("_cwd", "_lines", "_notes", "_overrides", "_sources", "data", "files", "unresolved")

    def __init__(
        self,
        *,
        data: dict[str, Any],
        sources: Sequence[Source],
        overrides: Mapping[Path, Override],
        notes: Interpolations,
        cwd: str,
    ) -> None:
        self.data = data
        self.files = tuple(source.name for source in sources)
        self.unresolved = notes.unresolved
        """Paths whose reference could not be followed; they hold ""."""
        self._sources = tuple(sources)
        self._overrides = overrides
        self._notes = notes
        self._cwd = cwd
        self._lines = {source.name: source for source in sources}

    def key_span(self, path: Path) -> Span | None:
        """The key that introduces a path, else that of its nearest existing ancestor."""
        return None if self._setter(path) else self._owner(path).index.key_span(path)

    def value_span(self, path: Path) -> Span | None:
        """The value at a path as it is written (a table: its header), else that of its nearest existing ancestor."""
        return None if self._setter(path) else self._owner(path).index.value_span(path)

    def table_span(self, path: Path) -> Span | None:
        """The header `[apps.blog]`, or the key of an inline or dotted table; the start of the file for ()."""
        return None if self._setter(path) else self._owner(path).index.table_span(path)

    def origin(self, path: Path) -> Origin:
        """Where the value at a path came from; `default` when nobody set it."""
        if setter := self._setter(path):
            return setter.override.origin
        owner = self._owner(path)
        if owner.depth_of(path) < len(path):
            return Origin(kind="default")
        return Origin(kind="file", span=owner.index.value_span(path), detail=self._notes.details.get(path, ""))

    def folder_of(self, path: Path) -> str:
        """Absolute folder at which a relative path in this value starts."""
        setter = self._setter(path)
        return self._cwd if setter and setter.whole else self._owner(path).folder

    def is_secret(self, path: Path) -> bool:
        """Whether the value was read through `{ file = ... }`."""
        return path in self._notes.secrets

    def source(self, file: str) -> list[str]:
        """The lines of one of `files`. Raises KeyError for another name."""
        return self._lines[file].lines

    def _owner(self, path: Path) -> Source:
        """The first file that holds most of a path."""
        if len(self._sources) == 1:
            return self._sources[0]
        return max(self._sources, key=lambda source: source.depth_of(path))

    def _setter(self, path: Path) -> _Setter | None:
        if not self._overrides:
            return None
        for size in range(len(path), 0, -1):
            if found := self._overrides.get(path[:size]):
                return _Setter(found, whole=True)
        return self._only_below(path)

    def _only_below(self, path: Path) -> _Setter | None:
        """A table that exists only because a flag or variable set something in it."""
        for size in range(len(path), 0, -1):
            ancestor = path[:size]
            if max(source.depth_of(ancestor) for source in self._sources) == size:
                return None
            for candidate, override in self._overrides.items():
                if candidate[:size] == ancestor:
                    return _Setter(override, whole=False)
        return None


def read(
    main: str | None,
    *,
    text: str | None = None,
    environ: Mapping[str, str],
    flags: Sequence[str] = (),
    cwd: str,
    read_secrets: bool = True,
) -> tuple[Document | None, list[Diagnostic]]:
    """Read a configuration whole. No document when a file cannot be read or is not TOML.

    With other errors there is a document all the same, so that the checks which follow can report theirs as well.

    `main`: path of the file, relative to `cwd`; `text` takes the place of its content ("-" or None: `<stdin>`).
    With `read_secrets=False` secret files are not opened and their values are "".
    """
    if text is None and (main is None or main == "-"):
        message = "read() needs a file or a text"
        raise ValueError(message)
    name = "<stdin>" if main is None or main == "-" else main
    cwd = str(pathlib.Path(cwd).absolute())
    sources, problems = read_sources(name, text=text, cwd=cwd)
    overrides, bad_overrides = parse_overrides(flags=flags, environ=environ)
    problems += bad_overrides
    if not sources or any(problem.code < "E110" for problem in problems):
        return None, problems
    document, more = _put_together(sources, overrides, environ=environ, cwd=cwd, read_secrets=read_secrets)
    return document, problems + more


def _put_together(
    sources: Sequence[Source],
    overrides: Sequence[Override],
    *,
    environ: Mapping[str, str],
    cwd: str,
    read_secrets: bool,
) -> tuple[Document, list[Diagnostic]]:
    data, problems = merge(sources)
    applied, bad_overrides = apply_overrides(data, overrides)
    bare = Document(data=data, sources=sources, overrides=applied, notes=Interpolations(), cwd=cwd)
    whereabouts = Whereabouts(span=bare.value_span, folder=bare.folder_of)
    notes, bad_references = interpolate(data, whereabouts=whereabouts, environ=environ, read_secrets=read_secrets)
    document = Document(data=data, sources=sources, overrides=applied, notes=notes, cwd=cwd)
    return document, problems + bad_overrides + bad_references
