"""CPU of the WSGI loader per small request, beside the same request answered by a bare socket loop.

    python -m tests.bench.loader_request [requests]

The peer is the least a Python process can do: recv, a constant answer, sendall. Only the ratio of one run means much.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.loader import loader, request

HEAD = {
    "REQUEST_URI": "/hello?x=1",
    "QUERY_STRING": "x=1",
    "REMOTE_PORT": "51234",
    "HTTP_HOST": "localhost:8080",
    "HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "HTTP_ACCEPT": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "HTTP_ACCEPT_LANGUAGE": "en-US,en;q=0.5",
    "HTTP_ACCEPT_ENCODING": "gzip, deflate, br",
    "HTTP_COOKIE": "sessionid=0123456789abcdef0123456789abcdef",
}

HELLO = """
def application(environ, start_response):
    body = b"hello world\\n"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""

BARE = """
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("ready", flush=True)
conn, _ = listener.accept()
while conn.recv(65536):
    conn.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Type: text/plain\\r\\nContent-Length: 12\\r\\n\\r\\nhello world\\n")
"""


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measured(pid: int, path: str, count: int) -> float:
    """Microseconds of CPU per request."""
    block = request(HEAD)
    with socket.socket(socket.AF_UNIX) as conn:
        conn.connect(path)
        for _ in range(count // 10):
            conn.sendall(block)
            conn.recv(65536)
        before = cpu_seconds(pid)
        for _ in range(count):
            conn.sendall(block)
            conn.recv(65536)
        return (cpu_seconds(pid) - before) / count * 1e6


def bare(count: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/s"
        with subprocess.Popen([sys.executable, "-c", BARE, path], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            return measured(process.pid, path, count)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    floor = bare(count)
    print(f"bare recv/sendall loop  {floor:6.1f} us per request")
    for threads in (1, 4):
        with loader(HELLO, threads=threads) as made:
            found = measured(made.process.pid, made.path, count)
            print(f"loader, {threads} thread(s)     {found:6.1f} us per request, {found / floor:.1f} x the bare loop")


if __name__ == "__main__":
    main()
