"""Entry point of the watchdog.

`dataclasses` imports `inspect` for a case that does not arise here (the docstring of a class without one), which
would cost the watchdog a megabyte for life. So a stand-in takes its place until somebody really asks it something.

The garbage collector begins when the watchdog stands (`main`): what is loaded stays, and looking through it takes time.
"""

from __future__ import annotations

import gc
import importlib
import sys
from types import ModuleType


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


gc.disable()
sys.modules.setdefault("inspect", _NotYetImported("inspect"))

from passenger.watchdog.main import main  # noqa: E402 - after the stand-in is in place

main()
