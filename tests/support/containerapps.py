"""Small applications that are mounted into containers, written where a test wants them."""

from __future__ import annotations

from pathlib import Path

HARDENED = (
    "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
    "--tmpfs", "/tmp", "--tmpfs", "/run/passenger",
)  # fmt: skip
"""How docs/containers.md says that a container should run; nearly every test runs it so."""

WSGI = """
import json, os, subprocess

def application(environ, start_response):
    path = environ["PATH_INFO"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/environ":
        return [json.dumps(dict(os.environ)).encode()]
    if path == "/slow":
        print("slow request began", flush=True)
        open("/gate/slow").read()  # a FIFO: until the test opens it
        return [b"slow but whole"]
    if path == "/orphans":
        for _ in range(50):
            subprocess.run(["/bin/sh", "-c", "sh -c 'exit 3' & sh -c 'exec true' &"], check=True)
        return [b"made"]
    if path == "/who":
        return [f"{os.getpid()} {os.getuid()} {os.getgid()}".encode()]
    return [b"hello"]
"""


def wsgi(folder: Path, text: str = WSGI) -> Path:
    """A folder with an application that answers by path."""
    return write(folder / "app", {"passenger_wsgi.py": text})


def write(folder: Path, files: dict[str, str]) -> Path:
    """Files that everybody may read; those of a shell may be run."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755 if name.endswith("sh") else 0o644)
    return folder


def mounted(folder: Path, at: str = "/app") -> tuple[str, str]:
    return "-v", f"{folder}:{at}:ro"
