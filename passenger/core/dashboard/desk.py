"""/dashboard: who may see what, and who may act.

    GET  /dashboard                                   the page
    GET  /dashboard/events                            what goes on, see `feed`
    GET  /dashboard/output?id=ID                      what a process wrote whose start failed; with the token
    POST /dashboard/act?verb=restart|pause|resume&app=NAME    with the token, and only with `admin.actions`

Rules.
1. The token comes as `Authorization: Bearer ...` and is compared in constant time. No browser sends that by itself, so
   no other page can make one act; there are no cookies.
2. A wrong token is a line in the log, at most one a second. It is never quoted.
3. An action is what the command of the same name does, and is logged by who carries it out.
4. Switched off, none of it is there (404).
"""

from __future__ import annotations

import asyncio
import hmac
import json
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any, Final

from passenger.config.model import InstanceConfig
from passenger.core.dashboard.feed import Feed
from passenger.core.dashboard.page import page
from passenger.core.dashboard.troubles import Troubles
from passenger.errors import PassengerError
from passenger.log import Log
from passenger.request.errorresponse import plain, response
from passenger.request.handler import Desk
from passenger.request.visit import Visit

Verb = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]
QUIET: Final = 1.0
HOLD: Final = 60.0
"""Seconds that a request is held by a pause, as `passenger pause` has it."""
_EXTRA: Final[dict[str, dict[str, Any]]] = {"restart": {}, "pause": {"hold": HOLD}, "resume": {}}


class Dashboard:
    """The desks of one core."""

    def __init__(
        self, *, loop: asyncio.AbstractEventLoop, feed: Feed, troubles: Troubles, verbs: Mapping[str, Verb], log: Log
    ) -> None:
        """`verbs`: restart, pause and resume, as the control socket has them; may be filled later."""
        self._loop = loop
        self._feed = feed
        self._troubles = troubles
        self._verbs = verbs
        self._log = log
        self._is_on = False
        self._actions = False
        self._token = b""
        self._refused_at = -QUIET
        self._acting: set[asyncio.Task[None]] = set()

    def apply(self, config: InstanceConfig) -> None:
        """Take over a configuration."""
        admin = config.instance.admin
        self._is_on, self._actions = admin.dashboard, admin.actions
        self._token = (admin.token or "").encode()
        self._feed.may_act = self._actions and bool(self._token)
        self._feed.limits([asdict(limit) for limit in config.limits])
        if not self._is_on:
            self._feed.close()

    def desks(self) -> dict[str, Desk]:
        """By the names that the web server asks for."""
        return {
            "dashboard": lambda visit: self._enter(visit, "GET", lambda: visit.answer(page())),
            "dashboard/events": lambda visit: self._enter(visit, "GET", lambda: self._feed.join(visit)),
            "dashboard/output": lambda visit: self._enter(visit, "GET", lambda: self._output(visit)),
            "dashboard/act": lambda visit: self._enter(visit, "POST", lambda: self._act(visit)),
        }

    def _enter(self, visit: Visit, method: str, go_on: Callable[[], None]) -> None:
        if not self._is_on:
            visit.answer(plain(404, "the dashboard is switched off: see admin.dashboard"))
        elif visit.method != method:
            visit.answer(plain(405, f"only {method}"))
        else:
            go_on()

    def _output(self, visit: Visit) -> None:
        if (asked := self._admitted(visit)) is None:
            return
        output = self._troubles.output(asked.get("id", ""))
        if output is None:
            visit.answer(told(404, error="there is no such failure (any more)"))
        else:
            visit.answer(told(200, output=output))

    def _act(self, visit: Visit) -> None:
        if not self._actions:
            visit.answer(told(403, error="nobody may act here: see admin.actions"))
        elif (asked := self._admitted(visit)) is not None:
            name = asked.get("verb", "")
            if name not in _EXTRA or name not in self._verbs:
                visit.answer(told(400, error=f"verb: one of {', '.join(_EXTRA)}"))
                return
            task = self._loop.create_task(self._carry_out(visit, name, asked.get("app", "")))
            self._acting.add(task)
            task.add_done_callback(self._acting.discard)

    async def _carry_out(self, visit: Visit, name: str, app: str) -> None:
        self._log.warn("somebody acts on the dashboard", verb=name, app=app, remote=visit.header(b"REMOTE_ADDR"))
        try:
            await self._verbs[name]({"apps": [app], **_EXTRA[name]})
        except PassengerError as error:
            visit.answer(told(409, error=error.message, hint=error.hint))
        except Exception as error:  # an own bug: it must cost the answer, not the core
            self._log.error("an action failed", traceback="".join(traceback.format_exception(error)))
            visit.answer(told(500, error="it failed: the log says why"))
        else:
            visit.answer(told(200, done=f"{name} {app}"))

    def _admitted(self, visit: Visit) -> dict[str, str] | None:
        """What is asked, of somebody who knows the token; None = it was answered already."""
        scheme, _, given = visit.header(b"HTTP_AUTHORIZATION").partition(" ")
        is_right = hmac.compare_digest(given.strip().encode("latin-1", "replace"), self._token)
        if not (self._token and is_right and scheme.lower() == "bearer"):
            now = self._loop.time()
            if given and now - self._refused_at >= QUIET:
                self._refused_at = now
                self._log.warn("a wrong token on the dashboard", remote=visit.header(b"REMOTE_ADDR"))
            hint = "see admin.token" if not self._token else "Authorization: Bearer TOKEN"
            visit.answer(told(401, error="that needs the token of admin.token", hint=hint))
            return None
        try:
            return visit.query()
        except ValueError:
            visit.answer(told(400, error="the query cannot be read"))
            return None


def told(status: int, **facts: str) -> bytes:
    """A response as JSON."""
    return response(status, json.dumps(facts).encode(), content_type="application/json")
