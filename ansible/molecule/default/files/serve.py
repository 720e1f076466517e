"""Run Passenger in the foreground as its unit does, ask it, stop it: `serve.py PORT`. Prints what it saw."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request

DEADLINE = 60


def ask(port, path):
    """Status and body of an answer."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=DEADLINE) as answer:
        return answer.status, answer.read().decode().strip()


def main(port):
    """Start, wait for its word that it is ready, ask, stop."""
    os.makedirs("/run/passenger", exist_ok=True)
    subprocess.run(["chown", "passenger:passenger", "/run/passenger"], check=True)
    with tempfile.TemporaryDirectory(dir="/run") as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        os.chmod(folder, 0o711)
        notices.bind(f"{folder}/notify")
        os.chmod(f"{folder}/notify", 0o666)
        notices.settimeout(DEADLINE)
        service = subprocess.Popen(
            [
                "setpriv",
                "--reuid=passenger",
                "--regid=passenger",
                "--init-groups",
                "--",
                "/opt/passenger/bin/passenger",
                "start",
                "--config",
                "/etc/passenger/passenger.toml",
            ],
            env={
                "PATH": os.environ["PATH"],
                "NOTIFY_SOCKET": f"{folder}/notify",
                "PASSENGER_INSTANCE_REGISTRY_DIR": "/run/passenger",
            },
        )
        try:
            while b"READY=1" not in notices.recv(4096).split(b"\n"):
                pass
            print("seen: readyz", ask(port + 100, "/readyz")[0])
            print("seen: blog", *ask(port, "/"))
        finally:
            service.send_signal(signal.SIGTERM)
        print("seen: exit", service.wait(DEADLINE))


main(int(sys.argv[1]))
