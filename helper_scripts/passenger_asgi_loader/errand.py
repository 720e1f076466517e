"""Out-of-band work: the core's request for it, told from those of clients, and its answer.

Rules.
1. It is the core's only with the connect password, which no client knows. Any other request is the application's.
2. The answer comes when the work is done, whether or not it failed.
"""

from __future__ import annotations

import hmac

from passenger_loader.hooks import run_oob_work_in_loop

TYPE_CHECKING = False  # see passenger_loader.body
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

OFFER = "http"
"""What the spawner's `oobw` says when it would ask in this way, and what is answered then."""
HEADER = b"x-passenger-oob-work"


class Errands:
    """Knows the password of this process; without one nothing is an errand."""

    def __init__(self) -> None:
        self._password = b""

    def expect(self, options: Mapping[str, str]) -> str:
        """From now on they are understood, if the spawner would ask for them. The line of the Ready block."""
        if options.get("oobw") != OFFER or not options.get("connect_password"):
            return ""
        self._password = options["connect_password"].encode()
        return "!> oobw: %s\n" % OFFER

    def is_one(self, word: bytes) -> bool:
        """Whether a request with this value of HEADER is the core's."""
        return bool(self._password) and hmac.compare_digest(word, self._password)


async def work(send: Any) -> None:
    """Do it, and say so."""
    await run_oob_work_in_loop()
    length = (b"content-length", b"9")
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": b"oobw done"})
