"""CPU of the ASGI loader per small request, beside plain uvicorn on the same application in the same run.

    python -m tests.bench.asgi_loader_request [requests]

Both run on the same loop and parser. Turns of each alternate, and only the ratio of one run means much.
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.loader_request import cpu_seconds
from tests.support.asgi import Answers, serving

APP = """
async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"12")]})
    await send({"type": "http.response.body", "body": b"hello world\\n"})
"""
REQUEST = (
    b"GET /hello?x=1 HTTP/1.1\r\nhost: localhost:8080\r\n"
    b"user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    b"accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\naccept-language: en-US,en;q=0.5\r\n"
    b"accept-encoding: gzip, deflate, br\r\ncookie: sessionid=0123456789abcdef0123456789abcdef\r\n"
    b"x-forwarded-for: 192.0.2.7\r\nx-forwarded-proto: https\r\nx-forwarded-host: localhost:8080\r\n"
    b"x-forwarded-port: 8080\r\nforwarded: for=192.0.2.7;proto=https\r\n\r\n"
)
ROUNDS = 9


def measured(pid: int, sock: socket.socket, count: int) -> float:
    """Microseconds of CPU per request."""
    before = cpu_seconds(pid)
    for _ in range(count):
        sock.sendall(REQUEST)
        answer = sock.recv(65536)
        while not answer.endswith(b"world\n"):
            answer += sock.recv(65536)
    return (cpu_seconds(pid) - before) / count * 1e6


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, serving(APP) as made:
        Path(folder, "bench_app.py").write_text(APP)
        path = f"{folder}/s"
        command = [sys.executable, "-m", "uvicorn", "bench_app:application", "--uds", path, "--no-access-log"]
        command += ["--forwarded-allow-ips", "*"]
        with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE) as plain:
            assert plain.stderr is not None
            while b"running on" not in plain.stderr.readline():
                pass
            peers = {"uvicorn": (plain.pid, Answers(path)), "loader": (made.process.pid, made.connect())}
            found: dict[str, list[float]] = {name: [] for name in peers}
            for _ in range(ROUNDS):
                for name, (pid, conn) in peers.items():
                    found[name].append(measured(pid, conn.sock, count))
            peers["uvicorn"][1].close()
            plain.terminate()
    uvicorn, loader = (statistics.median(found[name][1:]) for name in ("uvicorn", "loader"))
    print(f"plain uvicorn  {uvicorn:6.1f} us per request")
    print(f"ASGI loader    {loader:6.1f} us per request, {loader / uvicorn:.2f} x")


if __name__ == "__main__":
    main()
