"""What is wrong with a document, as `jsonschema` sees it: for those that do not fit (`fits`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from passenger.config.diagnostics import Path
from passenger.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One complaint of the judge."""

    path: Path
    rule: str
    """Keyword of the schema that was broken."""
    limit: Any
    """What the keyword says."""
    value: Any
    known: Mapping[str, Any]
    """Keys of the table, when it is about a table."""
    in_name: bool
    """The name of a table or variable is wrong, not its value."""


def faults(schema: dict[str, Any], data: dict[str, Any]) -> Iterator[Fault]:
    """Everything that is wrong with a document."""
    from jsonschema import validators

    # In TOML 1.0 is no integer.
    checker = validators.Draft7Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    )
    validator: Any = validators.extend(validators.Draft7Validator, type_checker=checker)  # type: ignore[no-untyped-call]
    for error in validator(schema).iter_errors(data):
        yield Fault(
            path=tuple(error.absolute_path),
            rule=error.validator,
            limit=error.validator_value,
            value=error.instance,
            known=error.schema.get("properties", {}),
            in_name="propertyNames" in error.absolute_schema_path,
        )
