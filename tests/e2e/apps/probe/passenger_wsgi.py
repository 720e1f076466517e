"""An application that does what it is told, also what no application should: the faults of the fault matrix on demand."""

import errno
import json
import os
import signal
import socket
import sys
import threading
from urllib.parse import parse_qs
from wsgiref.validate import validator

LEDGER = os.environ.get("LEDGER")
parked = []


def note(line):
    """One line in the ledger, whole whatever happens next."""
    fd = os.open(LEDGER, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(fd, line.encode() + b"\n")
    os.close(fd)


def name_of(error):
    return errno.errorcode.get(error.errno, str(error))


def answer(start_response, value):
    body = json.dumps(value).encode("utf-8", "surrogateescape")
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def echo(environ, start_response):
    """The request as it arrived."""
    given = {name: value for name, value in environ.items() if isinstance(value, str)}
    given["app"] = os.environ["APP"]
    given["body"] = environ["wsgi.input"].read(-1).decode("latin-1")
    return answer(start_response, given)


def process(_environ, start_response):
    """What the process holds and is."""
    fds = {}
    for number in os.listdir("/proc/self/fd"):
        try:
            fds[number] = os.readlink("/proc/self/fd/" + number)
        except FileNotFoundError:
            continue  # the one that listed the others
    with open("/proc/self/status") as status:
        facts = dict(line.rstrip("\n").split(":\t", 1) for line in status)
    return answer(start_response, {"fds": fds, "environ": dict(os.environ), "status": facts, "argv": sys.orig_argv})


def reach(environ, start_response):
    """Try to list, open and connect to each path of the body; how each try ended."""
    outcome = {}
    for path in json.loads(environ["wsgi.input"].read(-1)):
        tries = outcome[path] = {}
        for name, attempt in (("list", os.listdir), ("open", read), ("connect", connect)):
            try:
                attempt(path)
            except OSError as error:
                tries[name] = name_of(error)
            else:
                tries[name] = "done"
    return answer(start_response, outcome)


def read(path):
    with open(path, "rb") as stream:
        return stream.read(1)


def connect(path):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        sock.settimeout(5)
        sock.sendall(b"24:CONTENT_LENGTH\x000\x00SCGI\x001\x00,")
        if not sock.recv(100):
            raise ConnectionResetError(errno.ECONNRESET, "closed")


def raw(environ, start_response):
    """Send the body instead of a response, past the loader; then close, or (`?keep`) let the loader answer as well."""
    data = environ["wsgi.input"].read(-1)
    conn = environ["wsgi.input"]._conn
    try:
        conn.sendall(data)
    except OSError:
        note("said twice")  # as far as it was listened to
        raise
    if environ["QUERY_STRING"] != "keep":
        conn.shutdown(socket.SHUT_RDWR)
    return Twice(answer(start_response, "of the loader"))


class Twice(list):
    """A second response; it is noted when the loader has sent it."""

    def close(self):
        note("said twice")


def park(environ, start_response):
    """Remember the connection of this request."""
    parked.append(environ["wsgi.input"]._conn)
    return answer(start_response, "parked")


def poison(environ, start_response):
    """Write a response that nobody asked for on every remembered connection."""
    own = environ["wsgi.input"]._conn
    for conn in parked:
        assert conn is not own, "the test wants another connection"
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    return answer(start_response, "poisoned")


def ledger(environ, start_response):
    note("got " + environ["QUERY_STRING"])
    return answer(start_response, "noted")


def gate(environ, start_response):
    """Wait until the test has opened and closed the FIFO, then answer with what the query says."""
    query = parse_qs(environ["QUERY_STRING"])
    note("waiting " + query["id"][0])
    with open(query["fifo"][0], "rb") as fifo:
        fifo.read()
    note("answers " + query["id"][0])
    return Noted(query["id"][0], start_response)


class Noted:
    """A response that notes each call of its `close`."""

    def __init__(self, name, start_response):
        self.name = name
        start_response("200 OK", [("Content-Type", "text/plain")])

    def __iter__(self):
        for _ in range(64):
            yield (self.name + "\n").encode() * 1000

    def close(self):
        note("closed " + self.name)


def upload(environ, start_response):
    """Read the body piece by piece; what became of it goes to the ledger."""
    name, size = environ["QUERY_STRING"], 0
    note("begun " + name)
    try:
        while piece := environ["wsgi.input"].read(4096):
            size += len(piece)
    except OSError as error:
        note(f"cut {name} {type(error).__name__}")
        raise
    note(f"whole {name} {size}")
    return answer(start_response, size)


def leave(_environ, start_response):
    """A grandchild in a session of its own that keeps our stdout."""
    reader, writer = os.pipe()
    if not os.fork():
        os.setsid()
        if os.fork():
            os._exit(0)
        os.write(writer, b"%d" % os.getpid())
        os.close(writer)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        threading.Event().wait()
    os.close(writer)
    os.wait()
    return answer(start_response, int(os.read(reader, 20)))


def flood(environ, start_response):
    """Print as many MiB as the query says: lines, then one without an end."""
    mib = int(environ["QUERY_STRING"])
    for _ in range(mib):
        os.write(1, (b"x" * 1023 + b"\n") * 512 + b"\xff\xfe\x1b[31m" * 74898)
    return answer(start_response, mib)


def mute(_environ, start_response):
    """Close stdout and stderr."""
    os.close(1)
    os.close(2)
    return answer(start_response, "silent")


def big(_environ, start_response):
    """One MiB."""
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(1024 * 1024))])
    return [bytes(1024 * 1024)]


def leave_at_once(_environ, start_response):
    os._exit(0)


GOOD = {
    "/do/process": process,
    "/do/reach": reach,
    "/do/ledger": ledger,
    "/do/gate": gate,
    "/do/upload": upload,
    "/do/leave": leave,
    "/do/flood": flood,
    "/do/mute": mute,
    "/do/big": big,
    "/do/exit": leave_at_once,
}
BAD = {"/do/raw": raw, "/do/park": park, "/do/poison": poison}
"""They take the connection itself, which a validator hides."""


@validator
def good(environ, start_response):
    return GOOD.get(environ["PATH_INFO"], echo)(environ, start_response)


def application(environ, start_response):
    return BAD.get(environ["PATH_INFO"], good)(environ, start_response)
