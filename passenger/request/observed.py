"""Requests that are watched: what is kept of one, and who is told at its end.

Rules.
1. Nobody watches = nothing of this exists; a Client then asks four times whether somebody does, and that is all.
2. An observer is called once for each request that reached an application's route, after its response is out or it was
   given up. Probes, malformed requests and unknown applications are nobody's requests and are not told.
3. What an observer raises is logged and harms no request. An observer must not block.
4. Every call and every look at the clock is paid for by each request: the Clients note things where they happen, and
   what can be told from something else is not noted (`served`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from passenger.pool.session import RefusalReason

ANSWERED: Final = 1
DEPARTED: Final = 2
CUT: Final = 3


class Seen:
    """One request. Times are monotonic seconds, 0.0 = it did not come to that.

    The defaults are the class's, and there is no `__init__`, so that making one costs little.
    """

    arrived = 0.0
    """Its connection was looked at, and its head was not whole; as is usual, it was: then `asked` says when."""

    app = ""
    pid = 0
    """0 = no process had it."""
    status = b""
    """Three digits; b"" = nothing was answered."""
    received = 0
    """Bytes of the request body."""
    sent = 0
    """Bytes of the response, its head included; not those of a tunnel."""
    is_own = False
    """The answer is the core's, not the application's."""
    refusal: RefusalReason | None = None
    ending = 0
    """ANSWERED, DEPARTED (its client left) or CUT (given up in the middle); 0 = it goes on."""
    asked = 0.0
    """The head was whole, and a process asked for."""
    granted = 0.0
    served = 0.0
    """The process had answered, well or not, where that was not the end of the request as well."""
    done = 0.0
    span: Any = None
    """The tracer's own note."""
    refused = 0
    """The place of `refusal` among the words of an observer: its own note."""


RequestObserver = Callable[[Seen], None]
RequestTracer = Callable[[Seen, bytes], bytes]
"""From the head of a request (`request_head`: NAME NUL VALUE NUL ...) to that which the application is to see."""
