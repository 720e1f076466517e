"""Telemetry of a real instance: one request's whole trace with the application's own span in it, and no secret anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.collector import Collector, collecting
from tests.support.http import fetch
from tests.support.installation import Installation, hand_over
from tests.support.probe import wait_until
from tests.support.running import RunningInstance, free_port, running

APP = """
import flask
from opentelemetry import propagate
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint="http://127.0.0.1:COLLECTOR/v1/traces")))
tracer = provider.get_tracer("shop")
application = flask.Flask(__name__)

@application.get("/basket/<path:name>")
def basket(name):
    with tracer.start_as_current_span("look into the basket", propagate.extract({k.lower(): v for k, v in flask.request.headers})):
        return "ok"
"""
CANARIES = {
    "env": "canary-in-the-environment",
    "query": "canary-in-the-query",
    "header": "canary-in-a-header",
    "path": "canary-in-the-path",
    "key": "canary-in-the-configuration",
    "body": "canary-in-the-body",
}


class Traced:
    """An instance with a collector of OTLP, one of JSON and a file."""

    def __init__(self, place: Path, collector: Collector, installation: Installation) -> None:
        self.port, self.collector = free_port(), collector
        self.lines = place / "lines" / "records.jsonl"
        self.lines.parent.mkdir()
        self.lines.parent.chmod(0o777)
        (place / "shop").mkdir()
        (place / "shop" / "passenger_wsgi.py").write_text(APP.replace("COLLECTOR", str(collector.port)))
        hand_over(place / "shop")
        (place / "key").write_text(f"Bearer {CANARIES['key']}\n")
        self.file = place / "passenger.toml"
        self.file.write_text(f"""
config_version = 1
[instances.main.nginx]
listen = ["127.0.0.1:{self.port}"]
trusted_proxies = ["127.0.0.2"]
access_log = "off"
[instances.main.telemetry]
flush_interval = "100ms"
sample_interval = "500ms"
otlp.endpoint = "http://127.0.0.1:{collector.port}"
otlp.headers.Authorization = {{ file = "key" }}
http.url = "http://127.0.0.1:{collector.port}/json"
json_lines.file = "{self.lines}"
[apps.shop]
app_root = "shop"
python = "{installation.python}"
env.SECRET = "{CANARIES["env"]}"
""")

    def trace_of(self, trace_id: str) -> dict[str, Any]:
        spans = [(service, span) for service, span in self.collector.spans() if span.trace_id.hex() == trace_id]
        return {span.name: (service, span) for service, span in spans}


@pytest.fixture
def traced(installation: Installation, place: Path) -> Iterator[tuple[Traced, RunningInstance]]:
    with collecting() as collector:
        town = Traced(place, collector, installation)
        with running(installation.passenger, town.file) as instance:
            instance.wait_started()
            yield town, instance


def test_one_request_is_one_trace_with_the_applications_span_in_it(traced: tuple[Traced, RunningInstance]) -> None:
    town, instance = traced
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert fetch(town.port, "/basket/7", headers={"traceparent": parent}, came_from="127.0.0.2").status == 200
    own, theirs = "0af7651916cd43dd8448eb211c80319c", "0bf7651916cd43dd8448eb211c80319c"
    wait_until(lambda: len(town.trace_of(own)) == 5, "five spans of one trace")
    trace = town.trace_of(own)
    assert {name: service for name, (service, _) in trace.items()} == {
        "GET": "passenger",
        "web server": "passenger",
        "queue": "passenger",
        "application": "passenger",
        "look into the basket": "shop",
    }
    span = {name: found for name, (_, found) in trace.items()}
    assert span["GET"].parent_span_id.hex() == "b7ad6b7169203331"
    assert {span[name].parent_span_id for name in ("web server", "queue", "application")} == {span["GET"].span_id}
    assert span["look into the basket"].parent_span_id == span["application"].span_id
    assert span["application"].start_time_unix_nano <= span["look into the basket"].start_time_unix_nano
    assert fetch(town.port, "/basket/7", headers={"traceparent": parent.replace("0af", "0bf")}).status == 200
    wait_until(lambda: sum(found.name == "application" for _, found in town.collector.spans()) == 2, "a second trace")
    assert not town.trace_of(theirs), "anybody may send a traceparent; only a trusted proxy is believed"
    done = instance.run("telemetry", "flush")
    assert done.returncode == 0, done.stdout + done.stderr
    assert any(found.name == "load the application" for _, found in town.collector.spans())
    wanted = {"http.server.request.duration", "passenger.requests"}
    wait_until(lambda: wanted <= set(town.collector.metrics()), "metrics, which go out every 10 s")


def test_no_sink_ever_gets_a_secret(traced: tuple[Traced, RunningInstance]) -> None:
    town, instance = traced
    answer = fetch(
        town.port,
        f"/basket/{CANARIES['path']}?password={CANARIES['query']}",
        headers={"Authorization": CANARIES["header"], "Cookie": f"session={CANARIES['header']}"},
    )
    assert answer.status == 200
    assert fetch(town.port, "/none", method="POST", body=CANARIES["body"].encode()).status == 404
    wait_until(lambda: any(record["kind"] == "sample" for record in town.collector.records()), "a sample")
    assert instance.run("restart-app", "shop").returncode == 0
    assert instance.run("reload").returncode == 0
    wait_until(lambda: {"restart", "exit", "reload"} <= set(town.collector.events()), "the events of a restart")
    assert instance.run("telemetry", "flush").returncode == 0
    lines = [json.loads(line) for line in town.lines.read_text().splitlines()]
    assert {"request", "spawn", "sample", "exit", "restart"} <= {line["kind"] for line in lines}
    assert len([line for line in lines if line["kind"] == "request"]) == 2
    told = town.collector.everything() + town.lines.read_bytes() + instance.lines.text().encode()
    told += instance.run("telemetry", "status").stdout.encode()
    for where, canary in CANARIES.items():
        assert canary.encode() not in told, where
    keys = {headers.get("Authorization") for path, headers in town.collector.asked if path == "/v1/logs"}
    assert keys == {f"Bearer {CANARIES['key']}"}, "and yet it was sent where it belongs"
