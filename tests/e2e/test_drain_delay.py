"""`drain_delay`: a load balancer that learns late that an instance stops loses nothing (convention E2, fault C14)."""

from __future__ import annotations

import http.client
import itertools
import signal
import threading
from pathlib import Path

from tests.e2e.test_start import hello
from tests.support.http import fetch
from tests.support.installation import Installation
from tests.support.probe import wait_until
from tests.support.running import free_port, running

LOOK = 0.2
"""Seconds between two looks of the balancer at the probes."""


class Balancer(threading.Thread):
    """Asks for readiness now and then, and sends each request to the next of those that were ready when it last asked."""

    def __init__(self, ports: dict[int, int]) -> None:
        """`ports`: of clients -> of probes."""
        super().__init__()
        self.ports = ports
        self.ready = set(ports)
        self.sent = dict.fromkeys(ports, 0)
        self.late = 0
        """Requests that an instance got although it was not ready any more."""
        self.failed: list[str] = []
        self.stopped = threading.Event()
        self._watch = threading.Thread(target=self._look)

    def run(self) -> None:
        self._watch.start()
        for number in itertools.count():
            if self.stopped.is_set():
                break
            targets = sorted(self.ready)
            port = targets[number % len(targets)]
            try:
                answer = fetch(port)
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(f"{port}: {error!r}")
            else:
                self.sent[port] += 1
                if answer.status != 200:
                    self.failed.append(f"{port}: {answer.status}")
        self._watch.join()

    def _look(self) -> None:
        while not self.stopped.wait(LOOK):
            for port, probes in self.ports.items():
                if not _ready(probes):
                    before = self.sent[port]
                    self.stopped.wait(LOOK)  # as slow as those of Kubernetes: it goes on sending for a while
                    self.late += self.sent[port] - before if port in self.ready else 0
                    self.ready.discard(port)


class KeptClient(threading.Thread):
    """Sends request after request on one connection, to `port` until it is told to leave, then to `other`."""

    def __init__(self, port: int, other: int, method: str) -> None:
        super().__init__()
        self.port, self.other, self.method = port, other, method
        self.answered = 0
        self.was_told = False
        self.failed: list[str] = []
        self.stopped = threading.Event()

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        while not self.stopped.wait(0.005) and not self.failed:
            try:
                connection.request(self.method, "/", body=b"x" * 100 if self.method == "POST" else None)
                answer = connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(f"{connection.port}: {error!r}")
                break
            self.answered += 1
            if (answer.status, text) != (200, b"hello"):
                self.failed.append(f"{connection.port}: {answer.status} {text!r}")
            if answer.will_close:
                self.was_told = True
                connection.close()
                connection = http.client.HTTPConnection("127.0.0.1", self.other, timeout=30)
        connection.close()


def _ready(port: int) -> bool:
    try:
        return fetch(port, "/readyz").status == 200
    except OSError:
        return False


def configuration(folder: Path, name: str, *, delay: str) -> tuple[Path, int, int]:
    """A configuration file, the port of clients and that of probes."""
    port, probes = free_port(), free_port()
    file = folder / f"{name}.toml"
    file.write_text(
        f'config_version = 1\n[instances.{name}.nginx]\nlisten = ["127.0.0.1:{port}"]\naccess_log = "off"\n'
        f'[instances.{name}.admin]\nlisten = "127.0.0.1:{probes}"\n'
        f'[instances.{name}.watchdog]\ndrain_delay = "{delay}"\n[apps.hello]\napp_root = "hello"\n'
    )
    return file, port, probes


def test_a_balancer_that_learns_late_loses_nothing(installation: Installation, place: Path) -> None:
    """Requests that come after SIGTERM are served; at the end of the delay nobody sends any, and the stop is clean."""
    hello(place)
    one, two = (configuration(place, name, delay="3s") for name in ("one", "two"))
    with running(installation.passenger, one[0]) as first, running(installation.passenger, two[0]) as second:
        first.wait_started()
        second.wait_started()
        balancer = Balancer({one[1]: one[2], two[1]: two[2]})
        balancer.start()
        try:
            wait_until(lambda: min(balancer.sent.values()) > 20, "both get requests")
            assert first.stop(signal.SIGTERM) == 0
            after = balancer.sent[two[1]]
            wait_until(lambda: balancer.sent[two[1]] > after + 20, "the other one goes on")
        finally:
            balancer.stopped.set()
            balancer.join()
        assert balancer.failed == []
        assert balancer.late > 0, "no request came late: the delay was not tried"


def test_clients_that_keep_their_connections_are_told_and_lose_nothing(installation: Installation, place: Path) -> None:
    """Nobody retries here: a kept connection that was closed under a request would be a failure."""
    hello(place)
    one, two = (configuration(place, name, delay="3s") for name in ("one", "two"))
    with running(installation.passenger, one[0]) as first, running(installation.passenger, two[0]) as second:
        first.wait_started()
        second.wait_started()
        clients = [KeptClient(one[1], two[1], method) for method in ("GET", "POST") * 4]
        for client in clients:
            client.start()
        try:
            wait_until(lambda: min(client.answered for client in clients) > 20, "all get answers")
            assert not any(client.was_told for client in clients)
            assert first.stop(signal.SIGTERM) == 0
            after = [client.answered for client in clients]
            wait_until(
                lambda: all(client.answered > before + 20 for client, before in zip(clients, after, strict=True)),
                "all go on with the other one",
            )
        finally:
            for client in clients:
                client.stopped.set()
                client.join()
        assert [client.failed for client in clients] == [[]] * len(clients)
        assert all(client.was_told for client in clients)
        print(f"{sum(client.answered for client in clients)} requests on kept connections, 0 failed")


def test_during_the_delay_all_but_readiness_goes_on(installation: Installation, place: Path) -> None:
    """Even when the core crashes meanwhile; kept connections serve on; a second signal ends the wait."""
    hello(place)
    file, port, probes = configuration(place, "main", delay="1h")
    with running(installation.passenger, file) as instance:
        instance.wait_started()
        kept = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        kept.request("GET", "/")
        assert kept.getresponse().read() == b"hello"
        instance.process.send_signal(signal.SIGTERM)
        instance.lines.wait_for("not ready any more")
        wait_until(lambda: not _ready(probes), "readiness fails")
        assert "the instance is stopping" in fetch(probes, "/readyz").text
        assert fetch(probes, "/livez").status == 200
        kept.request("GET", "/")
        assert kept.getresponse().read() == b"hello"
        kept.close()
        assert instance.run("health", "--ready").returncode == 1
        reload = instance.run("reload")
        assert (reload.returncode, "is leaving" in reload.stderr) == (1, True)
        instance.process.send_signal(signal.SIGINT)
        assert instance.wait_exit() == 0
