"""What holds for every test: the one reason for which a test may be left out.

`@pytest.mark.root("why")` is that reason: the test needs uid 0. The summary of pytest (-ra) shows each with its why.
"""

from __future__ import annotations

import os

import pytest


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
