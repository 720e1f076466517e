"""A response that comes in two halves, the second one only after the first one has arrived."""

from __future__ import annotations

import http.client
import os
from pathlib import Path


def check_stream(port: int, host: str, place: Path) -> None:
    """/stream says "first half", waits for a word in the FIFO that `gate` names, and says "second half"."""
    gate = place / "gate"
    os.mkfifo(gate)
    gate.chmod(0o666)  # whoever runs the application reads it
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", f"/stream?gate={gate}", headers={"Host": host})
    response = connection.getresponse()
    try:
        assert response.readline() == b"first half\n"
    finally:
        gate.write_text("go on")
    assert response.read() == b"second half\n"
    connection.close()
