"""The error for a key that does not exist: what it was probably meant to be, and where that belongs."""

from __future__ import annotations

from passenger.config.diagnostics import Path
from passenger.config.findings import Findings, table_name
from passenger.config.keys import KeySpec, anchor, keys_of, spec_at, table_at
from passenger.config.model import Config
from passenger.config.suggest import Suggestion, closest, for_key
from passenger.log import printable


def report_unknown(findings: Findings, path: Path, name: str) -> None:
    """One E204 for the key `name` of the table at `path`."""
    table = table_at(path)
    meant = _top_level(name) if not path else for_key(name, table) if table else None
    kind = "unknown table" if isinstance(_value(findings, (*path, name)), dict) else "unknown key"
    findings.add(
        "E204",
        (*path, name),
        f"{kind} `{printable(name)}` {_in(path)}",
        at="key",
        label=_label(meant, path),
        help="" if meant or table is None else _known(table),
        docs=_docs(meant, path),
    )


def _value(findings: Findings, path: Path) -> object:
    here: object = findings.document.data
    for part in path:
        here = here[part] if isinstance(here, (dict, list)) else None  # type: ignore[index]
    return here


def _in(path: Path) -> str:
    return f"in {table_name(path)}" if path else "at the top of the file"


def _top_level(name: str) -> Suggestion | None:
    meant = for_key(name, Config)
    if meant is not None:
        return meant
    near = closest(name, ["defaults"])
    return Suggestion(near) if near else None


def _label(meant: Suggestion | None, path: Path) -> str:
    if meant is None:
        return "no such key"
    if not meant.table:
        return f"did you mean `{meant.name}`?"
    return f"`{meant.name}` belongs in `[{_written(meant.table, path)}]`"


def _written(table: str, path: Path) -> str:
    """The header of a table for the user's own names: `instances.core` -> `instances.main.core`."""
    first, _, rest = table.partition(".")
    if first not in {"apps", "instances"}:
        return table
    name = path[1] if len(path) > 1 and path[0] == first else "NAME"
    return f"{first}.{name}.{rest}".rstrip(".")


def _known(table: type) -> str:
    names: list[KeySpec] = list(keys_of(table).values())
    if len(names) > 14:
        return ""
    also = ["defaults"] if table is Config else []
    return "known keys: " + ", ".join(f"`{name}`" for name in [*(spec.name for spec in names), *also])


def _docs(meant: Suggestion | None, path: Path) -> str:
    if meant is None:
        return anchor(path)
    if meant.table:
        return f"{meant.table}.{meant.name}"
    target = (*path, meant.name)
    return anchor(target) if spec_at(target) else anchor(path)
