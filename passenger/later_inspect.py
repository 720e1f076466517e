"""A stand-in for `inspect`, which `dataclasses` imports for a case that does not arise here.

That case is the docstring of a class without one. The module would cost the watchdog a megabyte for life, and a start
six milliseconds. So a stand-in takes its place until somebody really asks it something.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

NAME = "inspect"


class _NotYetImported(ModuleType):
    """A module that is imported when the first attribute is wanted (`importlib.util.LazyLoader` loads on `import`)."""

    @staticmethod
    def get_annotations(owner: type) -> dict[str, object]:
        """What `dataclasses` of Python 3.13 asks `inspect` about every class, answered as it would."""
        return dict(owner.__dict__.get("__annotations__", {}))  # noqa: RUF063 - this IS that function

    def __getattr__(self, attribute: str) -> object:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), attribute)


def import_inspect_later() -> None:
    """Before `dataclasses` is imported; nothing when `inspect` is there already."""
    sys.modules.setdefault(NAME, _NotYetImported(NAME))
