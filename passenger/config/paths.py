"""Where an instance lives: pure naming, from the configuration and the facts of the process to absolute paths.

Nothing here touches the file system; `passenger.instance` creates, checks, locks and cleans.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from passenger.lazy_dataclass import dataclass

if TYPE_CHECKING:  # the watchdog imports this file and must stay small
    from passenger.config.model import InstanceConfig

UNIX_PATH_MAX: Final = 107
"""Longest path a Unix socket can be bound to, in bytes (108 with the NUL; measured, fact N11)."""

TEMP_DIR: Final = "/tmp"  # noqa: S108 - the owner and mode of our folder below it are checked

APP_SOCKET_NAME_LENGTH: Final = 32
"""Bytes that an application socket's file name may take below `apps/`."""


@dataclass(frozen=True, slots=True)
class InstancePaths:
    """The files of one instance directory."""

    root: str

    @property
    def lock(self) -> str:
        return f"{self.root}/lock"

    @property
    def properties(self) -> str:
        return f"{self.root}/properties.json"

    @property
    def config(self) -> str:
        return f"{self.root}/config.json"

    @property
    def request(self) -> str:
        return f"{self.root}/request"

    @property
    def request_http(self) -> str:
        return f"{self.root}/request_http"

    @property
    def core_api(self) -> str:
        return f"{self.root}/core_api"

    @property
    def watchdog_api(self) -> str:
        return f"{self.root}/watchdog_api"

    @property
    def core_api_readers(self) -> str:
        return readers_socket(self.core_api)

    @property
    def watchdog_api_readers(self) -> str:
        return readers_socket(self.watchdog_api)

    @property
    def apps(self) -> str:
        return f"{self.root}/apps"

    @property
    def nginx(self) -> str:
        return f"{self.root}/nginx"

    @property
    def nginx_conf(self) -> str:
        """`nginx/current` is a symbolic link to the generation in use, switched by rename."""
        return f"{self.root}/nginx/current/nginx.conf"

    @property
    def leaving(self) -> str:
        """There while the instance leaves; nginx looks for it."""
        return f"{self.root}/nginx/leaving"

    @property
    def creation_finalized(self) -> str:
        return f"{self.root}/creation_finalized"

    def longest_socket(self) -> str:
        """The longest path that will be bound."""
        return max((f"{self.apps}/{'x' * APP_SOCKET_NAME_LENGTH}", self.request_http, self.watchdog_api), key=len)


def readers_socket(path: str) -> str:
    """The socket beside a control socket on which readers may ask."""
    return f"{path}_ro"


def registry_dir(configured: str | None, *, environ: Mapping[str, str], euid: int, temp_dir: str = TEMP_DIR) -> str:
    """The folder that holds instance directories (design: section 3)."""
    if configured:
        return configured
    if from_environment := environ.get("PASSENGER_INSTANCE_REGISTRY_DIR"):
        return from_environment
    if euid == 0:
        return "/run/passenger"
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        return f"{runtime.rstrip('/')}/passenger"
    return f"{temp_dir.rstrip('/')}/passenger-{euid}"


def instance_paths(
    config: InstanceConfig, *, environ: Mapping[str, str], euid: int, temp_dir: str = TEMP_DIR
) -> InstancePaths:
    """The paths of an instance."""
    registry = registry_dir(config.instance.registry_dir, environ=environ, euid=euid, temp_dir=temp_dir)
    return InstancePaths(root=f"{registry.rstrip('/')}/{config.name}")
