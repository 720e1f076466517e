"""The own error pages of applications (`custom_error_page`): read at the start and at each reload.

Rules.
1. Read as the application's user, in a process of its own: the file is under that user's control, and so is every
   symbolic link on the way to it.
2. Off the loop, bounded in size and time. A page that cannot be read is logged; the page that was there before stays,
   or Passenger's own is shown.
"""

from __future__ import annotations

import asyncio
import subprocess
import threading
from collections.abc import Callable, Mapping
from typing import Final

from passenger.config.model import App
from passenger.errors import PassengerError
from passenger.log import Log
from passenger.posix.users import Identity
from passenger.spawn.failure import SpawnFailure
from passenger.spawn.spec import SpawnContext, work_out

LARGEST: Final = 256 * 1024
TIME_LIMIT: Final = 5.0


class PageError(PassengerError):
    """There is no page to show."""


class OwnPages:
    """Keeps the pages of one instance. `show` gets all of them whenever one has changed."""

    def __init__(self, context: SpawnContext, show: Callable[[Mapping[str, bytes]], None], log: Log) -> None:
        self._context = context
        self._show = show
        self._log = log
        self._pages: dict[str, bytes] = {}
        self._reading: asyncio.Task[None] | None = None

    def apply(self, apps: Mapping[str, App]) -> None:
        """Read the pages of these applications, and forget those of others. Returns at once."""
        wanted = {name: app for name, app in apps.items() if app.custom_error_page is not None}
        if wanted or self._pages:
            before = self._reading
            self._reading = asyncio.get_running_loop().create_task(self._read(wanted, before))

    async def _read(self, wanted: Mapping[str, App], before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await before  # two reloads at once: the later one has the last word
        pages: dict[str, bytes] = {}
        for name, app in wanted.items():
            try:
                pages[name] = await asyncio.to_thread(self._page, name, app)
            except PageError as error:
                self._log.error("custom_error_page cannot be shown", app=name, why=error.message, hint=error.hint)
                if name in self._pages:
                    pages[name] = self._pages[name]
        self._pages = pages
        self._show(pages)

    def _page(self, name: str, app: App) -> bytes:
        path = app.custom_error_page or ""
        context = self._context
        try:
            identity = work_out(name, app, context).identity
        except SpawnFailure as error:
            raise PageError(f"{path}: {error.summary}", hint=error.hint) from error
        script = f"{context.helper_scripts}/page_reader.py"
        argv = [context.python, "-I", "-S", script, path, str(LARGEST)]
        try:
            return read_as(identity, argv)
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            hint = f"user {identity.account.name} must be able to read it"
            raise PageError(f"{path}: {error}", hint=hint) from error


def read_as(identity: Identity, argv: list[str]) -> bytes:
    """What a program prints as that user. Raises ValueError with its complaint, OSError, SubprocessError."""
    switch = identity.switched
    with subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={},
        cwd="/",
        user=identity.uid if switch else None,
        group=identity.gid if switch else None,
        extra_groups=list(identity.groups) if switch else None,
    ) as child:
        assert child.stdout is not None
        timer = threading.Timer(TIME_LIMIT, child.kill)
        timer.start()
        data = child.stdout.read(LARGEST + 1)
        if len(data) > LARGEST:
            child.kill()
        status = child.wait()
        timer.cancel()
    if status == 0 and len(data) <= LARGEST:
        return data
    raise ValueError(data.decode("utf-8", "replace").strip()[:300] if status > 0 else "it could not be read in time")
