"""What the C library keeps of memory that was freed."""

from __future__ import annotations

import ctypes


def give_back() -> None:
    """Return freed memory to the kernel, for a process that has just become what it will be for long.

    C libraries other than glibc have no such function; they keep less.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
