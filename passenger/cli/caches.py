"""The caches of a running instance: which applications have one, and where it is."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from passenger.config.model import InstanceConfig
from passenger.config.resolved import decode
from passenger.errors import HostError, PassengerError
from passenger.instance.registry import InstanceRecord
from passenger.webserver import cache


def configuration(record: InstanceRecord) -> InstanceConfig:
    """What the instance runs with at the moment. Raises HostError."""
    try:
        return decode(InstanceConfig, json.loads(Path(record.paths.config).read_text(encoding="utf-8")))
    except OSError as error:
        raise HostError(
            f"cannot read what instance {record.name} runs with: {error.strerror}",
            hint="use sudo, or become the user that started the instance",
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise HostError(
            f"instance {record.name} runs with a configuration of another version",
            hint="restart it with this version of passenger",
        ) from error


def folders(record: InstanceRecord, config: InstanceConfig) -> dict[str, str]:
    """Application with a cache -> its folder."""
    found = cache.cached(config)
    return {name: cache.folder(record.paths, config.name, name, app.cache) for name, app in found.items()}


def folder_of(record: InstanceRecord, app: str) -> str:
    """The folder of one application's cache. Raises HostError, and PassengerError when there is none."""
    config = configuration(record)
    if app not in config.apps:
        known = ", ".join(sorted(config.apps))
        raise PassengerError(f"instance {record.name} has no application {app!r}", hint=f"it has: {known}")
    found = folders(record, config).get(app)
    if found is None:
        raise PassengerError(f"the application {app} has no cache", hint=f"set `enabled` in [apps.{app}.cache]")
    return found


@contextlib.contextmanager
def nginxs_files(what: str) -> Iterator[None]:
    """Around work with files of nginx's own, which nobody but its user and root may touch. Raises HostError."""
    try:
        yield
    except PermissionError as error:
        raise HostError(
            f"{what}: permission denied for {error.filename or 'its folder'}",
            hint="use sudo, or become the user that started the instance",
        ) from error
