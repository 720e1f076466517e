"""What holds for every test: no deadline for single examples, and the one reason for which a test may be left out.

`@pytest.mark.root("why")` is that reason: the test needs uid 0. The summary of pytest (-ra) shows each with its why.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
"""How long an example takes says how busy the machine is, nothing about the code."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what needs root when this is not root; a marker without its why is a mistake for everybody."""
    for item in items:
        marker = item.get_closest_marker("root")
        if marker is None:
            continue
        if len(marker.args) != 1:
            raise pytest.UsageError(f'{item.nodeid}: say why it needs root: @pytest.mark.root("...")')
        if os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason=f"needs root: {marker.args[0]}"))
