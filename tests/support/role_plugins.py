"""Plugins of the roles, loaded as Ansible loads them: by their path, as modules of no package."""

from __future__ import annotations

import importlib.util
from types import ModuleType

from tests.support.playbooks import FOLDER


def plugin(path: str) -> ModuleType:
    """A file below the folder `ansible`."""
    spec = importlib.util.spec_from_file_location(path.rpartition("/")[2].removesuffix(".py"), FOLDER / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
