"""The reference page `docs/configuration.md`: one section per table, one row per key, one row per diagnostic code."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Final

from passenger.config.apptypes import APP_TYPES, PYTHON, AppType
from passenger.config.codes import CODES
from passenger.config.example import toml
from passenger.config.instance import Listener
from passenger.config.keys import KeySpec, Kind, keys_of
from passenger.config.model import Config
from passenger.config.schema import plain
from passenger.config.units import DURATION_UNITS, SIZE_UNITS

TYPES: Final[dict[Kind, str]] = {
    "string": "string",
    "integer": "integer",
    "boolean": "boolean",
    "count": "integer or string",
    "duration": "duration",
    "size": "size",
    "path": "path",
    "strings": "array of strings",
    "integers": "array of integers",
    "listeners": "array of strings or tables",
    "env": "table of strings",
    "table": "table",
    "tables": "tables by name",
}

HEAD: Final = f"""\
# Configuration

Generated from the model (`python -m passenger.config.generate`): change the model in `passenger/config`, not this page.

A configuration is one TOML file. `config/passenger.toml` shows every key, `schema/passenger.schema.json` tells editors,
`passenger validate FILE` finds every mistake, and `passenger config show --origin` says where each value came from.

- **Durations** are strings with one unit: {", ".join(f"`{unit}`" for unit in DURATION_UNITS)}, such as `"90s"`.
- **Sizes** are strings with one unit: {", ".join(f"`{unit}`" for unit in SIZE_UNITS)}, such as `"512MiB"`.
- **Paths** that do not start with `/` start at the folder of the file that holds them; `startup_file`, `python`,
  `ruby`, `nodejs`, `meteor_app_settings`, `document_root` and `custom_error_page` start at `app_root`. A program name
  without a slash is looked up in PATH.
- **References** stand in place of a whole string: `"${{env:NAME}}"`, `{{ env = "NAME", default = "..." }}`,
  `{{ file = "/run/secrets/name" }}` or `{{ credential = "name" }}` (of systemd's `LoadCredential=`; where a
  path is wanted, its path). `"$${{env:NAME}}"` is the text itself.
- **More files**: `conf.d/*.toml` beside the file are read too, by name. Tables merge, a value that is set twice is an
  error. An empty file there is switched off.
- **Overrides**: `--set apps.blog.min_instances=3` goes before `PASSENGER__apps__blog__min_instances=3` in the
  environment, and that before the files.
- **Reload**: a *live* key takes effect with `passenger reload`; a *restart* key replaces the processes it concerns.
"""


def reference() -> str:
    """The text of the page."""
    return "\n".join(
        [HEAD, *_section(Config, "", "The top of the file."), _defaults(), *_sections(Config, ""), _types(), _codes()]
    )


def _sections(table: type, at: str) -> Iterator[str]:
    for name, spec in keys_of(table).items():
        if spec.table is None:
            continue
        here = f"{at}.{name}".lstrip(".")
        yield from _section(spec.table, here, _about(spec.table) or spec.key.doc)
        yield from _sections(spec.table, here)


def _about(table: type) -> str:
    """What a table's class says after its name; Python before 3.13 keeps the indentation of further lines."""
    return inspect.cleandoc((table.__doc__ or "").partition(": ")[2])


def _section(table: type, at: str, about: str) -> Iterator[str]:
    yield f"{_mark(table, at)}## {_title(table, at)}\n" if at else "## Top of the file\n"
    yield about[:1].upper() + about[1:] + "\n"
    yield "| Key | Type | Default | Unit | Reload | Since | Meaning |\n| --- | --- | --- | --- | --- | --- | --- |"
    for name, spec in keys_of(table).items():
        yield _row(spec, f"{at}.{name}".lstrip("."))
    yield ""


def _mark(table: type, at: str) -> str:
    """An anchor, where the row of the key has none."""
    return "" if table is Listener else f'<a id="{at}"></a>\n'


def _title(table: type, at: str) -> str:
    parts = at.split(".")
    header = ".".join([parts[0], "NAME", *parts[1:]])
    return f"`[[{header}]]`" if table is Listener else f"`[{header}]`"


def _row(spec: KeySpec, at: str) -> str:
    key = spec.key
    about = key.doc
    if key.choices:
        about += " One of " + ", ".join(f"`{choice}`" for choice in key.choices) + "."
    if key.pattern_help:
        about += f" Form: {key.pattern_help}."
    if limits := _limits(spec):
        about += f" {limits}."
    unit = {"duration": "duration", "size": "size", "amount": "size"}.get(key.unit, "")
    name = f"[`{spec.name}`](#{at})" if spec.table and spec.kind != "listeners" else f'<a id="{at}"></a>`{spec.name}`'
    cells = [name, TYPES[spec.kind], _default(spec), unit, key.reload, key.since, about]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _limits(spec: KeySpec) -> str:
    bounds = []
    for word, bound in (("At least", spec.key.minimum), ("At most", spec.key.maximum)):
        if bound is not None:
            value = float(bound) if spec.kind == "duration" else int(bound)
            shown = value if spec.kind == "integers" else plain(spec, value)
            bounds.append(f"{word} `{shown}`")
    return ". ".join(bounds)


def _default(spec: KeySpec) -> str:
    if spec.required:
        return "(required)"
    if spec.kind in {"table", "tables"}:
        return ""
    if spec.kind == "env":
        return "(empty)"
    if spec.default is None:
        return spec.key.default_doc or "none"
    return f"`{toml(plain(spec, spec.default))}`"


def _defaults() -> str:
    return (
        '<a id="defaults"></a>\n## `[defaults]`\n\nAny key of an application, for all applications that do not set it '
        "themselves. Tables (`env`, `inherit`, `nginx`) merge key by key. A key that only some types of applications "
        "know (`python`, `thread_count`, ...) counts for those.\n"
    )


def _types() -> str:
    head = (
        '<a id="types"></a>\n## Types of applications\n\n`app_type` decides; else `app_start_command` means `generic`, '
        "an `entry_point` Python, the name of `startup_file` its type; else the first startup file of this table that "
        "is in `app_root`.\n\n| `app_type` | Startup file | Interpreter | Preloader (`smart`) | Requests at a time |\n"
        "| --- | --- | --- | --- | --- |\n"
    )
    return head + "\n".join(_type(kind) for kind in (*APP_TYPES, PYTHON)) + "\n"


def _type(kind: AppType) -> str:
    files = ", ".join(f"`{name}`" for name in kind.startup_files)
    files += "".join(f", `{name}` beside `{marker}`" for marker, name in kind.markers)
    if kind.is_folder:
        files += " (a folder)"
    cells = [
        f"`{kind.name}`" if kind in APP_TYPES else "(none)",
        files or ("`app_start_command`" if kind in APP_TYPES else "`entry_point`"),
        f"`{kind.interpreter}`" if kind.interpreter else "Passenger's own",
        "yes" if kind.preloader else "no",
        _at_a_time(kind),
    ]
    return "| " + " | ".join(cells) + " |"


def _at_a_time(kind: AppType) -> str:
    words = {
        "thread_count": kind.has_threads,
        "force_max_concurrent_requests_per_process": kind.speaks_http,
    }
    return " or ".join(f"`{key}`" for key, counts in words.items() if counts)


def _codes() -> str:
    rows = "\n".join(f"| {code} | {meaning} |" for code, meaning in CODES.items())
    return (
        '<a id="codes"></a>\n## Codes\n\nE1xx: files and TOML. E2xx: shape. E3xx: keys that contradict each other. '
        "E4xx: this host. E5xx: the place where it is to run (`validate --target`). W: warnings."
        f"\n\n| Code | Meaning |\n| --- | --- |\n{rows}\n"
    )
