"""Journeys: named steps with states and times."""

from __future__ import annotations

from passenger.spawn.journey import PRELOADER_STEPS, SMART_STEPS, STEPS, Journey, Step


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return 0.0


def test_a_failed_journey_names_the_step_and_what_was_left() -> None:
    """Done, failed, not started; each with its own time."""
    clock = Clock()
    journey = Journey(clock)
    journey.leave_out(Step.SHELL)
    clock.now += 1
    journey.begin(Step.EXEC)
    clock.now += 2
    journey.begin(Step.PREPARER)
    journey.begin(Step.EXEC)  # begun already: nothing happens
    clock.now += 4
    journey.fail()
    clock.now += 8
    journey.begin(Step.HANDSHAKE)  # it is over
    assert journey.steps()[:4] == (
        ("prepare work", "done", 1.0),
        ("fork and exec", "done", 2.0),
        ("SpawnPreparer", "failed", 4.0),
        ("handshake", "not started", 0.0),
    )
    assert len(journey.steps()) == len(STEPS) - 1
    assert journey.current is Step.PREPARER


def test_a_finished_journey_is_all_done() -> None:
    """And its seconds are the sum."""
    clock = Clock()
    journey = Journey(clock)
    for step in STEPS:
        journey.begin(step)
        clock.now += 1
    journey.finish()
    assert {state for _, state, _ in journey.steps()} == {"done"}
    assert journey.seconds() == len(STEPS) == sum(took for _, _, took in journey.steps())


def test_a_smart_journey_names_the_preloaders_steps() -> None:
    """In their order; with a preloader that is there they are left out."""
    journey = Journey(Clock(), SMART_STEPS)
    names = [name for name, _, _ in journey.steps()]
    assert names[:2] == ["prepare work", "start the preloader"]
    assert names[-6:-3] == ["ask the preloader", "fork", "handshake of the forked process"]
    for step in PRELOADER_STEPS:
        journey.leave_out(step)
    assert [name for name, _, _ in journey.steps()][:2] == ["prepare work", "ask the preloader"]
