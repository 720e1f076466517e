"""/metrics as a real Prometheus sees it: an instance under load, scraped, with its rules loaded."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from tests.support.http import fetch
from tests.support.installation import Installation, hand_over
from tests.support.load import load, wait_until_count
from tests.support.probe import wait_until
from tests.support.running import CHECKOUT, RunningInstance, free_port, running

RULES = CHECKOUT / "config" / "monitoring"
APP = """
import os
def application(environ, start_response):
    if environ["PATH_INFO"] == "/die":
        os._exit(3)
    status = "500 Oh" if environ["PATH_INFO"] == "/bad" else "200 OK"
    start_response(status, [("Content-Type", "text/plain")])
    return [b"hello"]
"""


class Scraped:
    """An instance with two applications; its pages by name."""

    def __init__(self, place: Path) -> None:
        self.port, self.admin = free_port(), free_port()
        self.place = place
        self.file = place / "passenger.toml"
        for name in ("blog", "shop"):
            (place / name).mkdir()
            (place / name / "passenger_wsgi.py").write_text(APP)
            hand_over(place / name)
        self.write()

    def write(self, more: str = "") -> None:
        self.file.write_text(
            "config_version = 1\n[instances.main.nginx]\n"
            f'listen = ["127.0.0.1:{self.port}"]\n[instances.main.admin]\nlisten = "127.0.0.1:{self.admin}"\n{more}'
            + "".join(
                f'[apps.{name}]\napp_root = "{name}"\nserver_names = ["{name}.test"]\nmax_instances = 2\n'
                for name in ("blog", "shop")
            )
        )

    def page(self) -> str:
        answer = fetch(self.admin, "/metrics")
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        return answer.text

    def value(self, sample: str) -> float:
        lines = [line for line in self.page().splitlines() if line.startswith(sample + " ")]
        assert len(lines) == 1, sample
        return float(lines[0].rpartition(" ")[2])


@pytest.fixture
def scraped(installation: Installation, place: Path) -> Iterator[tuple[Scraped, RunningInstance]]:
    town = Scraped(place)
    with running(installation.passenger, town.file) as instance:
        instance.wait_started()
        yield town, instance


@contextlib.contextmanager
def prometheus(place: Path, target: int) -> Iterator[int]:
    """A Prometheus that scrapes twice a second, with the rules as they are shipped; its port."""
    port = free_port()
    config: dict[str, Any] = {
        "global": {"scrape_interval": "500ms", "evaluation_interval": "500ms"},
        "rule_files": [str(RULES / "recording_rules.yml"), str(RULES / "alerts.yml")],
        "scrape_configs": [{"job_name": "passenger", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}],
    }
    (place / "prometheus.yml").write_text(yaml.safe_dump(config))
    argv = ["prometheus", f"--config.file={place}/prometheus.yml", f"--storage.tsdb.path={place}/tsdb"]
    with (place / "prometheus.log").open("wb") as log:
        child = subprocess.Popen([*argv, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
    try:
        yield port
    finally:
        child.kill()
        child.wait()


def asked(port: int, path: str) -> Any:
    with contextlib.suppress(OSError):  # it is still starting
        answer = fetch(port, f"/api/v1/{path}")
        if answer.status == 200:
            return json.loads(answer.text)["data"]
    return None


def result(port: int, query: str) -> list[Any]:
    data = asked(port, f"query?query={quote(query)}")
    return data["result"] if data else []


def wait_for(port: int, query: str) -> None:
    wait_until(lambda: bool(result(port, query)), query)


def test_prometheus_scrapes_an_instance_under_load(scraped: tuple[Scraped, RunningInstance], place: Path) -> None:
    """Healthy target, every rule without an error, rates and percentiles by application, an alert that fires."""
    town, instance = scraped
    with prometheus(place, town.admin) as port, load(town.port, "/", rate=100, host="blog.test", limit=120) as requests:
        wait_for(port, "up == 1")
        wait_until_count(requests, 100)
        for _ in range(5):
            fetch(town.port, "/bad", host="shop.test")
        wait_for(port, 'passenger:requests:rate5m{app="blog"} > 1')
        wait_for(port, 'passenger:request_duration_seconds:p95{app="blog"} > 0')
        wait_for(port, 'passenger:errors:ratio5m{app="shop"} == 1')
        alert = 'ALERTS{alertname="PassengerCrashLoop",app="shop",alertstate="firing"}'
        wait_until(
            lambda: fetch(town.port, "/die", host="shop.test").status > 0 and bool(result(port, alert)),
            alert,
            timeout=60,
        )
        groups = asked(port, "rules")["groups"]
        assert sum(len(group["rules"]) for group in groups) == 23
        assert {rule["health"] for group in groups for rule in group["rules"]} == {"ok"}
        assert {target["lastError"] for target in asked(port, "targets")["activeTargets"]} == {""}
        (total,) = result(port, 'sum(passenger_requests_received_total{app="blog"})')
    assert not requests.failed
    assert float(total["value"][1]) <= len(requests.outcomes)
    # what was scraped is what status says
    (blog,) = [group for group in instance.status()["pool"]["groups"] if group["name"] == "blog"]
    assert town.value('passenger_requests_received_total{app="blog"}') == blog["counters"]["requests"]
    assert town.value('passenger_processes{app="blog",state="enabled"}') == len(blog["processes"])


def test_counters_grow_over_reloads_and_begin_anew_with_a_core(scraped: tuple[Scraped, RunningInstance]) -> None:
    """As rate() expects; and the page leaves and comes back with the key, live."""
    town, instance = scraped
    served = 'passenger_requests_total{app="blog",status="2xx"}'
    assert town.value(served) == 0
    for _ in range(3):
        assert fetch(town.port, "/", host="blog.test").status == 200
    wait_until(lambda: town.value(served) == 3, "all three are over")
    town.write('[apps.wiki]\napp_root = "blog"\nserver_names = ["wiki.test"]\n')
    assert instance.run("reload").returncode == 0
    assert town.value(served) == 3
    assert town.value('passenger_queue_length{app="wiki"}') == 0
    town.write("metrics = false\n")
    assert instance.run("reload").returncode == 0
    assert fetch(town.admin, "/metrics").status == 404
    assert fetch(town.admin, "/livez").status == 200
    town.write()
    assert instance.run("reload").returncode == 0
    assert town.value(served) == 0
    assert town.value('passenger_requests_received_total{app="blog"}') == 3
