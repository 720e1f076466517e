"""Does the document have the shape of the model? `fits` says so at once; else `jsonschema` says what, in words of ours.

Rules.
1. Every mistake is reported, each at the exact key or value, with what was expected and what was found.
2. A file of another format version gets that one error and nothing else.
3. Paths with an unresolved reference are passed over: they are reported already.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from passenger.config.addresses import address_guess
from passenger.config.diagnostics import Path
from passenger.config.document import Document
from passenger.config.faults import Fault, faults
from passenger.config.findings import Findings, table_name
from passenger.config.fits import fits
from passenger.config.keys import KeySpec, spec_at, table_at
from passenger.config.patterns import ENV_NAME_HELP, NAME_HELP
from passenger.config.schema import judge
from passenger.config.suggest import closest
from passenger.config.units import duration_guess, size_guess
from passenger.config.unknown import report_unknown
from passenger.log import printable

NEWEST_VERSION: Final = 1
TYPE_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "string": "a string",
        "integer": "an integer",
        "boolean": "true or false",
        "object": "a table",
        "array": "an array",
    }
)


def check(document: Document, findings: Findings) -> bool:
    """Report every mistake of shape. False when nothing further can be said about the document."""
    if not _version(document, findings):
        return False
    schema = judge()
    if fits(schema, document.data):
        return True
    for fault in faults(schema, document.data):
        if fault.path not in document.unresolved and not findings.is_unread(fault.path):
            _TRANSLATORS[fault.rule](findings, fault.path, fault)
    return True


def _version(document: Document, findings: Findings) -> bool:
    version = document.data.get("config_version")
    if version is None:
        findings.add(
            "E201",
            (),
            "`config_version` is missing",
            at="table",
            label=f"add `config_version = {NEWEST_VERSION}` as the first key",
            docs="config_version",
        )
        return True
    if isinstance(version, int) and not isinstance(version, bool) and version > NEWEST_VERSION:
        findings.add(
            "E202",
            ("config_version",),
            f"the file has format version {version}, but this Passenger knows versions up to {NEWEST_VERSION}",
            label="newer than this Passenger",
            help="install a newer Passenger, or write the file for version 1",
        )
        return False
    return True


def _unknown(findings: Findings, path: Path, fault: Fault) -> None:
    for name in fault.value:
        if name not in fault.known:
            report_unknown(findings, path, name)


def _missing(findings: Findings, path: Path, fault: Fault) -> None:
    for name in fault.limit:
        if name in fault.value or (*path, name) == ("config_version",):
            continue
        spec = spec_at((*path, name))
        example = f' such as `{name} = "{spec.key.example}"`' if spec and spec.key.example else ""
        where = table_name(path) if path[0] == "apps" else "this table"
        findings.add(
            "E208",
            (*path, name),
            f"{where} has no `{name}`",
            at="table",
            label=f"add `{name}`{example}" if example else f"add `{name}`",
        )


def _wrong_type(findings: Findings, path: Path, fault: Fault) -> None:
    spec = None if isinstance(path[-1], int) else spec_at(path)
    if spec and spec.key.unit in {"duration", "size", "amount"} and is_number(fault.value):
        _without_unit(findings, path, spec, fault.value)
        return
    wanted = fault.limit if isinstance(fault.limit, list) else [fault.limit]
    expected = " or ".join(TYPE_NAMES[name] for name in wanted)
    found = type_name(fault.value)
    findings.add(
        "E203",
        path,
        f"{_called(path)} has the wrong type",
        label=f"expected {expected}, found {found}",
        help=_type_help(path, wanted, fault.value),
    )


def _without_unit(findings: Findings, path: Path, spec: KeySpec, number: float) -> None:
    guess = duration_guess(str(number)) if spec.kind == "duration" else size_guess(str(number))
    units = "ms, s, m, h, d" if spec.kind == "duration" else "B, KiB, MiB, GiB, KB, MB, GB"
    kind = "size" if spec.key.unit == "amount" else spec.kind
    fix = f'write `{spec.name} = "{guess}"`' if guess else f"write a string with one of the units {units}"
    findings.add(
        "E209",
        path,
        f"`{spec.name}` is a {kind} and needs a unit",
        label=fix,
        help=f"units are {units}",
    )


def _choice(findings: Findings, path: Path, fault: Fault) -> None:
    if not isinstance(fault.value, str):
        return  # its type is wrong, and that is said already
    choices = [str(choice) for choice in fault.limit]
    near = closest(fault.value, choices)
    listed = ", ".join(f"`{choice}`" for choice in choices)
    findings.add(
        "E205",
        path,
        f"{_called(path)} cannot be {findings.quote(path, fault.value)}",
        label=f"did you mean `{near}`?" if near else f"expected {listed}",
        help=f"`{path[-1]}` takes {listed}" if near else "",
    )


def _malformed(findings: Findings, path: Path, fault: Fault) -> None:
    if fault.in_name:
        _bad_name(findings, path, str(fault.value))
        return
    spec = spec_at(path)
    text = str(fault.value)
    if spec and spec.kind in {"duration", "size"}:
        _bad_quantity(findings, path, spec, text)
    elif spec and spec.kind == "listeners":
        _bad_form(findings, path, _address_help(path), text)
    elif spec and spec.key.pattern:
        _bad_form(findings, path, spec.key.pattern_help, text, help=_form_help(spec, path, text))
    else:
        findings.add(
            "E212",
            path,
            f"{_called(path)} contains a character that cannot be used here",
            label=f"{_strange(text)} cannot stand in this value",
        )


def _form_help(spec: KeySpec, path: Path, text: str) -> str:
    if spec.kind == "count" and text.isascii() and text.isdecimal():
        return _bare(path, text)
    guess = size_guess(text) if spec.key.unit == "amount" else ""
    return f'write `"{guess}"`' if guess else ""


def _bad_form(findings: Findings, path: Path, form: str, text: str, *, help: str = "") -> None:  # noqa: A002
    guess = address_guess(text) if form.startswith("ADDRESS") else ""
    findings.add(
        "E206",
        path,
        f"{_called(path)} cannot be {findings.quote(path, text)}",
        label=f"expected {form}",
        help=f'write `"{guess}"`' if guess else help,
    )


def _bad_quantity(findings: Findings, path: Path, spec: KeySpec, text: str) -> None:
    duration = spec.kind == "duration"
    guess = duration_guess(text) if duration else size_guess(text)
    forms = "`500ms`, `90s`, `5m`, `2h` or `1d`" if duration else "`512B`, `64KiB`, `20MiB` or `1GiB`"
    findings.add(
        "E210",
        path,
        f"{findings.quote(path, text)} is not a {spec.kind}",
        label=f'did you mean `"{guess}"`?' if guess else f"expected a number and one unit, such as {forms}",
        help=f"write a number and one unit, such as {forms}" if guess else "",
    )


def _bad_name(findings: Findings, path: Path, name: str) -> None:
    variables = path[-1:] == ("env",)
    kind = "an environment variable" if variables else f"an {str(path[0])[:-1]}"
    findings.add(
        "E211",
        (*path, name),
        f'"{printable(name)}" cannot be the name of {kind}',
        at="key",
        label=f"names are {ENV_NAME_HELP if variables else NAME_HELP}",
    )


def _out_of_range(findings: Findings, path: Path, fault: Fault) -> None:
    if not isinstance(fault.value, int):
        return  # its type is wrong, and that is said already
    low, limit = fault.rule == "minimum", fault.limit
    value = findings.quote(path, fault.value).strip("`")
    findings.add(
        "E207",
        path,
        f"{_called(path)} is too {'small' if low else 'large'}: {value}",
        label=f"{limit} is the {'least' if low else 'most'}",
    )


def _empty(findings: Findings, path: Path, fault: Fault) -> None:
    what = "list" if isinstance(fault.value, list) else "string"
    findings.add(
        "E213",
        path,
        f"{_called(path)} is an empty {what}",
        label="give a value, or leave the key out to get its default",
    )


def _called(path: Path) -> str:
    """A value in a message: `user`, `server_names[1]`, `[apps.blog]`."""
    name, index = (path[-2], f"[{path[-1]}]") if isinstance(path[-1], int) else (path[-1], "")
    spec = spec_at(path)
    table = table_at(path) if not index and (spec is None or spec.kind == "table") else None
    if table is not None or (path[:1] in {("apps",), ("instances",)} and len(path) == 1):
        return f"`[{printable('.'.join(str(part) for part in path))}]`"
    return f"`{printable(str(name))}{index}`"


def _type_help(path: Path, wanted: Iterable[str], value: object) -> str:
    wanted = list(wanted)
    if wanted == ["string"] and (is_number(value) or isinstance(value, bool)):
        return f'put it into quotes: `"{str(value).lower()}"`'
    if wanted == ["integer"] and isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
        return _bare(path, value)
    if wanted == ["boolean"]:
        words = {"true": "true", "yes": "true", "on": "true", "1": "true"}
        words |= {"false": "false", "no": "false", "off": "false", "0": "false"}
        word = words.get(str(value).lower())
        return f"write `{path[-1]} = {word}`" if word else ""
    if wanted == ["array"] and isinstance(value, str):
        return f'put it into brackets: `{path[-1]} = ["..."]`'
    if wanted == ["object"] and path[:1] in {("apps",), ("instances",)} and len(path) <= 2:
        return f"each {str(path[0])[:-1]} is a table of its own: `[{path[0]}.NAME]`"
    if wanted == ["object"] and path[-1:] == ("env",) and isinstance(value, (str, list)):
        return 'one variable per key: `env = { NAME = "value" }`'
    if wanted == ["string"] and isinstance(value, dict):
        forms = '`{ file = "..." }`, `{ credential = "..." }` or `{ env = "NAME", default = "..." }`'
        return f"a table here is {forms}, with no other key"
    return ""


def _bare(path: Path, value: str) -> str:
    return "leave out the quotes: " + (f"`{value}`" if isinstance(path[-1], int) else f"`{path[-1]} = {value}`")


def type_name(value: object) -> str:
    """The TOML type of a value, with its article."""
    if isinstance(value, bool):
        return "a boolean"
    for kind, name in (
        (str, "a string"),
        (int, "an integer"),
        (float, "a float"),
        (dict, "a table"),
        (list, "an array"),
    ):
        if isinstance(value, kind):
            return name
    return "a date or time"


def is_number(value: object) -> bool:
    """Integer or float, and no boolean."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _address_help(path: Path) -> str:
    spec = spec_at((*path, "address"))
    return spec.key.pattern_help if spec else ""


def _strange(text: str) -> str:
    for character in text:
        if not character.isprintable():
            return f"the character U+{ord(character):04X}"
    return "one of the characters"


_TRANSLATORS: Final[Mapping[str, Callable[[Findings, Path, Fault], None]]] = MappingProxyType(
    {
        "additionalProperties": _unknown,
        "required": _missing,
        "type": _wrong_type,
        "enum": _choice,
        "pattern": _malformed,
        "minimum": _out_of_range,
        "maximum": _out_of_range,
        "minLength": _empty,
        "minItems": _empty,
    }
)
