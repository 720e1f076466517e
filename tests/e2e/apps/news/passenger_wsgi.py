"""Pages that may be kept, each with a number of its own, so that a test can tell an old one from a new one."""

import itertools
import time
from wsgiref.validate import validator

numbers = itertools.count(1)
begun = time.monotonic_ns()


@validator
def application(environ, start_response):
    headers = [("Content-Type", "text/plain"), ("Cache-Control", "max-age=" + (environ["QUERY_STRING"] or "600"))]
    body = f"{environ['HTTP_HOST']} {begun} {next(numbers)}\n".encode()
    if environ["PATH_INFO"] == "/cut":
        start_response("200 OK", headers)
        return cut(body)
    start_response("200 OK", [*headers, ("Content-Length", str(len(body)))])
    return [body]


def cut(body):
    yield body * 1000
    raise RuntimeError("in the middle of a page")
