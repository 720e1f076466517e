"""Single values: units to numbers, relative paths to absolute ones, and the limits that a schema cannot state.

Rules.
1. A value out of its limits is reported and read all the same: the caller asks `Findings` whether all was well.
2. `..` is left in paths: below a symbolic link it means something else than the text suggests.
"""

from __future__ import annotations

from posixpath import join
from typing import Any, Final

from passenger.config.addresses import check_network, parse_address
from passenger.config.diagnostics import Path
from passenger.config.document import Document
from passenger.config.findings import Findings
from passenger.config.keys import KeySpec
from passenger.config.units import (
    LARGEST_SIZE,
    LONGEST_DURATION,
    duration_text,
    parse_duration,
    parse_size,
    size_text,
)

BELOW_APP_ROOT: Final = frozenset(
    {"python", "ruby", "nodejs", "meteor_app_settings", "document_root", "custom_error_page"}
)
"""Keys whose relative paths start at the application's root, which the builder knows."""
PROGRAMS: Final = frozenset({"binary"})
"""Keys whose value is a program: a name without a slash is looked up in PATH."""
LOG_WORDS: Final = frozenset({"stdout", "off"})


class Values:
    """Reads the values of one document."""

    def __init__(self, document: Document, findings: Findings) -> None:
        self._document = document
        self._findings = findings

    def read(self, spec: KeySpec, path: Path, raw: Any) -> Any:
        """The model's value for what is written at a path; the shape is right already."""
        if spec.kind == "duration":
            return self._quantity(spec, path, raw, parse_duration(raw), LONGEST_DURATION)
        if spec.kind == "size":
            return self._quantity(spec, path, raw, parse_size(raw), LARGEST_SIZE)
        if spec.kind == "path" or spec.name == "startup_file":
            return self._path(spec, path, raw)
        if spec.kind == "strings":
            if spec.name == "trusted_proxies":
                self._networks(path, raw)
            paths = spec.key.unit == "path"
            return tuple(self._path(spec, (*path, i), item) if paths else item for i, item in enumerate(raw))
        if spec.kind == "integers":
            return tuple(raw)
        if spec.name == "address" or (spec.name == "listen" and isinstance(raw, str)):
            self._address(path, raw)
        return raw

    def _quantity(self, spec: KeySpec, path: Path, raw: str, value: float, largest: float) -> float:
        low = spec.key.minimum or 0
        high = largest if spec.key.maximum is None else spec.key.maximum
        if not low <= value <= high:
            small = value < low
            bound = low if small else high
            text = duration_text(bound) if spec.kind == "duration" else size_text(int(bound))
            self._findings.add(
                "E207",
                path,
                f"`{spec.name}` is too {'small' if small else 'large'}: {raw}",
                label=f"{text} is the {'least' if small else 'most'}",
            )
        return value

    def _path(self, spec: KeySpec, path: Path, raw: str) -> str:
        if raw == "~" or raw.startswith("~"):
            self._findings.add(
                "E215",
                path,
                f"`{spec.name}` starts with `~`, which is not expanded",
                label="write the whole path",
                help="a configuration means the same for every user who reads it",
            )
        word = spec.name == "access_log" and raw in LOG_WORDS
        program = spec.name in PROGRAMS and "/" not in raw
        below_root = spec.name in BELOW_APP_ROOT or spec.name == "startup_file"
        if word or program or below_root:
            return raw
        return absolute(self._document.folder_of(path), raw)

    def _address(self, path: Path, raw: str) -> None:
        try:
            parse_address(raw)
        except ValueError as error:
            self._findings.add("E214", path, f"`{raw}` cannot be listened on", label=str(error))

    def _networks(self, path: Path, raw: list[str]) -> None:
        for index, text in enumerate(raw):
            try:
                check_network(text)
            except ValueError as error:
                self._findings.add("E216", (*path, index), f"`{text}` is no network", label=str(error))


def absolute(folder: str, path: str) -> str:
    """A path from a folder on; `.` and doubled slashes go, `..` stays."""
    joined = join(folder, path)
    parts = [part for part in joined.split("/") if part not in {"", "."}]
    return "/" + "/".join(parts)
