"""`passenger-config api-call`: one question to a control socket, the raw answer as JSON.

Passenger's own paths (`GET /pool.json`, `POST /pool/restart_app_group.json`, ...) are understood as the verbs that they
mean here, so that scripts go on working.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import click

from passenger.cli import api
from passenger.cli.options import examples, instance_option, registry_option
from passenger.cli.running import chosen_instance
from passenger.errors import EXIT_OK

METHODS: Final = frozenset({"GET", "POST", "PUT", "DELETE"})
PATHS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType({
    "/ping.json": ("", "health"),
    "/pool.json": ("core", "status"),
    "/server.json": ("core", "server"),
    "/backtraces.txt": ("core", "backtraces"),
    "/pool/restart_app_group.json": ("core", "restart"),
    "/pool/detach_process.json": ("core", "detach"),
    "/status.txt": ("watchdog", "status"),
    "/shutdown.json": ("watchdog", "stop"),
    "/reopen_logs.json": ("watchdog", "reopen_logs"),
})  # fmt: skip
"""Path of Passenger's sockets -> which of ours ("" = the one that is asked for), verb."""


@click.command(
    epilog=examples(
        "passenger-config api-call health",
        "passenger-config api-call --socket watchdog status",
        """passenger-config api-call POST /pool/detach_process.json --data '{"pid": 4711}'""",
    )
)
@click.argument("words", nargs=-1, required=True, metavar="[METHOD] VERB|PATH")
@click.option("--data", "-d", default="{}", metavar="JSON", help="Fields of the question, as a JSON object.")
@click.option("--data-file", "-f", type=click.Path(exists=True, dir_okay=False), help="File with such an object.")
@click.option(
    "--socket",
    "-a",
    "where",
    type=click.Choice(("core", "watchdog", "core_api", "watchdog_api")),
    help="Whom to ask.  [default: core, or whoever answers the PATH]",
)
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), default=60.0, show_default=True, help="Seconds."
)
@instance_option
@registry_option
def api_call(
    *,
    words: tuple[str, ...],
    data: str,
    data_file: str | None,
    where: str | None,
    timeout: float,
    instance: str | None,
    registry: str | None,
) -> int:
    """Ask a control socket one VERB and print the answer as JSON.

    A refusal is an error with exit status 1. `passenger-config api-call help` is refused with the list of verbs.
    """
    place, verb = meaning(words, where)
    question = fields(data if data_file is None else Path(data_file).read_text(encoding="utf-8"))
    record = chosen_instance(instance, registry)
    path = record.paths.core_api if place == "core" else record.paths.watchdog_api
    if verb == "restart":
        question = as_restart(question)
    what = f"the {place} of instance {record.name}"
    print(json.dumps(api.call(path, {**question, "verb": verb}, timeout=timeout, what=what), indent=2))
    return EXIT_OK


def meaning(words: tuple[str, ...], where: str | None) -> tuple[str, str]:
    """Socket and verb. Raises UsageError."""
    rest = words[1:] if words[0].upper() in METHODS else words
    if len(rest) != 1:
        raise click.UsageError("give one VERB or PATH, with a METHOD before it at most")
    asked = "" if where is None else where.removesuffix("_api")
    name = rest[0]
    if not name.startswith("/"):
        return asked or "core", name
    if name not in PATHS:
        raise click.UsageError(f"there is no path {name}; known are {', '.join(PATHS)}")
    place, verb = PATHS[name]
    if verb == "health" and asked == "watchdog":
        verb = "status"
    return place or asked or "core", verb


def as_restart(question: Mapping[str, Any]) -> dict[str, Any]:
    """Passenger's `{"name": ..., "restart_method": ...}` in our words; ours stay as they are."""
    ours = {word: value for word, value in question.items() if word not in {"name", "restart_method"}}
    if "name" in question:
        ours.setdefault("apps", [question["name"]])
    if question.get("restart_method", "default") != "default":
        ours.setdefault("method", question["restart_method"])
    return ours


def fields(text: str) -> dict[str, Any]:
    """The question's fields. Raises UsageError."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"--data is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise click.UsageError("--data is no JSON object")
    return found
