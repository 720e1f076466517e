"""Filters of the roles: variables in the structure of passenger.toml, checked and written as TOML, on the controller.

1. One schema serves editors, `passenger validate` and these variables (files/passenger.schema.json, a generated copy).
2. Every mistake is told with the variable it stands in, what it says, and what is right there.
3. `passenger_toml` has no opinion about keys; it writes any JSON value but null, which TOML has not.
"""

from __future__ import annotations

import datetime as dt
import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from ansible.errors import AnsibleFilterError

BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+\Z")
SHOWN: Final = 60
"""Characters of a wrong value that are shown."""
SECRETS: Final = frozenset({"env"})
"""Tables whose values are not shown, also when they are wrong."""


def passenger_toml(value: Mapping[str, Any]) -> str:
    """A table as the text of a TOML file."""
    if not isinstance(value, Mapping):
        raise AnsibleFilterError(f"passenger_toml needs a table, not {kind(value)}")
    return "\n".join(table(value, ())).lstrip("\n") + "\n"


def passenger_files(config: Mapping[str, Any], apps: Mapping[str, Any]) -> dict[str, str]:
    """The files of a configuration: name below its folder -> text; an application has a file of its own."""
    files = {f"conf.d/{name}.toml": passenger_toml({"apps": {name: app}}) for name, app in apps.items()}
    return {"passenger.toml": passenger_toml(config)} | files


def table(value: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    """The lines of a table and of the tables in it: values first, because what follows a header belongs to it."""
    tables = {name: entry for name, entry in value.items() if isinstance(entry, Mapping) and entry}
    if path and (len(tables) < len(value) or not value):
        yield f"\n[{'.'.join(key(part) for part in path)}]"
    for name, entry in value.items():
        if name not in tables:
            yield f"{key(name)} = {inline(entry, (*path, str(name)))}"
    for name, entry in tables.items():
        yield from table(entry, (*path, str(name)))


def key(name: Any) -> str:
    """A key, quoted where it must be."""
    return str(name) if BARE_KEY.match(str(name)) else string(str(name))


def string(text: str) -> str:
    """A basic string: those of JSON are that, but for one character that JSON lets through."""
    return json.dumps(str(text), ensure_ascii=False).replace("\x7f", "\\u007f")


def inline(value: Any, path: tuple[str, ...]) -> str:
    """A value within a line. Raises AnsibleFilterError for what TOML has no word for."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return string(value)
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key(name)} = {inline(entry, (*path, str(name)))}' for name, entry in value.items())}}}"
    if isinstance(value, Sequence):
        return f"[{', '.join(inline(entry, path) for entry in value)}]"
    raise AnsibleFilterError(f"{'.'.join(path)}: {kind(value)} cannot stand in TOML; leave the key out")


def kind(value: Any) -> str:
    """What a value is, in the words of YAML."""
    return "null" if value is None else type(value).__name__


def passenger_mistakes(
    value: Mapping[str, Any], schema: Mapping[str, Any], variable: str, under: str = ""
) -> list[str]:
    """What is wrong with a variable, one line each; `under` is the key of the file that it is the value of."""
    try:
        from jsonschema import Draft7Validator
    except ImportError:
        raise AnsibleFilterError(
            "the controller needs the Python package jsonschema to check variables: pip install jsonschema"
        ) from None
    plain = json.loads(json.dumps(value, default=str))
    whole = {"config_version": 1, under: plain} if under else plain
    known = tables_of(schema)
    errors = sorted(
        Draft7Validator(dict(schema)).iter_errors(whole), key=lambda error: [str(p) for p in error.absolute_path]
    )
    return list(dict.fromkeys(line for error in errors for line in told(error, variable, under, known)))


def tables_of(schema: Mapping[str, Any]) -> list[set[str]]:
    """The keys of every table of the schema, for suggestions."""
    return [set(part.get("properties", {})) for part in (schema, *schema.get("definitions", {}).values())]


def told(error: Any, variable: str, under: str, known: list[set[str]]) -> Iterator[str]:
    """One line for an error of the schema; one per key where several keys are unknown."""
    if error.context and error.validator in {"anyOf", "oneOf"}:
        deepest = max(error.context, key=lambda inner: len(inner.absolute_path))
        if len(deepest.absolute_path) > len(error.absolute_path):
            yield from told(deepest, variable, under, known)
            return
    path = [str(part) for part in error.absolute_path]
    place = ".".join([variable, *(path[1:] if under else path)])
    if error.validator == "additionalProperties":
        here = set(error.schema.get("properties", {}))
        for name in sorted(set(error.instance) - here):
            close = difflib.get_close_matches(str(name), here, n=1)
            advice = f"did you mean `{close[0]}`?" if close else elsewhere(name, known)
            yield f"{place}: unknown key `{name}`; {advice}"
        return
    is_secret = bool(SECRETS.intersection(path[:-1]))
    says = "" if is_secret or isinstance(error.instance, Mapping) else f" = {json.dumps(error.instance)[:SHOWN]}"
    yield f"{place}{says}: {wanted(error)}"


def elsewhere(name: str, known: list[set[str]]) -> str:
    """What to do about a key that nothing in its table resembles."""
    return "it belongs into another table" if any(name in keys for keys in known) else "take it out"


def wanted(error: Any) -> str:
    """What would be right."""
    words: dict[str, Callable[[], str]] = {
        "enum": lambda: f"must be one of {', '.join(map(str, error.validator_value))}",
        "required": lambda: error.message.replace("'", "`").replace("is a required property", "is missing"),
        "type": lambda: f"must be of the type {' or '.join(listed(error.validator_value))}",
        "minimum": lambda: f"must be at least {error.validator_value}",
        "maximum": lambda: f"must be at most {error.validator_value}",
    }
    plain = words.get(error.validator)
    if plain is not None:
        return plain()
    shape = error.schema.get("description") or f"it must match {json.dumps(error.validator_value)[:SHOWN]}"
    examples = error.schema.get("examples") or []
    return f"is not what belongs there: {shape}" + (f" For example: {json.dumps(examples[0])}" if examples else "")


def listed(value: Any) -> list[str]:
    """The types that the schema allows."""
    return [value] if isinstance(value, str) else [str(entry) for entry in value]


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name -> function."""
        return {
            "passenger_files": passenger_files,
            "passenger_mistakes": passenger_mistakes,
            "passenger_toml": passenger_toml,
        }
