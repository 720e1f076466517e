"""A loader of somebody else, in the style of Passenger 5.0's for WSGI: one thread, one request a connection.

It plays what the variable PLAY tells, a JSON list of steps: ["say", text], ["spell", text] (byte by byte), ["request"],
["again"] (it executes itself for the rest), ["exit", status], ["serve"], ["serve http"] (threads, HTTP over TCP).
{SOCKET}, {PORT} and {PID} in a text are its own. What it was told goes to stderr.
"""

import http.server
import json
import os
import select
import socket
import sys
import threading
from typing import BinaryIO


class Player:
    """The steps, one after the other."""

    def __init__(self) -> None:
        self.options: dict[str, str] = {}
        self.listener = socket.socket(socket.AF_UNIX)
        self.places: dict[str, str] = {}
        self.tcp = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.connections = 0

    def play(self, steps: list[list[str]]) -> None:
        for number, (name, *values) in enumerate(steps):
            if name == "say":
                os.write(1, self.filled(values[0]))
            elif name == "spell":
                for byte in self.filled(values[0]):
                    os.write(1, bytes([byte]))
            elif name == "request":
                self.read_request()
            elif name == "again":
                os.environ["PLAY"] = json.dumps(steps[number + 1 :])
                os.execv(sys.executable, [sys.executable, *sys.argv])
            elif name == "exit":
                os._exit(int(values[0]))
            elif name == "serve":
                self.serve()
            elif name == "serve http":
                threading.Thread(target=self.tcp.serve_forever, daemon=True).start()
                while os.read(0, 4096):
                    continue

    def read_request(self) -> None:
        block = b""
        while not block.endswith(b"\n\n"):
            block += os.read(0, 1)
        first, *lines = block.decode().split("\n")
        assert first == "You have control 1.0"
        self.options = dict(line.split(": ", 1) for line in lines if line)
        sys.stderr.write("".join(f"told {line}\n" for line in lines if line))

    def filled(self, text: str) -> bytes:
        self.places |= {"PORT": str(self.tcp.server_port), "PID": str(os.getpid())}
        if "{SOCKET}" in text:
            self.places["SOCKET"] = f"{self.options['socket_dir']}/foreign.{os.urandom(8).hex()}"
            self.listener.bind(self.places["SOCKET"])
            self.listener.listen(1024)
        for name, value in self.places.items():
            text = text.replace("{" + name + "}", value)
        return text.encode()

    def serve(self) -> None:
        """Until something comes on stdin, its end included."""
        while True:
            ready, _, _ = select.select([0, self.listener.fileno()], [], [])
            if 0 in ready:
                return
            with self.listener.accept()[0] as connection:
                self.connections += 1
                self.answer(connection.makefile("rb"), connection)

    def answer(self, stream: BinaryIO, connection: socket.socket) -> None:
        head = stream.read(4)
        if len(head) < 4:
            return
        parts = stream.read(int.from_bytes(head, "big")).decode("latin-1").split("\0")
        environ = dict(zip(parts[::2], parts[1::2], strict=False))
        if environ["REQUEST_METHOD"] == "ping":
            connection.sendall(b"pong")
            return
        body = stream.read(int(environ.get("CONTENT_LENGTH") or 0))
        said = f"python {self.connections} 1 {environ['REQUEST_METHOD']} ".encode() + body
        connection.sendall(b"HTTP/1.1 200 Whatever\r\nStatus: 200 Whatever\r\nConnection: close\r\n\r\n")
        if environ["REQUEST_METHOD"] != "HEAD":
            connection.sendall(said)


class Handler(http.server.BaseHTTPRequestHandler):
    """HTTP of the simplest kind."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        said = f"python 0 0 {self.command} ".encode() + body
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_POST = do_GET  # noqa: N815 - what the base class looks for

    def log_message(self, *arguments: object) -> None:
        """Nothing is said about requests."""


Player().play(json.loads(os.environ["PLAY"]))
