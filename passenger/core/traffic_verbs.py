"""Verbs of the core's API about traffic: `pause`, `resume`, `maintenance`, `drain`.

    {"verb": "pause", "apps": [...] | "all": true, "hold": seconds, "wait": seconds}    hold requests
    {"verb": "resume", "apps": [...] | "all": true}                                     let them go on
    {"verb": "maintenance", "apps": [...] | "all": true, "on": true,
     "page": html, "allow": [network, ...], "retry_after": seconds}                     answer 503; or "on": false
    {"verb": "drain", "on": true | false}                                               readiness fails, or no more
Answers: {"apps": {name: {"traffic": TrafficStatus | null, ...}}}; of `drain`: {"drained_at": seconds | null}.

Rules.
1. Each change is told to the watchdog, which tells it to the next core: what an operator has closed stays closed when
   a core dies. It ends with the instance, and for an application with its removal from the configuration.
2. Each change is a log line.
3. A page comes with the question, read by whoever asks: the core opens no file on another's word.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from passenger.clock import Clock
from passenger.config.addresses import check_network
from passenger.core.probes import Probes
from passenger.errors import PassengerError
from passenger.log import Log
from passenger.pool.pool import Pool
from passenger.request.gate import Maintenance, Pause
from passenger.request.traffic import Traffic

LONGEST: Final = 86400.0
LOOK: Final = 0.05
"""Seconds between looks at whether what runs has finished."""

MOST_ALLOWED: Final = 100
DRAINED: Final = "drained"
APP: Final = "app:"

Keep = Callable[[str, Mapping[str, Any] | None], None]


class TrafficVerbs:
    """What the API is given; each public method but `restore` and `follow` is a verb."""

    def __init__(self, traffic: Traffic, pool: Pool, probes: Probes, *, clock: Clock, log: Log, keep: Keep) -> None:
        """`keep` tells the watchdog what is to survive this core, by a key; None = nothing more."""
        self._traffic = traffic
        self._pool = pool
        self._probes = probes
        self._clock = clock
        self._log = log
        self._keep = keep
        self._kept: set[str] = set()
        """Applications about which the watchdog knows something."""

    def restore(self, kept: Mapping[str, Any], apps: Collection[str]) -> None:
        """Take over what the core before has told the watchdog."""
        for key, value in kept.items():
            name = key.removeprefix(APP)
            try:
                if key == DRAINED:
                    self._probes.drained_at = float(value["at"])
                else:
                    self._kept.add(name)
                    self._traffic.restore(name, value)
            except (KeyError, TypeError, ValueError) as error:  # said by a core of another version
                self._log.error("what the last core kept is not understood", about=key, reason=str(error))
            else:
                self._log.warn("goes on where the last core has ended", about=key)
        self._traffic.only(apps)
        self.follow(apps)

    def follow(self, apps: Collection[str]) -> None:
        """A configuration holds: applications that are not in it leave nothing behind."""
        for name in [name for name in self._kept if name not in apps]:
            self._changed(name)

    async def pause(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Hold the requests of some applications, and wait until what runs has finished."""
        names, hold = self._named(question), self._seconds(question, "hold")
        deadline = self._clock.monotonic() + self._seconds(question, "wait")
        for name in names:
            self._traffic.pause(name, Pause(since=self._clock.wall(), hold=hold))
            self._log.warn("paused: requests are held", app=name, hold=hold)
            self._changed(name)
        while any(self._running(name) for name in names) and self._clock.monotonic() < deadline:  # noqa: ASYNC110 - nobody is told of each session: that would cost every request
            await asyncio.sleep(LOOK)
        return self._answer(names, {name: {"running": self._running(name)} for name in names})

    async def resume(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Let the requests that were held go on."""
        names = self._named(question)
        told = {}
        for name in names:
            before = self._traffic.status(name)
            was_paused = before is not None and before["paused_at"] is not None
            released = self._traffic.resume(name)
            told[name] = {"was_on": was_paused, "released": released}
            if was_paused:
                self._log.info("resumed", app=name, held=released)
            self._changed(name)
        return self._answer(names, told)

    async def maintenance(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Answer the requests of some applications with a page, or end that."""
        names, maintenance = self._named(question), None
        if self._is_on(question):
            maintenance = Maintenance(
                since=self._clock.wall(),
                retry_after=max(1, round(self._seconds(question, "retry_after", default=60.0))),
                page=_text(question.get("page", "")),
                allow=_networks(question.get("allow", [])),
            )
        told = {}
        for name in names:
            was_on = self._traffic.maintain(name, maintenance)
            told[name] = {"was_on": was_on}
            if maintenance is not None:
                self._log.warn("maintenance: requests are answered 503", app=name, allow=", ".join(maintenance.allow))
            elif was_on:
                self._log.info("maintenance is over", app=name)
            self._changed(name)
        return self._answer(names, told)

    async def drain(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Have load balancers send nothing more, or send again; whatever comes is served."""
        is_on = self._is_on(question)
        if is_on != (self._probes.drained_at is not None):
            self._probes.drained_at = self._clock.wall() if is_on else None
            self._keep(DRAINED, {"at": self._probes.drained_at} if is_on else None)
            self._log.warn("drained: readiness fails, requests are served" if is_on else "not drained any more")
        return {"drained_at": self._probes.drained_at}

    def _changed(self, name: str) -> None:
        kept = self._traffic.kept(name)
        if kept is not None or name in self._kept:
            self._keep(APP + name, kept)
        if kept is not None:
            self._kept.add(name)
        else:
            self._kept.discard(name)

    def _answer(self, names: list[str], told: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        return {"apps": {name: {**told[name], "traffic": self._traffic.status(name)} for name in names}}

    def _running(self, name: str) -> int:
        """Requests in processes and in the queue; WebSockets stay as they are, so they do not count."""
        at_work = sum(one.sessions + one.beside - len(one.upgraded) for one in self._pool.processes_of(name))
        return at_work + self._pool.queue_of(name)

    def _named(self, question: Mapping[str, Any]) -> list[str]:
        known = self._pool.names()
        asked = known if question.get("all") is True else question.get("apps")
        if not isinstance(asked, list) or not asked:
            raise PassengerError("no application was named", hint='"apps": [NAME, ...] or "all": true')
        for name in asked:
            if name not in known:
                listed = ", ".join(known) or "none; the instance may be stopping"
                raise PassengerError(f"there is no application {name!r} here", hint=f"applications: {listed}")
        return list(dict.fromkeys(asked))

    @staticmethod
    def _is_on(question: Mapping[str, Any]) -> bool:
        said = question.get("on")
        if not isinstance(said, bool):
            raise PassengerError("on or off?", hint='"on": true or false')
        return said

    @staticmethod
    def _seconds(question: Mapping[str, Any], name: str, *, default: float = 0.0) -> float:
        said = question.get(name, default)
        if not isinstance(said, int | float) or isinstance(said, bool) or not 0 <= said <= LONGEST:
            raise PassengerError(f"{name}: {said!r} is no time", hint=f"seconds, at most {LONGEST:g}")
        return float(said)


def _text(said: Any) -> str:
    if not isinstance(said, str):
        raise PassengerError("the page is no text", hint='"page": "<html>..."')
    return said


def _networks(said: Any) -> tuple[str, ...]:
    if not isinstance(said, list) or len(said) > MOST_ALLOWED:
        raise PassengerError("`allow` is no list of addresses", hint=f"at most {MOST_ALLOWED} addresses or networks")
    for one in said:
        try:
            check_network(str(one))
        except ValueError as error:
            raise PassengerError(f"{one!r} may not pass: {error}", hint="such as 192.0.2.7 or 10.0.0.0/8") from error
    return tuple(said)
