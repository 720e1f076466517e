"""What `passenger start` is, in a container: what the image adds where arguments leave it open, and `start` itself.

Rule: `start` without `--config` and without a folder is `/app/passenger.toml`, else `/etc/passenger/passenger.toml`,
else the application in `/app`, on every address, port 8080, as `production`, with a drain that fits `docker stop`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from passenger.cli.configuration import LOCAL_FILE, SYSTEM_FILE
from passenger.cli.standalone import instance_name
from passenger.cli.start_request import StartRequest
from passenger.errors import InvalidConfigurationError

APP: Final = "/app"
ADDRESS: Final = "0.0.0.0"  # noqa: S104 - a container's own network; what is published is decided outside
PORT: Final = 8080
ENVIRONMENTS: Final = ("PASSENGER_APP_ENV", "RAILS_ENV", "RACK_ENV", "NODE_ENV", "WSGI_ENV")
"""The first that is set names the environment of an application without a configuration."""
DRAIN_KEY: Final = "drain_timeout"
DRAIN: Final = "8s"
"""Less than the 10 s that `docker stop` leaves; a configuration says what else it should be."""
NOTHING: Final[Mapping[str, Any]] = MappingProxyType(
    dict.fromkeys(("config_file", "directory", "address", "port", "environment")) | {"sets": ()}
)
"""The parameters of `passenger start` without arguments."""
SPELLING: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"directory": (), "config_file": ("--config",), "sets": ("--set",)}
)
"""Of parameters whose option has another name; an argument has none."""


def start(given: list[str], environ: Mapping[str, str]) -> int:
    """`passenger start`. Whoever sees `nothing to start` in a container has most likely mounted or copied nothing."""
    try:
        return _start(given, environ)
    except InvalidConfigurationError as error:
        if "nothing to start" in error.message:
            error.hint += (
                f'\nhint: in a container: `docker run -v "$PWD":{APP} ...` mounts an application, `COPY . {APP}` in a '
                "Dockerfile puts it in"
            )
        raise


def _start(given: list[str], environ: Mapping[str, str]) -> int:
    """Without arguments there is nothing to parse, and click need not be loaded."""
    from passenger.cli.main import dispatch
    from passenger.cli.starting import run

    if given:
        return dispatch(["start", *start_arguments(given, environ, exists=os.path.exists)])
    return run(StartRequest(cwd=str(Path.cwd()), **additions(NOTHING, environ, exists=os.path.exists)))


def start_arguments(given: Sequence[str], environ: Mapping[str, str], *, exists: Callable[[str], bool]) -> list[str]:
    """The arguments of `passenger start`: those given, and what a container adds where they leave it open."""
    chosen = _parameters(given)
    if chosen is None:
        return list(given)
    added = []
    for name, value in additions(chosen, environ, exists=exists).items():
        options = SPELLING.get(name, (f"--{name}",))
        added += [word for item in (value if name == "sets" else [value]) for word in (*options, str(item))]
    return [*given, *added]


def additions(
    chosen: Mapping[str, Any], environ: Mapping[str, str], *, exists: Callable[[str], bool]
) -> dict[str, Any]:
    """What a container adds to the parameters of `passenger start`, by their names in a StartRequest."""
    folder = chosen["directory"]
    if chosen["config_file"] is not None or (folder is not None and exists(f"{folder}/{LOCAL_FILE}")):
        return {}
    if folder is None:
        for file in (f"{APP}/{LOCAL_FILE}", SYSTEM_FILE):
            if exists(file):
                return {"config_file": file}
    added: dict[str, Any] = {} if folder is not None else {"directory": APP}
    defaults = {"address": ADDRESS, "port": PORT, "environment": _environment(environ)}
    added |= {name: value for name, value in defaults.items() if chosen[name] is None}
    if not any(DRAIN_KEY in item for item in (*chosen["sets"], *environ)):
        added["sets"] = (f"instances.{instance_name(folder or APP)}.watchdog.{DRAIN_KEY}={DRAIN}",)
    return added


def _parameters(given: Sequence[str]) -> dict[str, Any] | None:
    """What click makes of the arguments; None for a mistake in them, which `start` itself explains."""
    import click

    from passenger.cli.start import start

    try:
        return start.make_context("passenger start", list(given), resilient_parsing="--help" in given).params
    except click.UsageError:
        return None


def _environment(environ: Mapping[str, str]) -> str:
    return next((value for name in ENVIRONMENTS if (value := environ.get(name))), "production")
