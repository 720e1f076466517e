"""One thread's work: accept a connection, answer its requests one after the other, until it ends.

Session protocol: a 4-byte big-endian length, that many bytes of `NAME NUL VALUE NUL ...`, the request body.

Rules.
1. A connection is used again only when it stands exactly at a request boundary.
2. A response that could not be completed is cut, so that it can't look complete.
3. `close()` of what the application returned is called exactly once, on every path.
4. A head is taken apart by a handful of calls over the whole block: this is the hot path.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import traceback

from .body import READ_SIZE, FileWrapper, Input
from .control import name_of
from .hooks import run_oob_work
from .interruption import RequestTimeout, raise_in
from .response import DIGITS, Response

try:
    from _operator import _compare_digest as compare_digest  # what `hmac` gives out, without loading OpenSSL
except ImportError:
    from hmac import compare_digest  # type: ignore[no-redef]  # the same one

TYPE_CHECKING = False  # what type checkers take for true; importing `typing` would cost every start some milliseconds
if TYPE_CHECKING:
    from typing import Any

    from .server import Server

    Environ = dict[str, Any]

MAX_HEAD = 17 * 1024 * 1024
LINGER_BYTES = 1024 * 1024
LINGER_SECONDS = 2.0
ERROR_BODY = b"The application raised an error. Its log has the details.\n"
PASSWORD = "PASSENGER_CONNECT_PASSWORD"  # noqa: S105 - the name of it


class Worker:
    """Accepts one connection at a time and answers its requests, in the thread that calls `run`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._app = server.app
        self._password = server.password
        self._opening = b"%b\0%b\0" % (PASSWORD.encode(), server.password)
        """How a request head begins that proves itself at once."""
        self._vocabulary = server.vocabulary
        self._environ = server.environ
        self.conn: socket.socket | None = None
        self.busy = False
        self.thread = 0
        self.interrupting = False
        """Somebody wants the request on `conn` to be interrupted; see `interruption`."""

    def run(self) -> None:
        self.thread = threading.get_ident()
        server = self._server
        while not server.stopping:
            try:
                server.wait_for_connection()
                if not self._next_connection():
                    return
            except RequestTimeout:  # it met none of the application's lines, but ours around them
                self.interrupting = False
                self._let_go()

    def is_serving(self, name: bytes) -> bool:
        """Whether it works on a request of that connection."""
        conn = self.conn
        return self.busy and conn is not None and name_of(conn) == name

    def _next_connection(self) -> bool:
        """Serve one connection to its end. False when there will be none, as it is time to stop."""
        server = self._server
        try:
            conn, _ = server.listener.accept()
        except OSError:
            if server.stopping:
                return False
            raise
        self.conn = conn
        try:
            self._serve(conn)
        except OSError as error:
            if not peer_is_gone(conn):
                complain("a connection was closed: %s" % error)
        finally:
            self._let_go()
        return True

    def _let_go(self) -> None:
        """The connection is over. An interruption that is under way belongs to it: it has to come now or never."""
        self.busy = False
        patience = 10
        while self.interrupting and patience:
            patience -= 1
            time.sleep(0.001)
        if self.interrupting:  # it came, and the application went on
            raise_in(self.thread, None)
            self.interrupting = False
        conn, self.conn = self.conn, None
        if conn is not None:
            conn.close()

    def _serve(self, conn: socket.socket) -> None:
        """Answer requests until the connection ends."""
        server = self._server
        opening = self._opening
        start = len(opening) + 4
        nothing = Input(conn, b"", 0)
        rest = b""
        while True:
            if not rest:
                self.busy = False
                if server.stopping:
                    return
                rest = conn.recv(READ_SIZE)
                if not rest:
                    return
            self.busy = True
            size = int.from_bytes(rest[:4], "big") + 4
            if len(rest) < 4 or len(rest) < size:
                whole = self._read_head(conn, rest)
                if whole is None:
                    return
                rest = whole
                size = int.from_bytes(rest[:4], "big") + 4
            is_proven = compare_digest(rest[4:start], opening)
            fields = rest[start if is_proven else 4 : size].decode("latin-1").split("\0")
            if len(fields) % 2 == 0 or fields[-1]:
                complain("a request head is not NAME NUL VALUE NUL ...")
                return
            environ = self._environ.copy()
            pairs = iter(fields)
            environ.update(zip(pairs, pairs))
            if not is_proven and not compare_digest(environ.pop(PASSWORD, "").encode("latin-1"), self._password):
                complain("a connection with a wrong connect password was closed")
                return
            left = self._answer(conn, environ, rest[size:], nothing)
            if left is None:
                return
            rest = left

    @staticmethod
    def _read_head(conn: socket.socket, rest: bytes) -> bytes | None:
        """Read on until the head is complete; None when the connection ends or the head is absurdly long."""
        held = bytearray(rest)
        while len(held) < 4 or len(held) < int.from_bytes(held[:4], "big") + 4:
            if len(held) >= 4 and int.from_bytes(held[:4], "big") > MAX_HEAD:
                complain("a request head is too long")
                return None
            piece = conn.recv(READ_SIZE)
            if not piece:
                return None
            held += piece
        return bytes(held)

    def _answer(self, conn: socket.socket, environ: Environ, rest: bytes, nothing: Input) -> bytes | None:
        """Answer one request. Returns what was read of the next one, or None when the connection is to be closed."""
        method = environ.get("REQUEST_METHOD")
        if method in ("ping", "PING", "OOBW") and "REQUEST_URI" not in environ:  # a client may invent any method
            if method == "OOBW":
                run_oob_work()
            conn.sendall(b"oobw done" if method == "OOBW" else b"pong")
            return None
        length = environ.get("CONTENT_LENGTH")
        if length:
            if not DIGITS.fullmatch(length):
                complain("a request has a bad CONTENT_LENGTH")
                return None
            total = int(length)
            request_body = Input(conn, rest[:total], max(0, total - len(rest)))
            rest = rest[total:]
        elif "HTTP_TRANSFER_ENCODING" in environ or "TRANSFER_ENCODING" in environ:
            request_body = Input(conn, rest, None)
            rest = b""
        else:
            request_body = nothing
        environ["wsgi.input"] = request_body
        if "HTTPS" in environ and environ["HTTPS"] in ("on", "1"):
            environ["wsgi.url_scheme"] = "https"
        response = Response(conn, self._vocabulary, request_body, method == "HEAD")
        if self._server.stopping:
            response.keep_alive = False
        result = None
        try:
            result = self._app(environ, response.start)
            if type(result) is list and len(result) == 1 and not response.head_sent:
                response.send_whole(result[0])
            else:
                self._send(result, response)
        except BaseException as error:
            if isinstance(error, RequestTimeout) and not response.is_closed:
                close_interrupted(result)
            self._failed(conn, response, error)
            return None
        if response.keep_alive and request_body.left == 0:
            return rest
        linger(conn)
        return None

    @staticmethod
    def _send(result: Any, response: Response) -> None:
        """The body that the application returned, whatever it is."""
        try:
            kind = type(result)
            if kind is tuple and not response.head_sent and len(result) == 1:
                response.send_whole(result[0])
                return
            if kind is FileWrapper and not response.head_sent:
                extent = result.extent()
                if extent is not None:
                    response.send_file(*extent)
                    return
            for piece in result:
                if piece:
                    response.write(piece)
                    if response.is_complete():
                        return
            response.finish()
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                response.is_closed = True  # no interruption comes between this and the call
                close()

    def _failed(self, conn: socket.socket, response: Response, error: BaseException) -> None:
        """The application raised: 500 if nothing was sent yet, else the connection is cut as it is."""
        if isinstance(error, RequestTimeout):  # its client has its answer, the log what was interrupted
            self.interrupting = False
            return
        if not (isinstance(error, OSError) and peer_is_gone(conn)):
            traceback.print_exception(type(error), error, error.__traceback__)
        if not response.head_sent:
            head = b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\n"
            head += b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(ERROR_BODY)
            try:
                conn.sendall(head if response.is_head else head + ERROR_BODY)
            except OSError:
                complain("the client went away before it was told of the error")
            else:
                linger(conn)
        if not isinstance(error, Exception):
            self._server.stop(exit_status(error))


def close_interrupted(result: Any) -> None:
    """The interruption came when the application had returned, but before anything was done with what it returned."""
    if hasattr(result, "close"):
        try:
            result.close()
        except Exception:
            traceback.print_exc()


def peer_is_gone(conn: socket.socket) -> bool:
    """Whether the client has closed the connection: then an I/O error is nothing to report."""
    try:
        return not conn.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True


def exit_status(error: BaseException) -> int:
    """The status of the process after an exception that asks for its end."""
    code = error.code if isinstance(error, SystemExit) else 1
    return code if isinstance(code, int) else int(code is not None)


def linger(conn: socket.socket) -> None:
    """End our side, and read what the client still sends for a moment: closing at once would reset what we sent."""
    try:
        conn.shutdown(socket.SHUT_WR)
        conn.settimeout(LINGER_SECONDS)
        total = 0
        while total < LINGER_BYTES:
            piece = conn.recv(READ_SIZE)
            if not piece:
                break
            total += len(piece)
    except OSError:
        return


def complain(message: str) -> None:
    os.write(2, b"[loader] " + message.encode("utf-8", "replace") + b"\n")
