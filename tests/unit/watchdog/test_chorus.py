"""Several watchdogs, one word to the service manager."""

from __future__ import annotations

from passenger.watchdog.chorus import Chorus


def both_ready() -> Chorus:
    chorus = Chorus(["a", "b"])
    assert chorus.hears("a", "READY=1\nSTATUS=fine") == ["STATUS=a: fine; b: starting"]
    assert chorus.hears("b", "READY=1") == ["READY=1"]
    return chorus


def test_ready_when_the_last_one_is() -> None:
    assert both_ready().hears("a", "READY=1") == [], "said once"


def test_a_reload_lasts_until_the_last_one_is_done() -> None:
    chorus = both_ready()
    assert chorus.hears("a", "RELOADING=1\nMONOTONIC_USEC=5") == ["RELOADING=1\nMONOTONIC_USEC=5"]
    assert chorus.hears("b", "RELOADING=1\nMONOTONIC_USEC=6") == []
    assert chorus.hears("b", "READY=1") == []
    assert chorus.hears("a", "READY=1") == ["READY=1"]


def test_a_ping_needs_everybody() -> None:
    chorus = both_ready()
    assert chorus.hears("a", "WATCHDOG=1") + chorus.hears("a", "WATCHDOG=1") == []
    assert chorus.hears("b", "WATCHDOG=1") == ["WATCHDOG=1"]
    assert chorus.hears("b", "WATCHDOG=1") == []
    assert chorus.gone("a") == ["STATUS=a: has ended; b: starting\nWATCHDOG=1"], "b's ping was waiting for a's"


def test_one_that_fails_does_not_keep_the_others_from_being_ready() -> None:
    chorus = Chorus(["a", "b"])
    chorus.hears("a", "READY=1\nSTATUS=fine")
    assert chorus.gone("b") == ["STATUS=a: fine; b: has ended\nREADY=1"]
    assert chorus.gone("a") == []


def test_more_time_is_passed_on_and_a_stop_of_one_is_not() -> None:
    chorus = both_ready()
    assert chorus.hears("a", "STOPPING=1\nEXTEND_TIMEOUT_USEC=7") == ["EXTEND_TIMEOUT_USEC=7"]
