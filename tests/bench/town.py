"""The instance on which promises are tried: five applications, and everything that can be done to them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from passenger.cli import api
from tests.support import projects
from tests.support.probe import wait_until
from tests.support.running import RunningInstance

CONFIG = """
config_version = 1
[instances.main]
nginx.listen = ["127.0.0.1:{port}"]
core.max_pool_size = 60
core.max_parallel_spawns = 2
core.stat_throttle_rate = "1s"

[defaults]
max_request_queue_size = 2000

[apps.shop]
app_root = "{place}/shop/releases"
server_names = ["shop.test"]
min_instances = 4
max_instances = 4
max_request_queue_size = {queue}
nginx.client_max_body_size = "{body}MiB"
env.COLOUR = "{colour}"

[apps.leaky]
app_root = "{place}/leaky/hungry"
server_names = ["leaky.test"]
min_instances = 4
max_instances = 4
memory_limit = "96MiB"
hard_memory_limit = "400MiB"

[apps.hangs]
app_root = "{place}/hangs/hungry"
server_names = ["hangs.test"]
min_instances = 4
max_instances = 4
max_request_time = "1s"

[apps.narrow]
app_root = "{place}/narrow/releases"
server_names = ["narrow.test"]
min_instances = 1
max_instances = 1
max_request_queue_size = 10

[apps.fleet]
app_root = "{place}/fleet/releases"
server_names = ["fleet.test"]
min_instances = 20
max_instances = 20
"""
APPS = {"shop": "releases", "leaky": "hungry", "hangs": "hungry", "narrow": "releases", "fleet": "releases"}


class Town:
    """Its configuration file is written when it is made."""

    def __init__(self, place: Path, port: int) -> None:
        self.place = place
        self.port = port
        self.file = place / "passenger.toml"
        for name, kind in APPS.items():
            (place / name).mkdir(mode=0o755)
            root = projects.copy(kind, place / name)
            (root / "tmp").mkdir()
            (root / "release").write_text("v1")
        self._touches = 0
        self._write(queue=1000, body=64, colour=0)

    def started(self, instance: RunningInstance) -> None:
        self.instance = instance
        instance.wait_started()

    def _write(self, *, queue: int, body: int, colour: int) -> None:
        self.file.write_text(CONFIG.format(port=self.port, place=self.place, queue=queue, body=body, colour=colour))

    def _ask(self, socket: str, verb: str) -> dict[str, Any]:
        """Without the cost of a command."""
        return api.call(str(self.instance.registry / "main" / socket), {"verb": verb}, timeout=60, what=socket)

    def group(self, app: str) -> Any:
        groups = self._ask("core_api", "status")["status"]["pool"]["groups"]
        return next(group for group in groups if group["name"] == app)

    def pids(self, app: str) -> set[int]:
        return {process["pid"] for process in self.group(app)["processes"] if process["state"] == "enabled"}

    def retirements(self, app: str, limit: str) -> list[str]:
        """Why processes were retired by this limit."""
        return [one["why"] for one in self.group(app)["retirements"] if one["why"].startswith(limit)]

    def deploy(self, app: str, release: str) -> None:
        (self.place / app / APPS[app] / "release").write_text(release)

    def touch(self, app: str) -> None:
        """A time that restart.txt has never had."""
        self._touches += 1
        path = self.place / app / APPS[app] / "tmp" / "restart.txt"
        path.touch()
        os.utime(path, (1_000_000_000 + self._touches,) * 2)

    def generation(self, app: str) -> int:
        restart = self.group(app)["restart"]
        return int(restart["generation"]) if restart else 0

    def wait_restart(self, app: str, state: str, after: int) -> None:
        """Until a restart that is newer than this generation has this state."""

        def is_so() -> bool:
            restart = self.group(app)["restart"]
            return bool(restart) and restart["state"] == state and restart["generation"] > after

        wait_until(is_so, f"a restart of {app} that is {state}", timeout=60)

    def reload(self, *, queue: int, body: int, colour: int) -> None:
        self._write(queue=queue, body=64 + body, colour=colour)
        self._ask("watchdog_api", "reload")
