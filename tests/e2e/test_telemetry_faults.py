"""Faults of collectors, of UstRouter and of its disk while requests come (C8, C9): none of them is felt, losses are counted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.collector import GARBAGE, Collector, black_hole, collecting
from tests.support.http import fetch
from tests.support.installation import Installation, hand_over
from tests.support.load import Load, load, wait_until_count
from tests.support.probe import wait_until
from tests.support.running import RunningInstance, free_port, running

REQUESTS = 200
ENDS = ("sent", "rejected", "dropped", "unwanted", "lost", "waiting")
APP = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""


class Site:
    """An instance whose collector misbehaves."""

    def __init__(self, place: Path, passenger: str) -> None:
        self.place, self.port = place, free_port()
        self.file = place / "passenger.toml"
        self.passenger = passenger
        (place / "blog").mkdir()
        (place / "blog" / "passenger_wsgi.py").write_text(APP)
        hand_over(place / "blog")

    def write(self, url: str, more: str = "") -> Path:
        self.file.write_text(
            f'config_version = 1\n[instances.main.nginx]\nlisten = ["127.0.0.1:{self.port}"]\naccess_log = "off"\n'
            f'[instances.main.telemetry]\nflush_interval = "100ms"\nsample_interval = "0s"\n{more}'
            f'[instances.main.telemetry.http]\nurl = "{url}"\ntimeout = "500ms"\n[apps.blog]\napp_root = "blog"\n'
        )
        return self.file


@pytest.fixture
def site(installation: Installation, place: Path) -> Site:
    return Site(place, installation.passenger)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


def telemetry(instance: RunningInstance) -> dict[str, Any]:
    done = instance.run("telemetry", "status", "--format", "json")
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def http_sink(instance: RunningInstance) -> dict[str, Any]:
    """{} until UstRouter has reported for the first time."""
    found: dict[str, Any] = telemetry(instance)["sinks"].get("http", {})
    return found


def router_pid(instance: RunningInstance) -> int:
    found = [part["pid"] for part in instance.status()["components"] if part["name"] == "ustrouter"]
    return found[0] if found and found[0] else 0


def under_load(site: Site, instance: RunningInstance, requests: int = REQUESTS) -> Load:
    instance.wait_started()
    with load(site.port, rate=200, limit=60) as result:
        wait_until_count(result, requests)
    assert not result.failed, result.failed[:3]
    assert len(result.outcomes) == result.sent, "sent = answered"
    return result


def settled(instance: RunningInstance, sink: str = "http") -> dict[str, Any]:
    """Every record has come to its end, and they add up."""

    def is_settled() -> bool:
        told = telemetry(instance)
        ends = told["sinks"].get(sink, {})
        if told["waiting"] or not ends or ends["waiting"]:
            return False
        ended = sum(ends[end] for end in ENDS) + ends["spool_sent"] + ends["spool_dropped"] + ends["on_disk"]
        return bool(ended >= told["told"] - told["overflow"])  # a report may be half a second old

    wait_until(is_settled, "every record to be accounted for")
    return telemetry(instance)


def requests_told(collector: Collector) -> int:
    return sum(record["kind"] == "request" for record in collector.records())


@pytest.mark.parametrize(
    ("name", "answer", "headers"),
    [
        ("503", 503, {}),
        ("asks for patience", 429, {"Retry-After": "30"}),
        ("answers garbage", GARBAGE, {}),
        ("never answers", b"", {}),
    ],
)
def test_a_collector_that_misbehaves_is_felt_by_nobody(
    site: Site, collector: Collector, name: str, answer: int | bytes, headers: dict[str, str]
) -> None:
    """All of it is delivered when the collector is well again, each record once for each answer that was one."""
    collector.answer, collector.headers = answer, headers
    with running(site.passenger, site.write(f"http://127.0.0.1:{collector.port}/json")) as instance:
        result = under_load(site, instance)
        collector.wait_for_requests(1)
        wait_until(lambda: bool(http_sink(instance).get("error")), name)
        said = telemetry(instance)["sinks"]["http"]
        if headers:
            assert 5 < said["retry_in"] <= 30, "what it asked for, not what we would do"
        collector.answer = 200
        wait_until(lambda: instance.run("telemetry", "flush").returncode == 0, "a flush")
        told = settled(instance)
        assert requests_told(collector) == result.sent
        assert (told["overflow"], told["sinks"]["http"]["lost"], told["sinks"]["http"]["dropped"]) == (0, 0, 0)


def test_no_collector_at_all_costs_no_request_and_the_stop_is_quick(site: Site) -> None:
    """Refused, swallowed and without a name; each takes its turn by a reload."""
    with black_hole() as hole:
        urls = [f"http://127.0.0.1:{free_port()}/json", f"http://127.0.0.1:{hole}/json", "http://nobody.invalid/json"]
        with running(site.passenger, site.write(urls[0])) as instance:
            for url in urls:
                site.write(url)
                before = router_pid(instance)
                assert instance.run("reload").returncode == 0
                if url != urls[0]:
                    wait_until(lambda before=before: router_pid(instance) not in {0, before}, "another router")
                under_load(site, instance, 50)
                wait_until(lambda: bool(http_sink(instance).get("error")), url)
            told = telemetry(instance)
            assert told["sinks"]["http"]["sent"] == 0
            assert told["routers"] == 3
            assert instance.stop() == 0


def test_a_slow_collector_is_felt_by_nobody_and_holds_up_neither_flush_nor_stop(
    site: Site, collector: Collector
) -> None:
    """It holds its answers back, and a delivery may take minutes: whoever waited for one would be seen here."""
    collector.answer = b""
    config = site.write(f"http://127.0.0.1:{collector.port}/json")
    config.write_text(config.read_text().replace("500ms", "300s"))
    with running(site.passenger, config) as instance:
        under_load(site, instance)
        collector.wait_for_requests(1)
        began = time.monotonic()
        assert instance.run("telemetry", "flush", "--timeout", "1").returncode != 0
        told = telemetry(instance)
        assert told["sinks"]["http"]["waiting"] > 0
        assert instance.stop() == 0
        assert time.monotonic() - began < 25, "a second for the flush, two for the end; less than any answer takes"


def test_a_router_that_is_killed_or_stands_still_is_felt_by_nobody(site: Site, collector: Collector) -> None:
    """SIGKILL, then SIGSTOP, at 200 requests a second; counters go on, what was lost is counted."""
    with running(site.passenger, site.write(f"http://127.0.0.1:{collector.port}/json")) as instance:
        instance.wait_started()
        with load(site.port, rate=200, limit=60) as result:
            wait_until_count(result, 100)
            wait_until(lambda: bool(http_sink(instance)), "a first report")
            first = router_pid(instance)
            os.kill(first, signal.SIGKILL)
            wait_until(lambda: router_pid(instance) not in {0, first}, "another router")
            second = router_pid(instance)
            wait_until_count(result, 250)
            before = telemetry(instance)
            os.kill(second, signal.SIGSTOP)
            wait_until_count(result, 500)
            os.kill(second, signal.SIGCONT)
            wait_until_count(result, 600)
        assert not result.failed, result.failed[:3]
        assert len(result.outcomes) == result.sent
        assert instance.run("telemetry", "flush").returncode == 0
        told = settled(instance)
        http = told["sinks"]["http"]
        assert (told["routers"], told["overflow"]) == (2, 0)
        assert http["sent"] >= before["sinks"]["http"]["sent"]
        assert requests_told(collector) >= result.sent - http["lost"]
        assert [part["state"] for part in instance.status()["components"]] == ["running"] * 3


@pytest.mark.root("mounts a file system that is full")
def test_a_full_disk_under_the_spool_costs_records_that_are_counted(site: Site, collector: Collector) -> None:
    """The spool keeps what fits; nothing else is touched, and what was kept is delivered by the next router."""
    spool = site.place / "spool"
    spool.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=777", "tmpfs", str(spool)], check=True)
    try:
        collector.answer = 503
        config = site.write(f"http://127.0.0.1:{collector.port}/json", f'spool = "{spool}"\n')
        with running(site.passenger, config) as instance:
            result = under_load(site, instance, 1500)
            wait_until(lambda: http_sink(instance).get("dropped", 0) > 0, "a disk that is full")
            kept = settled(instance)["sinks"]["http"]
            assert kept["on_disk"] > 0
            assert kept["on_disk"] + kept["dropped"] >= result.sent
            collector.answer = 200
            assert instance.run("telemetry", "flush", "--timeout", "30").returncode == 0
            wait_until(lambda: telemetry(instance)["sinks"]["http"]["on_disk"] == 0, "an empty spool")
            assert requests_told(collector) + telemetry(instance)["sinks"]["http"]["dropped"] >= result.sent
    finally:
        subprocess.run(["umount", str(spool)], check=True)


def test_what_is_spooled_outlives_the_instance(site: Site, collector: Collector) -> None:
    spool = site.place / "spool"
    spool.mkdir(mode=0o777)
    spool.chmod(0o777)
    collector.answer = 503
    config = site.write(f"http://127.0.0.1:{collector.port}/json", f'spool = "{spool}"\n')
    with running(site.passenger, config) as instance:
        assert fetch(site.port).status == 200
        wait_until(lambda: telemetry(instance)["told"] >= 2, "a record")
        assert instance.stop() == 0
    assert requests_told(collector) == 0
    collector.answer = 200
    with running(site.passenger, config) as instance:
        wait_until(lambda: requests_told(collector) == 1, "what the instance before has spooled")
