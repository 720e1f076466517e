"""The images of docker/, built from this checkout: each on first use, with what this machine needs to reach its mirrors.

1. The builder stages get this machine's certificate authorities and package index through docker/settings; no image keeps
   anything of it (tests/container/test_images.py looks).
2. The engine's own cache makes a second build cheap; a changed checkout changes the layers that it is in.
"""

from __future__ import annotations

import configparser
import fcntl
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tests.support.engine import Engine
from tests.support.running import CHECKOUT

STANDS_ON = {"base": "", "python": "base", "ruby": "base", "node": "base", "full": "base", "build": "full"}
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")

CONTENT = (
    "passenger",
    "helper_scripts",
    "config",
    "schema",
    "docker",
    "pyproject.toml",
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
)
"""What .dockerignore lets through, and the Dockerfiles themselves."""


def tag(name: str) -> str:
    return f"passenger-test/{name}"


def build(engine: Engine, name: str) -> str:
    """The tag of an image, built with everything that it stands on."""
    below = STANDS_ON[name]
    arguments = {"VERSION": "0.0.0-test", "REVISION": "test"}
    arguments |= {"PASSENGER_IMAGE": build(engine, below)} if below else {}
    with tempfile.TemporaryDirectory(prefix="ppctx", dir="/var/tmp") as folder, _one_at_a_time():
        context = Path(folder) / "context.tar"
        context.write_bytes(_context(with_checkout=not below))
        arguments |= {} if below else {"BASE_IMAGE": engine.base()}
        engine.build(tag(name), context, dockerfile=f"docker/Dockerfile.{name}", build_args=arguments)
    return tag(name)


WITH_GEMS = """
FROM {build} AS gems
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends ruby-sinatra >/dev/null
COPY gem_source.rb /srv/
RUN ruby /srv/gem_source.rb /srv/gems sinatra

FROM {build}
COPY --from=gems /srv/gems /srv/gems
RUN bundle config set --global mirror.https://rubygems.org file:///srv/gems
COPY *.crt /usr/local/share/ca.crt
COPY pip.conf /etc/pip.conf
ENV PIP_CERT=/usr/local/share/ca.crt SSL_CERT_FILE=/usr/local/share/ca.crt NODE_EXTRA_CA_CERTS=/usr/local/share/ca.crt
"""


def builder(engine: Engine) -> str:
    """The `build` image with the settings of this machine in it: what an example's first stage needs here.

    Not every machine reaches an index of gems: Bundler is told of a source in the image, made of Debian's gems.
    """
    with tempfile.TemporaryDirectory(prefix="ppctx", dir="/var/tmp") as folder:
        place = Path(folder)
        for file, content in settings().items():
            (place / file).write_bytes(content)
        shutil.copy(CHECKOUT / "tests" / "support" / "gem_source.rb", place)
        (place / "Dockerfile").write_text(WITH_GEMS.format(build=build(engine, "build")))
        engine.build(tag("builder-here"), place)
    return tag("builder-here")


def settings() -> dict[str, bytes]:
    """What pip on this machine is configured to use, without paths that only this machine has; and whom it trusts."""
    asked = subprocess.run([sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True)
    values = configparser.RawConfigParser()
    values.add_section("global")
    for line in asked.stdout.splitlines():
        key, _, quoted = line.partition("=")
        option, value = key.rpartition(".")[2], quoted.strip("'\"")
        if option in {"index-url", "extra-index-url", "trusted-host", "proxy"}:
            reachable = " ".join(word for word in value.split() if not word.startswith(("/", "file:")))
            if reachable:
                values.set("global", option, reachable)
    text = io.StringIO()
    values.write(text)
    bundle = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE") or str(CA_BUNDLE)
    return {"here.crt": Path(bundle).read_bytes(), "pip.conf": text.getvalue().encode()}


def _context(*, with_checkout: bool) -> bytes:
    """The tar of a build. Images that only add packages need no more than their Dockerfile: their cache holds longer."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in CONTENT if with_checkout else ("docker",):
            archive.add(CHECKOUT / name, name, filter=_without_traces)
        for file, content in settings().items() if with_checkout else ():
            entry = tarfile.TarInfo(f"docker/settings/{file}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        ignore = CHECKOUT / ".dockerignore"
        archive.add(ignore, ignore.name)
    return packed.getvalue()


def _without_traces(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """No bytecode, no times, no owners: only content decides whether the cache holds."""
    if "__pycache__" in entry.name:
        return None
    entry.mtime = entry.uid = entry.gid = 0
    return entry


class _one_at_a_time:  # noqa: N801 - used as a function
    """Two workers of pytest must not build the same layers at the same time: the second one finds them in the cache."""

    def __enter__(self) -> None:
        self._file = Path("/var/tmp/passenger-test-build.lock").open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        self._file.close()
