"""Leads a child from its exec to its Ready answer: SpawnPreparer's reports first, then the spawn talk.

Rules.
1. Callbacks only; the outcome is one future with the Ready block or a SpawnFailure.
2. Each thing that is heard moves the journey on, so that a failure or a timeout names the right step.
3. What the child says is hostile: sizes are bounded, unknown words are failures, never exceptions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from passenger.errors import ProtocolError
from passenger.spawn.failure import SpawnFailure
from passenger.spawn.journey import Journey, Stages, Step
from passenger.spawn.output import OutputReader
from passenger.spawn.running import StartedProcess
from passenger.wire import control
from passenger.wire.spawn import SpawnTalk
from passenger.wire.spawnevents import AnswerBegan, Broken, Event, Explained, Output, Ready, RequestWanted

MAX_REPORT: Final = 64 * 1024


class Negotiation:
    """One per spawn. A forked process was prepared long ago: it has no report pipe."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        process: StartedProcess,
        report_fd: int | None,
        journey: Journey,
        request: bytes,
        first_step: Step,
        stages: Stages,
        talk: SpawnTalk,
        set_limits: Callable[[], None] | None = None,
    ) -> None:
        self.result: asyncio.Future[Ready] = loop.create_future()
        self.is_over_by_itself = False
        """The child has ended, or is about to end, by itself."""
        self._process = process
        self._journey = journey
        self._request = request
        self._stages = stages
        self._talk = talk
        self._set_limits = set_limits
        self._reports = control.Decoder(max_line=MAX_REPORT)
        self._report = None
        if report_fd is not None:
            self._report = OutputReader(
                loop=loop, fd=report_fd, take=self._reported, tick=lambda: None, at_end=self._report_ended
            )
        self._prepared = False
        journey.begin(first_step)
        process.stdout.hand_over(self.said, self._stdout_ended)
        process.when_exited(lambda _exit: self._ended())

    def close(self) -> None:
        """No more is listened to; output goes on to the log."""
        if self._report is not None:
            self._report.close()
        self._process.stdout.hand_over(lambda data: self._process.take_output("stdout", data), None)
        if not self.result.done():
            self.result.cancel()

    # What the child says on its stdout

    def said(self, data: bytes) -> None:
        """Bytes of its stdout, in order."""
        self._drain_report()
        for event in self._talk.feed(data):
            self._happened(event)

    def _stdout_ended(self) -> None:
        self._drain_report()
        for event in self._talk.feed_eof():
            self._happened(event)

    def _drain_report(self) -> None:
        """What was reported before comes first."""
        if self._report is not None:
            self._report.drain()

    def _happened(self, event: Event) -> None:
        match event:
            case Output(data):
                self._process.take_output("stdout", data)
            case RequestWanted():
                self._preparer_done()
                self._journey.begin(self._stages.load)
                if not self._process.write_request(self._request):
                    self._fail(SpawnFailure("request-not-read", "it does not read the request that it asked for"))
            case AnswerBegan():
                self._journey.begin(self._stages.announce)
            case Ready():
                if not self.result.done():
                    self.result.set_result(event)
            case Explained(text, _):
                self._preparer_done()
                self.is_over_by_itself = True
                self._fail(_explained(text))
            case Broken(fault, detail):
                self.is_over_by_itself = fault.value.startswith("ended-")
                self._fail(SpawnFailure(fault.value, detail))

    # What SpawnPreparer says on the report pipe

    def _reported(self, data: bytes) -> None:
        try:
            messages = self._reports.feed(data)
        except ProtocolError as error:
            self._fail(SpawnFailure("preparer-garbage", f"SpawnPreparer: {error.message}"))
            return
        for message in messages:
            self._reported_one(message)

    def _reported_one(self, message: dict[str, Any]) -> None:
        if message.get("step") == "started":
            self._journey.begin(Step.PREPARER)
        elif message.get("step") == "limits" and self._set_limits is not None:
            self._limit(self._set_limits)
        elif message.get("step") == "prepared":
            self._prepared = True
        elif isinstance(problem := message.get("error"), dict):
            category, summary, hint = (str(problem.get(key, "")) for key in ("category", "message", "hint"))
            self.is_over_by_itself = True
            self._fail(SpawnFailure(category, summary, hint=hint))

    def _limit(self, set_limits: Callable[[], None]) -> None:
        """It waits for what only we may set: do so, and tell it."""
        self._set_limits = None
        try:
            set_limits()
        except SpawnFailure as failure:
            self._fail(failure)
        else:
            self._process.write_request(b"\n")

    def _report_ended(self) -> None:
        if self._prepared:
            self._preparer_done()

    def _preparer_done(self) -> None:
        self._journey.begin(self._stages.handshake)

    # Its end

    def _ended(self) -> None:
        """The process is gone, though somebody else may still hold its stdout. Its last words are read."""
        self._stdout_ended()

    def _fail(self, failure: SpawnFailure) -> None:
        if not self.result.done():
            self.result.set_exception(failure)


def _explained(text: str) -> SpawnFailure:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return SpawnFailure(
        "load-error",
        lines[-1][:500] if lines else "the loader reported an error without a text",
        hint="correct what the output shows; the application is tried again by itself",
        explanation=text.strip("\n"),
    )
