"""`passenger start` without a configuration: the text of the configuration that a project folder stands for.

The text goes through the same reader and checks as a file would, so that a mistake is explained the same way.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from passenger.cli.discovery import Found
from passenger.cli.start_request import DEFAULT_ADDRESS, DEFAULT_PORT, StartRequest

SHOWN_NAME = "<passenger start>"
"""Stands in reports where a file name would."""

_FORBIDDEN = re.compile(r"[^A-Za-z0-9_.-]+")


def instance_name(folder: str) -> str:
    """A valid instance name after the folder's."""
    return _FORBIDDEN.sub("-", Path(folder).name).lstrip("_.-")[:63].rstrip("-") or "main"


def configuration_text(request: StartRequest, found: Found) -> str:
    """TOML for one instance with one application."""
    import tomli_w

    name = instance_name(request.folder)
    app: dict[str, Any] = {"app_root": request.folder, "app_env": request.environment or "development"}
    if found.entry_point:
        app["entry_point"] = found.entry_point
    if found.startup_file:
        app |= {"app_type": found.app_type, "startup_file": found.startup_file}
    listen = request.listen or f"{DEFAULT_ADDRESS}:{DEFAULT_PORT}"
    return tomli_w.dumps(
        {"config_version": 1, "instances": {name: {"nginx": {"listen": [listen]}}}, "apps": {name: app}}
    )
