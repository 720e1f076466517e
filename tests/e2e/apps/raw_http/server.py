"""HTTP/1.1 by hand on $SOCKET: keeps the very bytes of every request, and says what no library would.

/seen tells the heads since the last /seen; /twice, /surplus and /late answer more than they were asked; all else echoes
the target.
"""

from __future__ import annotations

import json
import os
import socketserver

SEEN: list[str] = []
EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"


class Handler(socketserver.StreamRequestHandler):
    """One connection, as many requests as come."""

    def handle(self) -> None:
        while head := self.head():
            lines = head.split(b"\r\n")
            lengths = [int(line.partition(b":")[2]) for line in lines if line.lower().startswith(b"content-length:")]
            self.rfile.read(sum(lengths))
            self.answer(lines[0].split(b" ")[1].decode("latin-1"), head.decode("latin-1"))

    def head(self) -> bytes:
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            line = self.rfile.readline()
            if not line:
                return b""
            data += line
        return data

    def answer(self, target: str, head: str) -> None:
        if target == "/seen":
            told, SEEN[:] = json.dumps(SEEN), []
            self.say(told.encode())
            return
        SEEN.append(head)
        if target == "/twice":
            self.say(target.encode(), EVIL)
        elif target == "/surplus":
            self.say(target.encode(), b"evil")
        elif target == "/late":
            self.say(target.encode())
            self.wfile.write(EVIL)
            with open("late", "ab") as note:  # whoever sees it grow knows that EVIL is on its way
                note.write(b".")
        else:
            self.say(target.encode())

    def say(self, body: bytes, more: bytes = b"") -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b%b" % (len(body), body, more))


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


if __name__ == "__main__":
    Server(os.environ["SOCKET"], Handler).serve_forever()
