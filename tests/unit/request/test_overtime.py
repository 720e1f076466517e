"""What becomes of a process with overdue requests: the table of `passenger.request.overtime`."""

from __future__ import annotations

from typing import Any

import pytest

from passenger.request.overtime import DOUBT, GRACE, SILENCE, Trouble, Verdict, judge

QUIET: dict[str, Any] = {
    "held": 0,
    "held_for": 0.0,
    "silent_for": None,
    "others": 0,
    "interrupts": True,
    "is_withdrawn": False,
}
WAIT, OVER, WITHDRAW, CONDEMN = Verdict.WAIT, Verdict.OVER, Verdict.WITHDRAW, Verdict.CONDEMN


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        # it can be interrupted
        ({"held": 1}, WAIT),
        ({"held": 1, "held_for": GRACE - 0.25}, WAIT),
        ({"held": 1, "held_for": GRACE}, CONDEMN),
        ({"held": 1, "held_for": GRACE, "others": 3}, WITHDRAW),
        ({"held": 1, "held_for": GRACE, "others": 3, "is_withdrawn": True}, WAIT),
        ({"held": 1, "held_for": 1e6, "others": 1, "is_withdrawn": True}, WAIT),
        ({"held": 4, "held_for": GRACE, "is_withdrawn": True}, CONDEMN),
        ({}, OVER),
        ({"others": 3}, OVER),
        # nobody can interrupt it
        ({"held": 1, "interrupts": False}, CONDEMN),
        ({"held": 1, "interrupts": False, "others": 1}, WITHDRAW),
        ({"held": 1, "interrupts": False, "others": 1, "is_withdrawn": True}, WAIT),
        # it was asked whether it lives
        ({"silent_for": 0.0}, WAIT),
        ({"silent_for": DOUBT - 0.25, "others": 19}, WAIT),
        ({"silent_for": DOUBT}, CONDEMN),
        ({"silent_for": DOUBT, "others": 19}, WITHDRAW),
        ({"silent_for": SILENCE - 0.25, "others": 19, "is_withdrawn": True}, WAIT),
        ({"silent_for": SILENCE, "others": 19, "is_withdrawn": True}, CONDEMN),
        ({"silent_for": SILENCE, "others": 19}, CONDEMN),
        ({"silent_for": None, "others": 19, "is_withdrawn": True}, OVER),
        ({"silent_for": 0.25, "held": 1, "held_for": 0.25}, WAIT),
    ],
)
def test_the_table(facts: dict[str, Any], verdict: Verdict) -> None:
    """The guilty request first, then its process, alone in there if that can be waited for."""
    assert judge(Trouble(**(QUIET | facts))) is verdict
