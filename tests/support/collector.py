"""A collector that a test scripts: it takes OTLP and JSON, and answers as badly as it is told."""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.running import DEADLINE

GARBAGE = b"\x00\xff not HTTP at all\r\n"


class Collector:
    """`answer` is a status, `b""` for one that never answers, or other bytes that are sent in place of an answer."""

    def __init__(self, port: int = 0) -> None:
        self.answer: int | bytes = 200
        self.headers: dict[str, str] = {}
        """Of its answers."""
        self.refused: dict[str, int | bytes] = {}
        """Value of `Authorization` -> the answer to who has it, in place of `answer`."""
        self.bodies: list[tuple[str, bytes]] = []
        """(path, body) of everything that was answered 200."""
        self.asked: list[tuple[str, dict[str, str]]] = []
        """(path, headers) of everything."""
        self._changed = threading.Condition()
        self._released = threading.Event()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector._take(self)

            def log_message(self, *_: object) -> None:
                """Not in the output of the tests."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler, bind_and_activate=False)
        self._server.daemon_threads = True
        self._server.allow_reuse_address = True
        self._server.server_bind()
        self._server.server_activate()
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(DEADLINE)

    def wait_for_requests(self, count: int) -> None:
        """Until so many deliveries were tried."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.asked) >= count, DEADLINE), f"only {len(self.asked)} came"

    def everything(self) -> bytes:
        """All that was delivered, to look for what must not be there."""
        return b"".join(body for _, body in self.bodies)

    def spans(self) -> list[tuple[str, Any]]:
        """(name of the service, span) of everything under /v1/traces."""
        found = []
        for path, body in list(self.bodies):
            if path == "/v1/traces":
                for group in ExportTraceServiceRequest.FromString(body).resource_spans:
                    name = next(a.value.string_value for a in group.resource.attributes if a.key == "service.name")
                    found += [(name, span) for scope in group.scope_spans for span in scope.spans]
        return found

    def metrics(self) -> dict[str, Any]:
        """The last of each name."""
        return {
            metric.name: metric
            for path, body in list(self.bodies)
            if path == "/v1/metrics"
            for group in ExportMetricsServiceRequest.FromString(body).resource_metrics
            for scope in group.scope_metrics
            for metric in scope.metrics
        }

    def events(self) -> list[str]:
        """Bodies of log records."""
        return [
            record.body.string_value
            for path, body in list(self.bodies)
            if path == "/v1/logs"
            for group in ExportLogsServiceRequest.FromString(body).resource_logs
            for scope in group.scope_logs
            for record in scope.log_records
        ]

    def records(self) -> list[dict[str, Any]]:
        """Of everything that came as JSON."""
        return [record for path, body in list(self.bodies) if path == "/json" for record in json.loads(body)["records"]]

    def _take(self, request: http.server.BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        answer = self.refused.get(request.headers.get("Authorization", ""), self.answer)
        with self._changed:
            self.asked.append((request.path, dict(request.headers)))
            if answer == 200:
                self.bodies.append((request.path, body))
            self._changed.notify_all()
        with contextlib.suppress(OSError):  # the other side has given up
            if isinstance(answer, bytes):
                if answer:
                    request.wfile.write(answer)
                else:
                    self._released.wait(DEADLINE)
                request.close_connection = True
                return
            request.send_response(answer)
            for name, value in self.headers.items():
                request.send_header(name, value)
            request.send_header("Content-Length", "0")
            request.end_headers()


@contextlib.contextmanager
def collecting(port: int = 0) -> Iterator[Collector]:
    collector = Collector(port)
    try:
        yield collector
    finally:
        collector.close()


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """A port on which connections are made and nothing is ever answered."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        port: int = listener.getsockname()[1]
        yield port
