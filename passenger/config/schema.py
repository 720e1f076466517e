"""The model as a JSON schema, in two dialects with the same verdict on every plain value.

`published` is what editors read (`schema/passenger.schema.json`): draft-07 without exotic keywords, annotated, and
open for references (`${env:NAME}`, `{ file = ... }`) wherever a string may stand. `judge` is what `validate` runs
after references were followed: no annotations, no `$ref`, patterns anchored for Python's `re`.

Rules.
1. No `oneOf` or `anyOf` around what users type: `if`/`then`/`else` on the type, so that errors stay readable.
2. `additionalProperties` is false in every table whose keys the model knows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from passenger.config.instance import Listener
from passenger.config.keys import KeySpec, anchor, keys_of
from passenger.config.model import App, Config, EnvValue
from passenger.config.patterns import ENV_NAME_PATTERN, NAME_PATTERN
from passenger.config.units import (
    DURATION_PATTERN,
    SIZE_PATTERN,
    duration_text,
    size_text,
)

Schema = dict[str, Any]

DRAFT: Final = "http://json-schema.org/draft-07/schema#"
LARGEST_INTEGER: Final = 2**31 - 1
PLAIN_TEXT: Final = r"^[^\u0000-\u001f\u007f]*$"
"""No control characters: a value can never end the line it is rendered into."""
ENV_TEXT: Final = r"^[^\u0000]*$"
"""Values of environment variables may have several lines, but no NUL."""
ENV_REFERENCE: Final = r"^\$\{env:[A-Za-z_][A-Za-z0-9_]*\}$"
_SURROGATES: Final = r"\ud800-\udfff"
_REFERENCE: Final[Schema] = {
    "title": "Reference",
    "description": 'In place of a string: "${env:NAME}", { env = "NAME", default = "..." }, { file = "..." } or '
    '{ credential = "..." }.',
    "type": ["string", "object"],
    "pattern": ENV_REFERENCE,
    "properties": {name: {"type": "string"} for name in ("env", "default", "file", "credential")},
    "additionalProperties": False,
    "if": {"anyOf": [{"required": ["file"]}, {"required": ["credential"]}]},
    "then": {"maxProperties": 1},
    "else": {"if": {"type": "object"}, "then": {"required": ["env"]}},
}


def published() -> Schema:
    """The schema for editors and for people without Passenger."""
    writer = _Published()
    return {
        "$schema": DRAFT,
        "title": "Passenger",
        "description": "Configuration of Passenger-in-Python: one file for instances and applications.",
        **_whole(writer),
        "definitions": {"reference": _REFERENCE, **writer.definitions},
    }


def published_text() -> str:
    """The text of `schema/passenger.schema.json`."""
    return json.dumps(published(), indent=2, ensure_ascii=False) + "\n"


def judge() -> Schema:
    """The schema that `validate` applies to a document whose references were followed."""
    return _whole(_Judge())


def _whole(writer: _Published | _Judge) -> Schema:
    schema = writer.table(Config, "")
    schema["properties"]["defaults"] = writer.defaults()
    schema["if"] = {"required": ["defaults"], "properties": {"defaults": {"required": ["app_root"]}}}
    # An app may leave out `app_root` only when `[defaults]` has one.
    needed = {"type": "object", "required": ["app_root"]}
    schema["else"] = {"properties": {"apps": {"type": "object", "additionalProperties": needed}}}
    return schema


class _Judge:
    """Writes the lean dialect."""

    def table(self, table: type, at: str) -> Schema:
        """The schema of one table; `at` is its anchor."""
        keys = keys_of(table)
        schema: Schema = {"type": "object", "additionalProperties": False}
        # `app_root` may come from [defaults]: the top of the schema asks for it.
        required = [name for name, spec in keys.items() if spec.required and table is not App]
        if required:
            schema["required"] = required
        schema["properties"] = {name: self.key(spec, f"{at}.{name}".lstrip(".")) for name, spec in keys.items()}
        return schema

    def defaults(self) -> Schema:
        return self.nested(App, "apps")

    def nested(self, table: type, at: str) -> Schema:
        """A table inside another."""
        return self.table(table, at)

    def key(self, spec: KeySpec, at: str) -> Schema:
        """The schema of one key."""
        if spec.kind == "table" and spec.table:
            return self.nested(spec.table, at)
        if spec.kind == "tables" and spec.table:
            return {
                "type": "object",
                "propertyNames": {"pattern": self.pattern(NAME_PATTERN)},
                "additionalProperties": self.nested(spec.table, at),
            }
        if spec.kind == "env":
            names = {"pattern": self.pattern(ENV_NAME_PATTERN)}
            text = self.text({"type": "string", "pattern": self.pattern(ENV_TEXT)})
            return {"type": "object", "propertyNames": names, "additionalProperties": text}
        if spec.kind in {"strings", "integers", "listeners"}:
            return self._list(spec, at)
        return self.text(self._scalar(spec)) if self._is_text(spec) else self._scalar(spec)

    def text(self, schema: Schema) -> Schema:
        """A place where a string stands."""
        return schema

    def pattern(self, pattern: str) -> str:
        """Python's `$` also matches before a line break at the end; a schema's does not."""
        if pattern in {PLAIN_TEXT, ENV_TEXT}:
            pattern = pattern.replace("]*$", f"{_SURROGATES}]*$")
        return pattern.removesuffix("$") + r"\Z"

    def _is_text(self, spec: KeySpec) -> bool:
        return spec.kind in {"string", "path", "duration", "size"}

    def _list(self, spec: KeySpec, at: str) -> Schema:
        if spec.kind == "strings":
            return {"type": "array", "items": self.text(self._string(spec))}
        if spec.kind == "integers":
            return {"type": "array", "items": self._integer(spec)}
        address = self._string(keys_of(Listener)["address"])
        item = {
            "type": ["string", "object"],
            "if": {"type": "object"},
            "then": self.nested(Listener, at),
            "else": {name: rule for name, rule in address.items() if name != "type"},
        }
        return {"type": "array", "minItems": 1, "items": item}

    def _scalar(self, spec: KeySpec) -> Schema:
        if spec.kind == "boolean":
            return {"type": "boolean"}
        if spec.kind == "integer":
            return self._integer(spec)
        if spec.kind == "count":
            # A rule about numbers leaves strings alone, and the other way round.
            word = {"type": ["integer", "string"], "pattern": self.pattern(spec.key.pattern)}
            return {**self._integer(spec), **word}
        if spec.kind in {"duration", "size"}:
            return {"type": "string", "pattern": self.pattern(_unit_pattern(spec))}
        return self._string(spec)

    def _integer(self, spec: KeySpec) -> Schema:
        low, high = spec.key.minimum, spec.key.maximum
        schema: Schema = {"type": "integer"}
        if low is not None:
            schema["minimum"] = int(low)
        schema["maximum"] = LARGEST_INTEGER if high is None else int(high)
        return schema

    def _string(self, spec: KeySpec) -> Schema:
        if spec.key.choices:
            return {"type": "string", "enum": list(spec.key.choices)}
        if spec.key.pattern:
            return {"type": "string", "pattern": self.pattern(spec.key.pattern)}
        return {"type": "string", "minLength": 1, "pattern": self.pattern(PLAIN_TEXT)}


class _Published(_Judge):
    """Writes the annotated dialect."""

    def __init__(self) -> None:
        self.definitions: dict[str, Schema] = {}

    def pattern(self, pattern: str) -> str:
        return pattern

    def nested(self, table: type, at: str) -> Schema:
        if table.__name__ not in self.definitions:
            self.definitions[table.__name__] = {}
            self.definitions[table.__name__] = {"title": table.__name__, **self.table(table, at)}
        return {"$ref": f"#/definitions/{table.__name__}"}

    def defaults(self) -> Schema:
        said = "Any key of an application, for all applications that do not set it themselves."
        return {"title": "defaults", "description": said, "type": "object", "allOf": [super().defaults()]}

    def text(self, schema: Schema) -> Schema:
        reference = {"type": "string", "pattern": ENV_REFERENCE}
        return {
            "if": {"anyOf": [{"type": "object"}, reference]},
            "then": {"$ref": "#/definitions/reference"},
            "else": schema,
        }

    def key(self, spec: KeySpec, at: str) -> Schema:
        notes: Schema = {"title": spec.name, "description": spec.key.doc}
        if not spec.required and (shown := plain(spec, spec.default)) is not None:
            notes["default"] = shown
        if spec.key.example is not None:
            notes["examples"] = [spec.key.example]
        notes["x-since"] = spec.key.since
        notes["x-reload"] = spec.key.reload
        if spec.key.unit:
            notes["x-unit"] = spec.key.unit
        notes["x-docs"] = anchor(tuple(at.split("."))) if spec.table is None else at
        schema = super().key(spec, at)
        # Siblings of `$ref` are ignored in draft 07: the reference goes into `allOf`.
        return {**notes, "allOf": [schema]} if "$ref" in schema else {**notes, **schema}


def plain(spec: KeySpec, value: Any) -> Any:
    """A value of the model as it is written in TOML; None for no value and for tables."""
    if value is None or spec.kind in {"table", "tables"}:
        return None
    if spec.kind == "duration":
        return duration_text(value)
    if spec.kind == "size":
        return size_text(value)
    if spec.kind == "listeners":
        return [item.address for item in value]
    if spec.kind in {"strings", "integers"}:
        return list(value)
    if isinstance(value, Mapping):
        return {name: item.value if isinstance(item, EnvValue) else item for name, item in value.items()}
    return value


def _unit_pattern(spec: KeySpec) -> str:
    return DURATION_PATTERN if spec.kind == "duration" else SIZE_PATTERN
