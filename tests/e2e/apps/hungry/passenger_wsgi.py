"""Takes memory and keeps it: `/take/MIB`, `/hang/MIB`. Every answer is `PID SERVED`."""

import itertools
import os
import threading

KEPT = []
SERVED = itertools.count(1)


def application(environ, start_response):
    number = next(SERVED)
    path = environ["PATH_INFO"]
    if path.startswith(("/take/", "/hang/")):
        KEPT.append(b"x" * (int(path[6:]) << 20))
    if path.startswith("/hang/"):
        threading.Event().wait()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d %d" % (os.getpid(), number)]
