"""What `passenger start` was asked for: a plain value that can be said again on the command line of a reload.

Rules.
1. `reload_arguments` of a request, parsed again, gives the same request for one instance: a reload resolves exactly
   what the start resolved, from the same folder.
2. No secret stands in it: it travels in argv, where every user of the host can read it.
"""

from __future__ import annotations

import os
from pathlib import Path

from passenger.lazy_dataclass import dataclass

DEFAULT_ADDRESS = "127.0.0.1"
DEFAULT_PORT = 3000


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    """The options of `start` that decide what runs. Paths are absolute or relative to `cwd`."""

    cwd: str
    config_file: str | None = None
    directory: str | None = None
    sets: tuple[str, ...] = ()
    instances: tuple[str, ...] = ()
    port: int | None = None
    address: str | None = None
    environment: str | None = None

    @property
    def folder(self) -> str:
        """The folder that is started when no configuration file is named."""
        return os.path.normpath(Path(self.cwd) / (self.directory or "."))

    @property
    def listen(self) -> str | None:
        """The listener that `--address` and `--port` ask for, or None when neither was given."""
        if self.port is None and self.address is None:
            return None
        host = self.address or DEFAULT_ADDRESS
        host = f"[{host}]" if ":" in host and not host.startswith("[") else host
        return f"{host}:{DEFAULT_PORT if self.port is None else self.port}"

    def reload_arguments(self, instance: str) -> list[str]:
        """Arguments of the hidden command `resolve-plan` that resolve the same for one instance."""
        options = {
            "--cwd": self.cwd,
            "--config": self.config_file,
            "--port": None if self.port is None else str(self.port),
            "--address": self.address,
            "--environment": self.environment,
            "--instance": instance,
        }
        arguments = [f"{name}={value}" for name, value in options.items() if value is not None]
        arguments += [f"--set={item}" for item in self.sets]
        return [*arguments, "--", self.directory] if self.directory is not None else arguments
