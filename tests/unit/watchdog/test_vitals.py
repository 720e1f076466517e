"""When an instance counts as alive."""

from __future__ import annotations

from passenger.watchdog.vitals import HUNG, LATE, PULSE, Verdict, Vitals

FINE = Verdict("")


class Clocked:
    """Looks every PULSE seconds."""

    def __init__(self) -> None:
        self.now = 100.0
        self.vitals = Vitals(self.now)

    def look(self, *, beat: bool = True, late: float = 0.0, core: bool = True, nginx: bool = True) -> Verdict:
        self.now += PULSE
        if beat:
            self.vitals.beat(self.now, late)
        return self.vitals.look(self.now, PULSE, core_runs=core, nginx_runs=nginx)


def test_a_core_that_beats_and_an_nginx_that_accepts_are_fine() -> None:
    world = Clocked()
    for _ in range(20):
        assert world.look() == FINE
        world.vitals.asked()
        world.vitals.accepted(world.now)


def test_a_core_that_falls_silent_is_replaced_in_the_end() -> None:
    """C2: first no sign of life goes out, then it has to go."""
    world = Clocked()
    assert world.look() == FINE
    found = [world.look(beat=False) for _ in range(int(HUNG / PULSE) + 1)]
    assert found[0] == FINE, "one beat may be late"
    assert "has not answered for" in found[-2].trouble
    assert not found[-2].is_core_hung
    assert found[-1].is_core_hung
    world.vitals.core_started()
    assert world.look(beat=False) == FINE, "nothing is known of the next one"


def test_a_core_that_is_being_restarted_or_never_beat_is_not_missed() -> None:
    world = Clocked()
    assert world.look(beat=False) == FINE
    world.look()
    for _ in range(10):
        assert world.look(beat=False, core=False) == FINE


def test_a_loop_that_is_late_is_no_sign_of_life() -> None:
    world = Clocked()
    assert world.look(late=LATE) == FINE
    assert "was late by 9 s" in world.look(late=9.0).trouble
    assert world.look() == FINE


def test_an_nginx_that_does_not_accept() -> None:
    world = Clocked()
    world.look()
    world.vitals.asked()
    assert "nginx has not accepted" in world.look().trouble
    assert world.look(nginx=False) == FINE, "it is being restarted"
    world.vitals.asked()
    world.vitals.accepted(world.now)
    assert world.look() == FINE


def test_a_pause_of_our_own_is_nobodys_fault() -> None:
    """A frozen container wakes up: everybody's last sign is old."""
    world = Clocked()
    world.look()
    world.vitals.asked()
    world.now += 3600
    assert world.look(beat=False) == FINE
    assert world.look(beat=False) == FINE
