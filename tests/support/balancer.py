"""HAProxy as docs/scaling.md writes it, on loopback, in front of the hosts of a fleet."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.engine import Container, Engine
from tests.support.http import fetch
from tests.support.probe import wait_until
from tests.support.running import CHECKOUT, free_port

_DOCKERFILE = """\
FROM {base}
RUN apt-get update -qq \\
 && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends haproxy >/dev/null \\
 && rm -rf /var/lib/apt/lists/*
CMD ["haproxy", "-db", "-f", "/settings/haproxy.cfg"]
"""


@dataclass(frozen=True, slots=True)
class Balancer:
    """A balancer that runs."""

    container: Container
    port: int
    watch: int

    def states(self) -> dict[str, str]:
        """What it thinks of each host: `UP`, `DOWN`, ..."""
        rows = [line.split(",") for line in fetch(self.watch, "/states;csv").text.splitlines()]
        column = rows[0].index("status")
        return {row[1]: row[column] for row in rows[1:] if row[0] == "hosts" and row[1] != "BACKEND"}

    def wait_all_up(self) -> None:
        wait_until(lambda: set(self.states().values()) == {"UP"}, "the balancer finds all hosts ready", timeout=60)


@contextlib.contextmanager
def balancer(engine: Engine, addresses: Mapping[str, str]) -> Iterator[Balancer]:
    """In front of these hosts, for the time of the block."""
    port, watch = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="pplb", dir="/var/tmp") as folder:
        place = Path(folder)
        place.chmod(0o755)
        (place / "haproxy.cfg").write_text(settings(addresses, port, watch))
        (place / "Dockerfile").write_text(_DOCKERFILE.format(base=engine.base()))
        engine.build("passenger-test/haproxy", place)
        options = ("--network", "host", "-v", f"{place}:/settings:ro")
        with engine.running("passenger-test/haproxy", options=options, port=0) as container:
            made = Balancer(container, port, watch)
            wait_until(lambda: _answers(made), "the balancer answers", timeout=60)
            yield made


def settings(addresses: Mapping[str, str], port: int, watch: int) -> str:
    """The example of the page, with other addresses, and a listener that tells what it thinks."""
    (example,) = re.findall(r"```haproxy\n(.*?)```", (CHECKOUT / "docs" / "scaling.md").read_text(), re.DOTALL)
    servers = "".join(f"    server {host} {address}:80\n" for host, address in addresses.items())
    text = re.sub(r"(?:    server .*\n)+", servers, example).replace("bind :80", f"bind 127.0.0.1:{port}")
    return f"{text}\nlisten watch\n    bind 127.0.0.1:{watch}\n    stats enable\n    stats uri /states\n"


def _answers(made: Balancer) -> bool:
    with contextlib.suppress(OSError):
        return bool(made.states())
    return False
