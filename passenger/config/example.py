"""The commented example `config/passenger.toml`: every key with its document line.

Rules.
1. Explanations start with `# `, settings that are switched off with `#` alone: whoever removes that mark everywhere
   gets a valid file (a test does).
2. A setting shows the model's example, else its default.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Final

from passenger.config.instance import Instance
from passenger.config.keys import KeySpec, keys_of
from passenger.config.model import App
from passenger.config.schema import plain

WIDTH: Final = 100
INSTANCE: Final = "main"
APP: Final = "blog"
LEFT_OUT: Final = {
    "startup_file": "In place of `entry_point`",
    "app_start_command": "In place of `entry_point`, for any other program",
    "ruby": "For Rack",
    "nodejs": "For Node.js",
    "meteor_app_settings": "For Meteor",
    "force_max_concurrent_requests_per_process": "For all types but WSGI and Rack",
}
"""Keys that do not go with the ones that are shown, and where they belong."""

HEAD: Final = """\
#:schema ../schema/passenger.schema.json
# Every setting of Passenger, generated from its model (python -m passenger.config.generate).
# Lines that start with "# " explain; remove the "#" before a setting to change it.
# `passenger validate FILE` checks a file, docs/configuration.md is the reference.

# Version of the file format.
config_version = 1
"""


def example() -> str:
    """The text of the file."""
    parts = [HEAD]
    parts += _table(Instance, f"instances.{INSTANCE}", "One running set of watchdog, core and web server.")
    parts += [_comment("Any key of an application may stand here, for all applications that do not set it themselves.")]
    parts += [_heading("defaults"), '#app_env = "production"\n']
    parts += _table(App, f"apps.{APP}", "One application.")
    return "\n".join(parts).replace("\n\n\n", "\n\n")


def _table(table: type, name: str, about: str) -> Iterator[str]:
    keys = keys_of(table).values()
    yield _comment(about) + "\n" + _heading(name)
    for spec in keys:
        if spec.kind not in {"table", "env"}:
            yield _setting(spec) + "\n"
    for spec in keys:
        if spec.kind == "env":
            yield _comment(spec.key.doc) + "\n" + _heading(f"{name}.{spec.name}")
            yield "".join(f"#{key} = {toml(value)}\n" for key, value in spec.key.example.items())
        elif spec.kind == "table" and spec.table:
            yield from _table(spec.table, f"{name}.{spec.name}", spec.key.doc)


def _setting(spec: KeySpec) -> str:
    about = spec.key.doc
    if spec.key.default_doc:
        about += f" Default: {spec.key.default_doc}."
    if spec.name in LEFT_OUT:
        return _comment(about) + "\n" + _comment(f"{LEFT_OUT[spec.name]}: {spec.name} = {toml(shown(spec))}")
    return _comment(about) + f"\n#{spec.name} = {toml(shown(spec))}"


def shown(spec: KeySpec) -> Any:
    """The value that stands for a key in an example."""
    if spec.key.example is not None:
        return spec.key.example
    if spec.default is None and spec.key.choices:
        return spec.key.choices[0]
    return plain(spec, spec.default)


def toml(value: Any) -> str:
    """A plain value as TOML on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(toml(item) for item in value)}]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {toml(item)}" for name, item in value.items()) + " }"
    return str(value)


def uncommented(text: str) -> str:
    """The example with every setting switched on."""
    lines = text.splitlines()
    live = (line[1:] if line[:1] == "#" and line[1:2] not in {" ", ":", ""} else line for line in lines)
    return "\n".join(live) + "\n"


def _heading(name: str) -> str:
    return f"#[{name}]\n"


def _comment(text: str) -> str:
    return "\n".join(f"# {line}" for line in textwrap.wrap(text, WIDTH))
