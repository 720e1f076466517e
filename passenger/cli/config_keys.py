"""`passenger config keys`: every key of the configuration, from the one model."""

from __future__ import annotations

import json
from dataclasses import MISSING
from typing import Any

import click

from passenger.cli.effective import SECRET
from passenger.cli.options import examples, format_option
from passenger.config.keys import TABLE_KINDS, KeySpec, keys_of, tables
from passenger.config.units import duration_text, size_text
from passenger.errors import EXIT_OK

PLACES = {"instances": "instances.NAME", "apps": "apps.NAME"}


@click.command(
    epilog=examples("passenger config keys", "passenger config keys apps", "passenger config keys --format json")
)
@click.argument("prefix", metavar="[PREFIX]", default="")
@format_option("text", "json")
def keys(prefix: str, form: str) -> int:
    """List the keys whose path begins with PREFIX: type, default, how a change is applied, and what they mean."""
    found = [facts for facts in every_key() if facts["key"].startswith(prefix)]
    if not found:
        raise click.UsageError(f"no key begins with {prefix!r}; `passenger config keys` lists them all")
    if form == "json":
        print(json.dumps(found, indent=2))
    else:
        print("\n".join(map(_lines, found)))
    return EXIT_OK


def every_key() -> list[dict[str, Any]]:
    """One record per key, in the order of the model."""
    return [
        _facts(anchor, spec)
        for anchor, table in tables().items()
        for spec in keys_of(table).values()
        if spec.kind not in TABLE_KINDS or spec.kind == "env"
    ]


def _facts(anchor: str, spec: KeySpec) -> dict[str, Any]:
    first, _, rest = anchor.partition(".")
    place = ".".join(part for part in (PLACES.get(first, first), rest, spec.name) if part)
    key = spec.key
    return {
        "key": place,
        "type": spec.kind,
        "required": spec.required,
        "default": None if spec.required else _plain(spec),
        "default_doc": key.default_doc,
        "choices": list(key.choices),
        "reload": key.reload,
        "since": key.since,
        "doc": key.doc,
    }


def _plain(spec: KeySpec) -> Any:
    """A default as a user would write it."""
    default = spec.default
    if default is None or default is MISSING:
        return None
    match spec.kind:
        case "duration":
            return duration_text(default)
        case "size":
            return size_text(default)
        case "listeners":
            return [listener.address for listener in default]
        case "env":
            return {name: SECRET if value.secret else value.value for name, value in default.items()}
    return list(default) if isinstance(default, tuple) else default


def _lines(facts: dict[str, Any]) -> str:
    default = facts["default_doc"] or ("" if facts["default"] is None else json.dumps(facts["default"]))
    notes = [
        "required" if facts["required"] else f"default {default}" if default else "no default",
        f"one of {', '.join(facts['choices'])}" if facts["choices"] else "",
        "applied by a reload" if facts["reload"] == "live" else "a reload restarts what uses it",
        f"since {facts['since']}",
    ]
    return f"{facts['key']} ({facts['type']}; {'; '.join(filter(None, notes))})\n    {facts['doc']}"
