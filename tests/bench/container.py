"""`python -m tests.bench.container`: what a container of ours costs, written into docs/containers.md. As root.

1. Sizes, unpacked: each image, and the base against the Debian, nginx and Python that it stands on.
2. `docker run` to the first 200 of a hello-world WSGI application, against the same image running nginx and Gunicorn as
   somebody would write it by hand; one after the other in turns, the median of both.
3. Memory (PSS) of watchdog, core and nginx at rest, without the processes of applications.
"""

from __future__ import annotations

import http.client
import json
import select
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.support import images
from tests.support.containerapps import HARDENED, mounted, write
from tests.support.engine import Container, Engine, an_engine
from tests.support.running import CHECKOUT

ROUNDS: Final = 11
BREATH: Final = 0.005
PAGE: Final = CHECKOUT / "docs" / "containers.md"
BEGIN, END = "<!-- measured: written by `python -m tests.bench.container` -->\n", "<!-- end -->\n"
HELLO: Final = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]
"""
NGINX: Final = """
daemon off; pid /tmp/nginx.pid; error_log stderr; worker_processes 2;
events {}
http {
  access_log /dev/stdout; client_body_temp_path /tmp/b; proxy_temp_path /tmp/p; fastcgi_temp_path /tmp/f;
  uwsgi_temp_path /tmp/u; scgi_temp_path /tmp/s;
  server { listen 8080; location / { proxy_pass http://unix:/tmp/gunicorn.sock; } }
}
"""
BY_HAND: Final = """
ARG BUILD_IMAGE
ARG IMAGE
FROM ${BUILD_IMAGE} AS dependencies
RUN python3 -m venv /opt/gunicorn && /opt/gunicorn/bin/pip install -q --no-cache-dir gunicorn
FROM ${IMAGE}
COPY --from=dependencies /opt/gunicorn /opt/gunicorn
COPY nginx.conf /etc/nginx/by-hand.conf
ENTRYPOINT []
CMD ["sh", "-c", "/opt/gunicorn/bin/gunicorn -w 1 -b unix:/tmp/gunicorn.sock --chdir /app passenger_wsgi:application & \
exec nginx -e stderr -c /etc/nginx/by-hand.conf"]
"""
STOOD_ON: Final = """
ARG IMAGE
FROM ${IMAGE}
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends nginx python3 >/dev/null \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*
"""
PSS: Final = """
import glob, os
total = 0
for folder in glob.glob("/proc/[0-9]*"):
    command = open(folder + "/cmdline").read()
    if "helper_scripts" in command or folder == f"/proc/{os.getpid()}":
        continue
    total += sum(int(line.split()[1]) for line in open(folder + "/smaps_rollup") if line.startswith("Pss:"))
print(total)
"""


def main() -> int:
    with an_engine() as engine, tempfile.TemporaryDirectory(prefix="ppb", dir="/var/tmp") as folder:
        place = Path(folder)
        place.chmod(0o755)
        report = "\n".join([*sizes(engine, place), "", *start(engine, place), "", *memory(engine, place)]) + "\n"
    text = PAGE.read_text()
    head, _, rest = text.partition(BEGIN)
    PAGE.write_text(head + BEGIN + report + END + rest.partition(END)[2])
    sys.stdout.write(report)
    return 0


def sizes(engine: Engine, place: Path) -> list[str]:
    """The table of images, and the ratio of the base."""
    below = write(place / "below", {"Dockerfile": STOOD_ON})
    engine.build("passenger-test/stood-on", below, build_args={"IMAGE": engine.base()})
    reference = _size(engine, "passenger-test/stood-on")
    rows = ["| image | MB unpacked |", "|---|---|", f"| Debian + nginx + Python, to compare with | {reference:.0f} |"]
    found = {name: _size(engine, images.build(engine, name)) for name in images.STANDS_ON}
    rows += [f"| `{name}` | {size:.0f} |" for name, size in found.items()]
    return [*rows, "", f"`base` is {found['base'] / reference:.2f} x what it stands on (budget: 1.3)."]


def start(engine: Engine, place: Path) -> list[str]:
    """Time to the first answer, ours and by hand."""
    app = write(place / "app", {"passenger_wsgi.py": HELLO})
    by_hand = write(place / "by-hand", {"Dockerfile": BY_HAND, "nginx.conf": NGINX})
    base = images.build(engine, "base")
    arguments = {"BUILD_IMAGE": images.builder(engine), "IMAGE": base}
    engine.build("passenger-test/by-hand", by_hand, build_args=arguments)
    times: dict[str, list[float]] = {base: [], "passenger-test/by-hand": []}
    for _ in range(ROUNDS):
        for image, taken in times.items():
            taken.append(_first_answer(engine, image, app))
    ours, theirs = (statistics.median(taken) for taken in times.values())
    return [
        (
            f"`docker run` to the first 200 (median of {ROUNDS} in turns, WSGI hello world): {ours:.2f} s; the same image with "
            f"nginx and Gunicorn by hand: {theirs:.2f} s; {ours / theirs:.2f} x (budget: 1.3)."
        )
    ]


def memory(engine: Engine, place: Path) -> list[str]:
    app = write(place / "app", {"passenger_wsgi.py": HELLO})
    with engine.running(images.build(engine, "base"), options=(*HARDENED, *mounted(app))) as container:
        _answered(container)
        kib = int(container.exec("python3", "-c", PSS).stdout)
    return [f"Watchdog, core and nginx at rest: {kib / 1024:.0f} MiB (PSS; budget: 60)."]


def _first_answer(engine: Engine, image: str, app: Path) -> float:
    before = time.monotonic()
    with engine.running(image, options=(*HARDENED, *mounted(app))) as container:
        _answered(container)
        return time.monotonic() - before


def _answered(container: Container) -> None:
    """Ask until it answers 200, with a breath between: who asks without one takes a CPU from those who start."""
    port, deadline = container.port, time.monotonic() + 60
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", "/")
            if connection.getresponse().status == 200:
                return
        except (OSError, http.client.HTTPException):
            select.select((), (), (), BREATH)
        finally:
            connection.close()
    raise AssertionError(f"no answer:\n{container.logs()}")


def _size(engine: Engine, image: str) -> float:
    found: int = json.loads(engine.docker("image", "inspect", image).stdout)[0]["Size"]
    return found / 1e6


if __name__ == "__main__":
    sys.exit(main())
