"""The application of the scenario: says whether it got its secret."""

import os


def application(environ, start_response):
    """Answer every request."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"secret: %d\n" % len(os.environ["SECRET_KEY"])]
