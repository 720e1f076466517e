"""Saying that the instance is up, or why it is not: to people, and to `start --daemonize`."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping


class Announcer:
    """The first of `ready` and `failed` counts for the readiness descriptor."""

    def __init__(self, *, readiness_fd: int | None) -> None:
        self._fd = readiness_fd
        if readiness_fd is not None:
            os.set_inheritable(readiness_fd, False)

    def ready(self, urls: Mapping[str, str]) -> None:
        lines = "".join(f"{app}: {url}\n" for app, url in urls.items())
        with contextlib.suppress(OSError):  # nobody reads our output: no reason not to serve
            os.write(1, lines.encode("utf-8", "replace"))
        self._answer({"ready": True})

    def failed(self, reason: str) -> None:
        self._answer({"error": reason})

    def _answer(self, message: Mapping[str, object]) -> None:
        if self._fd is None:
            return
        fd, self._fd = self._fd, None
        with contextlib.suppress(OSError):  # the starter gave up waiting
            os.write(fd, json.dumps(message).encode() + b"\n")
        os.close(fd)
