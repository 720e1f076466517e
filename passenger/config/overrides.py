"""`--set apps.blog.min_instances=3` and `PASSENGER__apps__blog__min_instances=3`: values from outside the files.

Rules.
1. A flag beats a variable, a variable beats the files; of two flags for one path the later wins.
2. A value is read as TOML; what is no TOML value is a string, and where the model wants text a bare number stays text.
3. An override replaces what it names, arrays and tables too; it cannot reach into an array.
4. Below an application's `env`, the rest of a variable's name is one name: `PASSENGER__apps__blog__env__MY__KEY`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from passenger.config.diagnostics import Diagnostic, Origin, Path
from passenger.config.places import Place, document_places
from passenger.config.source import NESTING_MAX, is_deeper_than
from passenger.lazy_dataclass import dataclass

VARIABLE_PREFIX: Final = "PASSENGER__"
_ENV_DEPTHS: Final = {"apps": 3, "defaults": 2}


@dataclass(frozen=True, slots=True)
class Override:
    """One value from a flag or a variable."""

    path: Path
    text: str
    origin: Origin


def parse_overrides(*, flags: Sequence[str], environ: Mapping[str, str]) -> tuple[list[Override], list[Diagnostic]]:
    """All overrides, the weakest first: variables by name, then flags in order."""
    found: list[Override] = []
    problems: list[Diagnostic] = []
    variables = sorted(name for name in environ if name.startswith(VARIABLE_PREFIX))
    parsed = [_variable(name, environ[name]) for name in variables] + [_flag(flag) for flag in flags]
    for item in parsed:
        if isinstance(item, Override):
            found.append(item)
        else:
            problems.append(item)
    return found, problems


def apply_overrides(
    data: dict[str, Any], overrides: Sequence[Override]
) -> tuple[dict[Path, Override], list[Diagnostic]]:
    """Set the overrides in `data`; what was set is returned by path, without those that a later one replaced."""
    applied: dict[Path, Override] = {}
    problems: list[Diagnostic] = []
    if not overrides:
        return applied, problems
    places = document_places()
    for override in overrides:
        if problem := _set(data, override, _place_at(places, override.path)):
            problems.append(problem)
            continue
        for path in [path for path in applied if path[: len(override.path)] == override.path]:
            del applied[path]
        applied[override.path] = override
    return applied, problems


def parse_value(text: str, place: Place | None = None) -> Any:
    """A value given as text: TOML if it is TOML, else the text itself.

    It is parsed inside braces, so that neither a comment nor a second line can smuggle anything in.
    """
    value = _toml_value(text)
    if place is not None and place.kind == "text" and not isinstance(value, (str, list, dict)):
        return text
    return value


def _toml_value(text: str) -> Any:
    if text.rstrip().endswith(","):
        return text
    try:
        parsed = tomllib.loads(f"v = {{v = {text}}}")
    except (ValueError, RecursionError):
        return text
    if is_deeper_than(NESTING_MAX, parsed):
        return text
    is_one_value = list(parsed) == ["v"] and list(parsed["v"]) == ["v"]
    return parsed["v"]["v"] if is_one_value else text


def _place_at(places: Place, path: Path) -> Place | None:
    here: Place | None = places
    for step in path:
        here = here.below(step) if here else None
    return here


def _set(data: dict[str, Any], override: Override, place: Place | None) -> Diagnostic | None:
    table = data
    for depth, step in enumerate(override.path[:-1], 1):
        inner = table.setdefault(str(step), {})
        if not isinstance(inner, dict):
            return _not_a_table(override, depth, inner)
        table = inner
    table[str(override.path[-1])] = parse_value(override.text, place)
    return None


def _not_a_table(override: Override, depth: int, found: object) -> Diagnostic:
    shown = ".".join(str(step) for step in override.path[:depth])
    kind = "an array, which can only be set as a whole" if isinstance(found, list) else "a value, not a table"
    return Diagnostic(
        code="E132", message=f"{override.origin}: `{shown}` is {kind}", path=override.path, help=f"set `{shown}` itself"
    )


def _variable(name: str, text: str) -> Override | Diagnostic:
    steps = name.removeprefix(VARIABLE_PREFIX).split("__")
    depth = _ENV_DEPTHS.get(steps[0], 0)
    if depth and len(steps) > depth and steps[depth - 1] == "env":
        steps = [*steps[:depth], "__".join(steps[depth:])]
    if not all(steps) or len(steps) > NESTING_MAX:
        message = f"the variable `{name}` names no configuration key"
        hint = "names stand between double underscores, such as PASSENGER__apps__blog__min_instances=3"
        return Diagnostic(code="E131", message=message, help=hint)
    return Override(tuple(steps), text, Origin(kind="variable", detail=name))


def _flag(flag: str) -> Override | Diagnostic:
    for at in (number for number, char in enumerate(flag) if char == "="):
        if path := _dotted(flag[:at]):
            detail = f"--set {'.'.join(str(step) for step in path)}"
            return Override(path, flag[at + 1 :], Origin(kind="flag", detail=detail))
    name = flag.partition("=")[0] or flag  # the value may be a secret
    message = f"`--set {name}` is not `dotted.path=value`"
    return Diagnostic(code="E130", message=message, help="for example: --set apps.blog.min_instances=3")


def _dotted(text: str) -> Path:
    """The steps of a dotted key; () when it is none."""
    if "\n" in text or text.count(".") > NESTING_MAX:
        return ()
    try:
        inner: Any = tomllib.loads(f"{text} = 0")
    except ValueError:
        return ()
    steps: list[str] = []
    while isinstance(inner, dict):
        ((name, inner),) = inner.items()
        steps.append(name)
    return tuple(steps)
