"""Does a value fit a schema, yes or no? `jsonschema` is loaded only where there is something to be explained.

Rules.
1. The verdict is that of `jsonschema` on the dialect of `schema.judge`; a property test holds the two together.
2. A keyword that is not known here is a mistake in the program, never passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

Schema = Mapping[str, Any]


def fits(schema: Schema, value: Any) -> bool:
    """Whether every keyword of the schema is content with the value."""
    if "if" in schema:
        branch = schema.get("then" if fits(schema["if"], value) else "else")
        if branch is not None and not fits(branch, value):
            return False
    return all(name in _BRANCHES or _RULES[name](schema, value) for name in schema)


def _type(schema: Schema, value: Any) -> bool:
    wanted = schema["type"]
    return any(_is(name, value) for name in wanted) if isinstance(wanted, list) else _is(wanted, value)


def _is(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, _TYPES[name])


def _properties(schema: Schema, value: Any) -> bool:
    if not isinstance(value, dict):
        return True
    known = schema["properties"]
    return all(fits(known[name], item) for name, item in value.items() if name in known)


def _additional(schema: Schema, value: Any) -> bool:
    if not isinstance(value, dict):
        return True
    known, others = schema.get("properties", {}), schema["additionalProperties"]
    unknown = [item for name, item in value.items() if name not in known]
    return not unknown if others is False else all(fits(others, item) for item in unknown)


def _names(schema: Schema, value: Any) -> bool:
    return not isinstance(value, dict) or all(fits(schema["propertyNames"], name) for name in value)


def _required(schema: Schema, value: Any) -> bool:
    return not isinstance(value, dict) or all(name in value for name in schema["required"])


def _items(schema: Schema, value: Any) -> bool:
    return not isinstance(value, list) or all(fits(schema["items"], item) for item in value)


def _pattern(schema: Schema, value: Any) -> bool:
    return not isinstance(value, str) or re.search(schema["pattern"], value) is not None


def _at_least(schema: Schema, value: Any) -> bool:
    return not _is_number(value) or value >= schema["minimum"]


def _at_most(schema: Schema, value: Any) -> bool:
    return not _is_number(value) or value <= schema["maximum"]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TYPES: Final[Mapping[str, type]] = {"string": str, "integer": int, "boolean": bool, "object": dict, "array": list}
_BRANCHES: Final = frozenset({"if", "then", "else"})
_RULES: Final[Mapping[str, Callable[[Schema, Any], bool]]] = {
    "type": _type,
    "enum": lambda schema, value: value in schema["enum"],
    "pattern": _pattern,
    "minLength": lambda schema, value: not isinstance(value, str) or len(value) >= schema["minLength"],
    "minimum": _at_least,
    "maximum": _at_most,
    "items": _items,
    "minItems": lambda schema, value: not isinstance(value, list) or len(value) >= schema["minItems"],
    "properties": _properties,
    "additionalProperties": _additional,
    "propertyNames": _names,
    "required": _required,
}
