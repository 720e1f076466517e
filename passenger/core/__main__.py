"""`python -m passenger.core`: started by the watchdog only, with a CoreLaunch on an inherited descriptor.

What is loaded stays: the garbage collector would look through it again and again, a tenth of the time that loading
takes. It begins when the core stands (`own_process.settle_memory`).
"""

import gc

gc.disable()

from passenger.core.main import main  # noqa: E402 - the loading is what is meant

if __name__ == "__main__":
    main()
