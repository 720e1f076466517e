"""The two dialects of the schema: well-formed, closed, annotated, and of one mind."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema.validators import Draft7Validator

from passenger.config.example import example, uncommented
from passenger.config.keys import keys_of, tables
from passenger.config.schema import judge, published
from passenger.config.shape import _TRANSLATORS

BAD = Path(__file__).parent / "bad"
MINIMAL: dict[str, Any] = {"config_version": 1, "apps": {"blog": {"app_root": "/srv/blog"}}}
EXOTIC = {"unevaluatedProperties", "unevaluatedItems", "prefixItems", "$dynamicRef", "dependentSchemas", "oneOf"}
BEYOND_SCHEMA = {
    "e202_newer_version.toml",  # said before the judge is asked
    "e203_float_for_integer.toml",  # 4.0 is an integer to JSON
    "e204_by_flag.toml",  # the mistake is not in the file
    "e204_by_variable.toml",
    "e205_by_variable.toml",  # the mistake is in the environment
    "e206_line_break.toml",  # `$` of Python's re, not of a schema
    "e207_duration.toml",  # amounts are compared after reading the unit
    "e207_size.toml",
}
SHAPES = sorted({path.name for path in BAD.glob("e20[1-9]_*.toml")} - BEYOND_SCHEMA)


def _parts(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for part in schema.values():
            yield from _parts(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _parts(part)


def _accepts(schema: dict[str, Any], document: object) -> bool:
    return Draft7Validator(schema).is_valid(document)


def test_well_formed() -> None:
    """Both dialects are draft-07 schemas, without keywords that editors do not know."""
    for schema in (published(), judge()):
        Draft7Validator.check_schema(schema)
        assert not EXOTIC & {keyword for part in _parts(schema) for keyword in part}


def test_every_keyword_has_words() -> None:
    """Whatever the judge can complain about has a translation."""
    structure = {"properties", "additionalProperties", "propertyNames", "items", "if", "then", "else"}
    rules = {"type", "enum", "pattern", "minLength", "minItems", "minimum", "maximum", "required"}
    table_names = {name for table in tables().values() for name in keys_of(table)}
    keywords = {keyword for part in _parts(judge()) for keyword in part} - table_names - {"defaults"}
    assert keywords <= structure | rules
    assert rules <= set(_TRANSLATORS)


def test_tables_are_closed() -> None:
    """Every table whose keys are known refuses others."""
    for part in _parts(published()):
        if "properties" in part and part.get("type") == "object" and "title" in part and part["title"] != "defaults":
            assert part["additionalProperties"] is False, part["title"]


def test_every_key_is_annotated() -> None:
    """Title, description, since and reload class stand at each key; a default wherever there is a plain one."""
    schema = published()
    for name, table in tables().items():
        properties = (schema if not name else schema["definitions"][table.__name__])["properties"]
        for key, spec in keys_of(table).items():
            notes = properties[key]
            assert {"title", "description", "x-since", "x-reload"} <= set(notes), key
            if spec.default is not None and not spec.required and spec.kind not in {"table", "tables"}:
                assert "default" in notes, key


@pytest.mark.parametrize("text", [example(), uncommented(example())])
def test_example_fits(text: str) -> None:
    """The shipped example fits both dialects, as it is and with every setting switched on."""
    document = tomllib.loads(text)
    assert _accepts(judge(), document)
    assert _accepts(published(), document)


@pytest.mark.parametrize("name", SHAPES)
def test_bad_shapes_are_refused_by_both(name: str) -> None:
    """What the judge refuses, an editor shows as wrong too."""
    document = tomllib.loads((BAD / name).read_text(encoding="utf-8"))
    assert not _accepts(judge(), document)
    assert not _accepts(published(), document)


def test_judge_refuses_a_line_break_at_the_end() -> None:
    """Python's `$` would let it pass, and the value would end the line it is rendered into."""
    assert not _accepts(judge(), {**MINIMAL, "defaults": {"app_env": "production\n"}})


@pytest.mark.parametrize(
    "value", ["${env:ROOT}", {"env": "ROOT"}, {"env": "ROOT", "default": "/x"}, {"file": "/run/x"}]
)
@pytest.mark.parametrize("key", ["app_root", "spawn_method", "base_uri", "start_timeout"])
def test_references_may_stand_for_strings(key: str, value: object) -> None:
    """Editors accept a reference wherever a string may stand."""
    assert _accepts(published(), {"config_version": 1, "apps": {"blog": {"app_root": "/srv/blog", key: value}}})


def test_judge_sees_no_references() -> None:
    """A table that still stands where a string belongs was no reference."""
    assert not _accepts(judge(), {**MINIMAL, "defaults": {"user": {"env": "USER"}}})


@pytest.mark.parametrize("value", [{"file": "/x", "env": "X"}, {"default": "x"}, {}, {"env": "X", "more": "y"}])
def test_malformed_references(value: object) -> None:
    """A table that is no reference is no string either."""
    assert not _accepts(published(), {**MINIMAL, "defaults": {"user": value}})


def test_root_may_come_from_defaults() -> None:
    """`app_root` is required unless `[defaults]` has it."""
    without = {"config_version": 1, "apps": {"blog": {}}}
    for schema in (judge(), published()):
        assert not _accepts(schema, without)
        assert not _accepts(schema, {**without, "defaults": {"user": "blog"}})
        assert _accepts(schema, {**without, "defaults": {"app_root": "/srv/blog"}})
