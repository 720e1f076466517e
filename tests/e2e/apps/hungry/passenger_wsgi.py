"""Takes memory and keeps it: `/take/MIB`, `/hang/MIB`. Every answer is `PID SERVED`."""

import itertools
import os
import threading
from wsgiref.validate import validator

KEPT = []
SERVED = itertools.count(1)


@validator
def application(environ, start_response):
    number = next(SERVED)
    path = environ["PATH_INFO"]
    if path.startswith(("/take/", "/hang/")):
        KEPT.append(b"x" * (int(path[6:]) << 20))
    if path.startswith("/hang/"):
        threading.Event().wait()
    body = b"%d %d" % (os.getpid(), number)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
