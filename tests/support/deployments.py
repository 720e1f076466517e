"""An application for the role passenger_app: archives of its releases, a host that is this machine, plays on it.

The host is reached by `connection: local`, everything lies in a folder of the test, and the application's user is nobody: nothing
of this machine changes but Debian packages that are missing.
"""

from __future__ import annotations

import contextlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.http import fetch
from tests.support.playbooks import Played, run

APPLICATION = """\
from pathlib import Path
{more}
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"release {name}"]
"""


@dataclass(frozen=True, slots=True)
class Deployment:
    """One application on this machine as the only host."""

    place: Path
    port: int = 0
    passenger: str = "/nonexistent/passenger"
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        return self.place / "srv" / "blog"

    @property
    def current(self) -> str:
        """The release that the link leads to."""
        return (self.root / "current").readlink().name

    def archive(self, name: str, *, more: str = "", files: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The source of a release."""
        path = self.place / f"{name}.tar.gz"
        content = {"passenger_wsgi.py": APPLICATION.format(more=more, name=name), "media/.keep": "", **(files or {})}
        with tarfile.open(path, "w:gz") as archive:
            for file, text in content.items():
                entry = tarfile.TarInfo(f"blog/{file}")
                entry.size, entry.mode = len(text), 0o644
                archive.addfile(entry, io.BytesIO(text.encode()))
        return {"type": "archive", "src": str(path), "strip": 1}

    def variables(self, release: str, source: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """One entry of passenger_deployments."""
        given = {
            "user": "nobody", "group": "nogroup", "user_create": False, "root": str(self.root), "command": self.passenger,
            "registry": str(self.place / "run"), "source": dict(source), "release": release, "install": [],
            "shared": ["media"], "restart_timeout": 60,
            "health": {"urls": [{"url": f"http://127.0.0.1:{self.port}/"}], "retries": 2, "delay": 1},
        }  # fmt: skip
        return {**given, **self.settings, **more}

    def play(self, playbook: str, release: str, source: Mapping[str, Any], *arguments: str, **more: Any) -> Played:
        """Run a playbook of ours for it."""
        host = {
            "ansible_connection": "local", "ansible_become_method": "su", "ansible_become_flags": "-s /bin/sh",
            "ansible_python_interpreter": "/usr/bin/python3",
        }  # fmt: skip
        variables = {
            "passenger_deployments": {"blog": self.variables(release, source, **more)},
            "passenger_rolling_command": self.passenger,
            "passenger_rolling_registry": str(self.place / "run"),
        }
        inventory = self.place / "inventory.json"
        inventory.write_text(json.dumps({"passenger": {"hosts": {"here": host}, "vars": variables}}))
        book = playbook if "/" in playbook else f"playbooks/{playbook}.yml"
        return run("ansible-playbook", "--inventory", str(inventory), *arguments, book, deadline=400)

    @contextlib.contextmanager
    def asked(self) -> Iterator[list[str]]:
        """What was answered, one request after the other, while the block runs."""
        answers: list[str] = []
        over = threading.Event()

        def ask() -> None:
            while not over.is_set():
                try:
                    answer = fetch(self.port)
                except OSError as error:
                    answers.append(repr(error))
                else:
                    answers.append(answer.text if answer.status == 200 else str(answer.status))

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            yield answers
        finally:
            over.set()
            asking.join(60)


def changed(played: Played) -> int:
    """How many tasks changed something."""
    return played.recaps[-1]["here"].changed
