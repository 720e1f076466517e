"""The application that every stack of the benchmark serves."""

HELLO = b"Hello, world!\n"
PLAIN = [("Content-Type", "text/plain"), ("Content-Length", str(len(HELLO)))]
MANY = [*PLAIN, *((f"X-Header-{n}", f"value number {n}") for n in range(18))]
BLOCK = bytes(range(256)) * 256  # 64 KiB
BIG = BLOCK * 16


def application(environ, start_response):
    """`/`, `/headers`, `/64k`, `/1m`."""
    path = environ["PATH_INFO"]
    if path == "/headers":
        start_response("200 OK", MANY)
        return [HELLO]
    if path == "/64k":
        start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", "65536")])
        return [BLOCK]
    if path == "/1m":
        start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", "1048576")])
        return [BIG]
    start_response("200 OK", PLAIN)
    return [HELLO]
