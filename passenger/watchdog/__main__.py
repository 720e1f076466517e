"""Entry point of the watchdog.

It stays small for life: `later_inspect`. The garbage collector begins when the watchdog stands (`main`): what is loaded
stays, and looking through it takes time.
"""

from __future__ import annotations

import gc

from passenger.later_inspect import import_inspect_later

gc.disable()
import_inspect_later()

from passenger.watchdog.main import main  # noqa: E402 - after the stand-in is in place

main()
