"""A site of one application, whose only file is written for the test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.installation import Installation, hand_over
from tests.support.running import RunningInstance, free_port, running


@dataclass(frozen=True)
class OneApp:
    instance: RunningInstance
    root: Path
    port: int


@contextmanager
def one_app(
    installation: Installation, place: Path, name: str, source: str, keys: str = "", *, processes: int = 2
) -> Iterator[OneApp]:
    """`name` with `source` in the application's folder, served by so many processes."""
    root, port = place / "worker", free_port()
    root.mkdir()
    (root / name).write_text(source)
    hand_over(root)
    config = place / "passenger.toml"
    config.write_text(
        f"""
config_version = 1
[instances.main]
nginx.listen = ["127.0.0.1:{port}"]
[apps.worker]
app_root = "{root}"
min_instances = {processes}
max_instances = {processes}
max_request_queue_size = 2000
{keys}
"""
    )
    with running(installation.passenger, config) as instance:
        instance.wait_started()
        yield OneApp(instance, root, port)
