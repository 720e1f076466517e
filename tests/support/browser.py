"""A headless Chromium for tests, driven over its DevTools protocol: JSON, ended by NUL, on two inherited pipes.

Nothing here waits for time: a page is looked at again when its document changes, and everything has a deadline.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.nodeapps import needed

DEADLINE = 60.0
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # it does not run as root with one
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--remote-debugging-pipe",
)
FROM_US, TO_US = 3, 4
"""Descriptors that Chromium reads commands from and writes answers to."""


class Browser:
    """A running Chromium with a profile of its own."""

    def __init__(self, folder: str) -> None:
        program = needed("chromium", "chromium")
        commands_read, self._commands = os.pipe()
        self._answers, answers_write = os.pipe()
        self._held = b""
        self._number = 0
        self._events: list[dict[str, Any]] = []
        self._log = os.memfd_create("chromium")
        redirect = f'exec "$@" {FROM_US}<&{commands_read} {TO_US}>&{answers_write}'
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", redirect, "browser", program, *FLAGS, f"--user-data-dir={folder}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            pass_fds=(commands_read, answers_write),
            env={**os.environ, "HOME": folder},
            start_new_session=True,
        )
        os.close(commands_read)
        os.close(answers_write)

    def page(self, url: str) -> Page:
        """A page that has loaded, in a window that shares nothing with the others."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable", session)
        answer = self.call("Page.navigate", session, url=url)
        assert "errorText" not in answer, answer
        self._until(lambda said: said.get("sessionId") == session and said.get("method") == "Page.loadEventFired")
        return Page(self, session)

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """The result of a command of the DevTools protocol."""
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._commands, data) :]
        answer = self._until(lambda said: said.get("id") == number)
        assert "error" not in answer, (method, answer)
        result: dict[str, Any] = answer["result"]
        return result

    def close(self) -> None:
        """The browser ends by itself when its command pipe does, else it is killed, with all its processes."""
        os.close(self._commands)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)
            os.close(self._answers)
            os.close(self._log)

    def _until(self, wanted: Any) -> dict[str, Any]:
        """The first message that is wanted; what comes before is kept for later."""
        for number, said in enumerate(self._events):
            if wanted(said):
                return self._events.pop(number)
        deadline = time.monotonic() + DEADLINE
        while True:
            said = self._next(deadline)
            if wanted(said):
                return said
            self._events.append(said)

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._held:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, deadline - time.monotonic()))
            piece = os.read(self._answers, 65536) if ready else b""
            assert piece, ("chromium said nothing" if not ready else "chromium ended") + ":\n" + self._output()
            self._held += piece
        line, _, self._held = self._held.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message

    def _output(self) -> str:
        return os.pread(self._log, 100_000, 0).decode(errors="replace")


class Page:
    """A page in a browser."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session

    def value(self, expression: str) -> Any:
        """What a JavaScript expression gives; of a promise, what it is fulfilled with."""
        answer = self._browser.call(
            "Runtime.evaluate", self._session, expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_for(self, expression: str) -> Any:
        """The value of an expression, as soon as it counts as true: asked again whenever the document changes."""
        return self.value(
            "new Promise((done) => {"
            f"const look = () => {{ const found = {expression}; if (found) done(found); }};"
            "new MutationObserver(look).observe(document, { subtree: true, childList: true, characterData: true });"
            "look(); })"
        )

    def type(self, text: str) -> None:
        """What a person does who types into the field with the cursor and presses Enter."""
        self._browser.call("Page.bringToFront", self._session)
        self._browser.call("Input.insertText", self._session, text=text)
        enter = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13}
        self._browser.call("Input.dispatchKeyEvent", self._session, type="keyDown", text="\r", **enter)
        self._browser.call("Input.dispatchKeyEvent", self._session, type="keyUp", **enter)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser for the time of a `with` block."""
    folder = tempfile.mkdtemp(dir="/tmp", prefix="pc")
    try:
        browser = Browser(folder)
        try:
            yield browser
        finally:
            browser.close()
    finally:
        shutil.rmtree(folder)
