"""Tests of roles and playbooks: Ansible and Molecule run for real, on hosts that are made here.

They change roots, boot hosts and install packages in them: for root only.
"""

from __future__ import annotations

import pytest

from tests.support.one_engine import pytest_configure, pytest_unconfigure  # noqa: F401 - hooks of pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/tests/ansible/" in str(item.path):
            item.add_marker(pytest.mark.root("hosts are made and entered by root only"))
