"""The journey of a spawn: its named steps in order, each with a state and the time it took.

Rules.
1. Steps happen in the order of their list (STEPS, or SMART_STEPS through a preloader); beginning one finishes the
   one before it. Steps may be left out.
2. Only the step that is under way can fail; after that the journey is over.
3. Time is handed in.
4. Observers are told once, when the journey is over, well or not; of one that is called off they hear nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Final

from passenger.clock import Clock
from passenger.lazy_dataclass import dataclass


class Step(enum.Enum):
    """What happens between the decision to spawn and a process that takes requests."""

    PREPARE = "prepare work"
    EXEC = "fork and exec"
    PRELOADER_EXEC = "start the preloader"
    SHELL = "load the shell environment"
    PREPARER = "SpawnPreparer"
    HANDSHAKE = "handshake"
    LOAD = "load the application"
    PRELOADER_ANNOUNCE = "announce the preloader's socket"
    PRELOADER_CHECK = "check the preloader's socket"
    ASK = "ask the preloader"
    FORK = "fork"
    WORKER_HANDSHAKE = "handshake of the forked process"
    WORKER_START = "start the forked process"
    ANNOUNCE = "announce the socket"
    CHECK = "check the socket"


STEPS: Final = (
    Step.PREPARE,
    Step.EXEC,
    Step.SHELL,
    Step.PREPARER,
    Step.HANDSHAKE,
    Step.LOAD,
    Step.ANNOUNCE,
    Step.CHECK,
)
PRELOADER_STEPS: Final = (
    Step.PRELOADER_EXEC,
    Step.SHELL,
    Step.PREPARER,
    Step.HANDSHAKE,
    Step.LOAD,
    Step.PRELOADER_ANNOUNCE,
    Step.PRELOADER_CHECK,
)
"""Left out when a preloader is already there."""
FORK_STEPS: Final = (Step.ASK, Step.FORK, Step.WORKER_HANDSHAKE, Step.WORKER_START, Step.ANNOUNCE, Step.CHECK)
SMART_STEPS: Final = (Step.PREPARE, *PRELOADER_STEPS, *FORK_STEPS)


@dataclass(frozen=True, slots=True)
class Stages:
    """What the three parts of a spawn talk are in a journey."""

    handshake: Step
    load: Step
    announce: Step


PROGRAM: Final = Stages(Step.HANDSHAKE, Step.LOAD, Step.ANNOUNCE)
PRELOADER: Final = Stages(Step.HANDSHAKE, Step.LOAD, Step.PRELOADER_ANNOUNCE)
FORKED: Final = Stages(Step.WORKER_HANDSHAKE, Step.WORKER_START, Step.ANNOUNCE)


JourneyObserver = Callable[["Journey"], None]


class Journey:
    """One spawn on its way."""

    def __init__(
        self,
        clock: Clock,
        steps: tuple[Step, ...] = STEPS,
        *,
        app: str = "",
        observers: Sequence[JourneyObserver] = (),
    ) -> None:
        self.app = app
        self._clock = clock
        self._observers = observers
        self._planned = list(steps)
        self._began: dict[Step, float] = {}
        self._took: dict[Step, float] = {}
        self.has_failed = False
        self.current = Step.PREPARE
        self.started_at = clock.monotonic()
        self._began[Step.PREPARE] = self.started_at

    def leave_out(self, step: Step) -> None:
        """This journey does not have that step."""
        self._planned.remove(step)

    def begin(self, step: Step) -> None:
        """Finish what is under way and go on to `step`; a step that has begun already is not begun again."""
        if step in self._began or self.has_failed:
            return
        self._end_current()
        self._began[step] = self._clock.monotonic()
        self.current = step

    def finish(self) -> None:
        """The last step is done."""
        self._end_current()
        self._tell()

    def fail(self) -> None:
        """The step that is under way failed."""
        self._end_current()
        self.has_failed = True
        self._tell()

    def seconds(self) -> float:
        """Since the beginning."""
        return self._clock.monotonic() - self.started_at

    def steps(self) -> tuple[tuple[str, str, float], ...]:
        """(step, state, seconds) with state "done", "failed" or "not started"."""
        return tuple((step.value, self._state(step), round(self._took.get(step, 0.0), 6)) for step in self._planned)

    def _tell(self) -> None:
        observers, self._observers = self._observers, ()
        for observer in observers:
            observer(self)

    def _state(self, step: Step) -> str:
        if self.has_failed and step is self.current:
            return "failed"
        return "done" if step in self._took else "not started"

    def _end_current(self) -> None:
        if self.current not in self._took:
            self._took[self.current] = self._clock.monotonic() - self._began[self.current]
