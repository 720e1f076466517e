"""Passenger's own questions, in our words."""

from __future__ import annotations

from typing import Any

import pytest

from passenger.cli.api_call import as_restart, meaning


@pytest.mark.parametrize(
    ("asked", "question"),
    [
        ({"name": "blog"}, {"apps": ["blog"]}),
        ({"name": "blog", "restart_method": "default"}, {"apps": ["blog"]}),
        ({"name": "blog", "restart_method": "blocking"}, {"apps": ["blog"], "method": "blocking"}),
        ({"apps": ["blog"], "method": "rolling", "wait": 5}, {"apps": ["blog"], "method": "rolling", "wait": 5}),
        ({"all": True}, {"all": True}),
    ],
)
def test_a_restart_is_understood(asked: dict[str, Any], question: dict[str, Any]) -> None:
    assert meaning(("POST", "/pool/restart_app_group.json"), None) == ("core", "restart")
    assert as_restart(asked) == question
