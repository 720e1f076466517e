"""A stock Apache 2.4 in front of an instance: Debian's program and modules, a configuration of the least."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support.running import DEADLINE, Lines

MODULES = Path("/usr/lib/apache2/modules")
WANTED = [
    *("mpm_event", "authz_core", "alias", "deflate", "env", "filter", "headers", "mime", "setenvif"),
    *("proxy", "proxy_http", "proxy_scgi", "rewrite"),
]

CONF = """
ServerRoot "{folder}"
DefaultRuntimeDir "{folder}"
PidFile "{folder}/apache.pid"
ServerName apache.invalid
{listen}
{modules}
{owner}
ErrorLog /dev/stderr
StartServers 1
ServerLimit 2
ThreadsPerChild 64
MaxRequestWorkers 128
GracefulShutdownTimeout 5
TypesConfig "{folder}/mime.types"
AddOutputFilterByType DEFLATE text/plain
# What a Debian does to all of its sites
BrowserMatch "MSIE [2-6]" nokeepalive downgrade-1.0 force-response-1.0
Alias "/icons/" "/usr/share/apache2/icons/"
<FilesMatch "\\.php$">
    SetHandler server-status
</FilesMatch>
Include "{include}"
"""


def program() -> str:
    """Debian's Apache; it is one of the packages that `./dev` installs."""
    found = shutil.which("apache2", path="/usr/sbin:/usr/bin")
    assert found is not None, "the tests need the Debian package apache2-bin"
    return found


def write(folder: Path, include: Path, ports: Sequence[int]) -> Path:
    """The configuration of an Apache that listens on ports of loopback and includes a rendered file."""
    (folder / "mime.types").write_text("text/html html\ntext/plain txt\ntext/css css\n")
    conf = folder / "apache.conf"
    conf.write_text(
        CONF.format(
            folder=folder,
            include=include,
            listen="\n".join(f"Listen 127.0.0.1:{port}" for port in ports),
            modules="\n".join(f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in WANTED),
            owner="User www-data\nGroup www-data" if os.geteuid() == 0 else "",
        )
    )
    return conf


@contextlib.contextmanager
def apache(folder: Path, include: Path, ports: Sequence[int]) -> Iterator[Lines]:
    """Run it; yields the lines of its error log."""
    conf = write(folder, include, ports)
    process = subprocess.Popen(
        [program(), "-f", str(conf), "-D", "FOREGROUND"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    lines = Lines(process.stdout)
    try:
        lines.wait_for("resuming normal operations")
        yield lines
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(DEADLINE)
        finally:
            process.kill()
        lines.until_end()
