"""From a StartRequest to a valid configuration: which file, which overrides, which instances.

Rules.
1. A named file wins; then `passenger.toml` in the folder; then an application in the folder; then the system's file.
2. `--port`, `--address` and `--environment` become ordinary overrides, so that reports and origins show them as such.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from passenger.cli.configuration import LOCAL_FILE, SYSTEM_FILE, accepted, judge, misuse
from passenger.cli.discovery import Found, discover
from passenger.cli.standalone import SHOWN_NAME, configuration_text
from passenger.cli.start_request import StartRequest
from passenger.config.apptypes import known_startup_files
from passenger.errors import InstanceSelectionError, InvalidConfigurationError
from passenger.lazy_dataclass import dataclass

if TYPE_CHECKING:
    from passenger.config.document import Document
    from passenger.config.host import Host
    from passenger.config.model import Config
    from passenger.config.ports import OwnPorts


@dataclass(frozen=True, slots=True)
class Source:
    """What is started: a file, or (`text` not None) the configuration that a project folder stands for."""

    file: str
    cwd: str
    text: str | None = None
    found: Found | None = None


@dataclass(frozen=True, slots=True)
class Resolution:
    """A valid configuration, what it was built from, its files (absolute), and the names of the instances meant."""

    config: Config
    document: Document
    files: tuple[str, ...]
    instances: tuple[str, ...]


def find_source(request: StartRequest, *, system_file: str = SYSTEM_FILE) -> Source:
    """Where the configuration of a request comes from. Raises InvalidConfigurationError when there is nothing."""
    if request.config_file == "-":
        raise misuse("an instance cannot run from standard input: a reload reads the file again")
    if request.config_file is not None:
        return Source(str(Path(request.cwd) / request.config_file), request.cwd)
    try:
        found = _in_folder(request, system_file)
    except PermissionError as error:  # what cannot be looked at is not the same as what is not there
        raise InvalidConfigurationError(
            f"error: {error.filename} is closed for user id {os.geteuid()}",
            hint=f"`chmod -R go+rX {request.folder}` opens it to every user; or start as the user whom it belongs to "
            "(in a container: `--user`)",
        ) from error
    if found is not None:
        return found
    tried = f"no {LOCAL_FILE} and no application in {request.folder}"
    raise InvalidConfigurationError(
        f"error: nothing to start: {tried}" + ("" if request.directory else f", and no {system_file}"),
        hint=f"an application is found by {', '.join(known_startup_files())}, by manage.py of Django, by `app` or "
        "`application` in wsgi.py, app.py or main.py, or by `main` in package.json; anything else needs a "
        "passenger.toml with `app_root` and `entry_point` or `app_start_command`",
    )


def _in_folder(request: StartRequest, system_file: str) -> Source | None:
    """What is found without a named file. Raises PermissionError."""
    local = Path(request.folder) / LOCAL_FILE
    if local.exists():
        return Source(str(local), request.cwd)
    if found := discover(Path(request.folder)):
        return Source(SHOWN_NAME, request.folder, configuration_text(request, found), found)
    if request.directory is None and Path(system_file).exists():
        return Source(system_file, request.cwd)
    return None


def resolve(
    request: StartRequest,
    source: Source,
    *,
    environ: Mapping[str, str],
    host: Host | None,
    own_ports: OwnPorts,
) -> Resolution:
    """The valid configuration of a request. Raises InvalidConfigurationError, InstanceSelectionError, UsageError."""
    flags = [*overrides(request, source, environ), *request.sets]
    loaded = judge(
        source.file, cwd=source.cwd, flags=flags, environ=environ, host=host, text=source.text, own_ports=own_ports
    )
    valid = accepted(loaded)
    files = () if source.text is not None else tuple(str(Path(source.cwd) / file) for file in valid.document.files)
    return Resolution(valid.config, valid.document, files, choose(request.instances, valid.config))


def choose(wanted: tuple[str, ...], config: Config) -> tuple[str, ...]:
    """The instances to start: those named, else all. Raises InstanceSelectionError for an unknown name."""
    unknown = [name for name in wanted if name not in config.instances]
    if unknown:
        raise InstanceSelectionError(
            f"the configuration has no instance {unknown[0]!r}", hint=f"it has {', '.join(config.instances)}"
        )
    return tuple(dict.fromkeys(wanted)) or tuple(config.instances)


def overrides(request: StartRequest, source: Source, environ: Mapping[str, str]) -> list[str]:
    """`--set` items that `--port`, `--address` and `--environment` stand for; none for a generated configuration."""
    if source.text is not None or (request.listen is None and request.environment is None):
        return []
    instances, apps = _names(source, request, environ)
    made = []
    if request.listen is not None:
        chosen = request.instances or tuple(instances)
        if len(chosen) > 1:
            raise misuse("--port and --address need one instance: choose it with --instance")
        made = [f"instances.{quoted(name)}.nginx.listen={json.dumps([request.listen])}" for name in chosen]
    if request.environment is not None:
        made += [f"apps.{quoted(name)}.app_env={json.dumps(request.environment)}" for name in apps]
    return made


def quoted(name: str) -> str:
    """A table name as a TOML key."""
    return name if "." not in name else json.dumps(name)


def _names(source: Source, request: StartRequest, environ: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Names of instances and applications as written, without judging anything: the real reading does that."""
    from passenger.config.document import read

    document, _ = read(source.file, environ=environ, flags=request.sets, cwd=source.cwd, read_secrets=False)
    data: dict[str, Any] = {} if document is None else document.data
    instances, apps = data.get("instances"), data.get("apps")
    return (
        list(instances) if isinstance(instances, dict) and instances else ["main"],
        list(apps) if isinstance(apps, dict) else [],
    )
