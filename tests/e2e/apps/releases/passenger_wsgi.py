"""Says which release it is. A release called `broken` does not load, one called `sick` is not healthy."""

import os
import sys
import time
from wsgiref.validate import validator

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "release")) as named:
    RELEASE = named.read().strip()
if RELEASE == "broken":
    sys.exit("this release was never tried")


@validator
def application(environ, start_response):
    if environ["PATH_INFO"] == "/healthz" and RELEASE == "sick":
        start_response("503 Sick", [("Content-Type", "text/plain"), ("Content-Length", "0")])
        return [b""]
    if environ["PATH_INFO"] == "/work":
        time.sleep(0.02)
    body = f"{RELEASE} {os.getpid()}".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
